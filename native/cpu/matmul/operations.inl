// The table entries: matmul, matmul_transposed, lora_forward, lora_backward, weight_gradient (the headers have their
// formulas). The
// instruction set chooses, by the weight and the dtype of the activations:
//
//   with_product(weight, dtype, f)   f(Product{}) for the register tile, F32Product or a faster one
//   with_decoder(weight, dtype, f)   f(decoder) for the products of a few rows
//
//   with_rows(weight, f)             f(rows) for the products of a few rows of dy
//
// A LoRA operation goes through the rows of x in chunks whose S (and dS), [rows, rank] F32, fit into the workspace.

// Bytes of workspace for packed rows of x where these are few enough for gemv; 0: they take the register tile.
inline int64_t packed_x_bytes(const lk_tensor& x, const lk_weight& weight) {
  int64_t most = 0;
  with_decoder(weight, x.dtype, [&](const auto& decoder) { most = std::decay_t<decltype(decoder)>::kMaxRows; });
  const int64_t bytes = gemv_workspace(x.rows, x.cols);
  return x.rows <= most && bytes <= static_cast<int64_t>(kMaxWorkspaceBytes / 2) ? bytes : 0;
}

// y = x * W^T + bias + lora, x.rows > 0. `packed_x`: for gemv; null: not gemv.
inline void multiply_forward(const lk_tensor& x, const lk_weight& weight, const lk_tensor* bias, const LoraTerm& lora,
                             const lk_tensor& y, std::byte* packed_x) {
  if (packed_x) {
    with_decoder(weight, x.dtype, [&](const auto& decoder) { gemv(y, 1.0f, bias, x, {}, decoder, lora, packed_x); });
    return;
  }
  with_product(weight, x.dtype, [&](auto product) {
    using Product = decltype(product);
    const Panels<Product, Direction::kForward> panels(weight);
    const lk_weight b = lora.s ? dense_weight(*lora.b) : lk_weight{};
    const Panels<F32Product, Direction::kForward> b_panels(b);
    gemm(y, 1.0f, bias, [&](OutputBlock& block) {
      if (lora.s) block.add_product<F32Product>(*lora.s, {}, b_panels);
      block.add_product<Product>(x, {}, panels);
    });
  });
}

// s = scaling * (dropout ∘ x) * A^T, s F32; packed_x as above
inline void project_down(const lk_tensor& x, const Dropout& dropout, const lk_lora& lora, const lk_tensor& s,
                         std::byte* packed_x) {
  const lk_weight a = dense_weight(lora.a);
  if (packed_x) {
    gemv(s, lora.scaling, nullptr, x, dropout, GeneralDecoder(a), {}, packed_x);
    return;
  }
  const Panels<F32Product, Direction::kForward> panels(a);
  gemm(s, lora.scaling, nullptr, [&](OutputBlock& block) { block.add_product<F32Product>(x, dropout, panels); });
}

// ds = scaling * dy * B, ds F32
inline void project_gradient(const lk_tensor& dy, const lk_lora& lora, const lk_tensor& ds) {
  const lk_weight b = dense_weight(lora.b);
  const Panels<F32Product, Direction::kTransposed> panels(b);
  gemm(ds, lora.scaling, nullptr, [&](OutputBlock& block) { block.add_product<F32Product>(dy, {}, panels); });
}

// dx = dy * W + dropout ∘ (ds * A). The adapter's product comes first: it is masked while it stands alone in the sums.
inline void backward_input(const lk_tensor& dy, const lk_weight& weight, const lk_tensor& ds, const lk_tensor& a,
                           const Dropout& dropout, const lk_tensor& dx, const PartSums& sums) {
  if (sums.parts) {
    with_rows(weight, [&](const auto& rows) { gemv_transposed(dx, dy, rows, {&ds, &a, dropout}, sums); });
    return;
  }
  const lk_weight a_weight = dense_weight(a);
  const Panels<F32Product, Direction::kTransposed> a_panels(a_weight);
  with_product(weight, dy.dtype, [&](auto product) {
    using Product = decltype(product);
    const Panels<Product, Direction::kTransposed> panels(weight);
    gemm(dx, 1.0f, nullptr, [&](OutputBlock& block) {
      block.add_product<F32Product>(ds, {}, a_panels);
      if (dropout.active()) block.apply_dropout(dropout);
      block.add_product<Product>(dy, {}, panels);
    });
  });
}

// The workspace of a LoRA operation: x packed for gemv, the sums of gemv_transposed, then `matrices` matrices [chunk, rank]
// F32, where a chunk is as many rows of x as fit.
class LoraWorkspace {
 public:
  LoraWorkspace(Device& device, const lk_tensor& x, const lk_weight& weight, int64_t rank, int64_t matrices,
                const PartSums& sums = {})
      : rank_(rank),
        packed_bytes_(packed_x_bytes(x, weight)),
        sums_(sums),
        row_bytes_(matrices * rank * int64_t{sizeof(float)}),
        chunk_(
            std::min(x.rows, (static_cast<int64_t>(kMaxWorkspaceBytes) - packed_bytes_ - sums.bytes()) / row_bytes_)),
        memory_(device, static_cast<size_t>(packed_bytes_ + sums.bytes() + chunk_ * row_bytes_)) {
    sums_.data = reinterpret_cast<float*>(memory_.data() + packed_bytes_);
  }

  int64_t chunk() const { return chunk_; }
  std::byte* packed_x() const { return packed_bytes_ ? memory_.data() : nullptr; }
  const PartSums& sums() const { return sums_; }
  // Matrix `index` with `rows` <= chunk() rows.
  lk_tensor matrix(int64_t index, int64_t rows) const {
    std::byte* matrices = memory_.data() + packed_bytes_ + sums_.bytes();
    return f32_matrix(reinterpret_cast<float*>(matrices) + index * chunk_ * rank_, rows, rank_);
  }

 private:
  int64_t rank_, packed_bytes_;
  PartSums sums_;
  int64_t row_bytes_, chunk_;
  Workspace memory_;
};

void matmul(Device& device, const lk_tensor& x, const lk_weight& weight, const lk_tensor* bias, const lk_tensor& y) {
  const int64_t packed_bytes = packed_x_bytes(x, weight);
  if (y.rows == 0 || packed_bytes == 0) return multiply_forward(x, weight, bias, {}, y, nullptr);
  const Workspace workspace(device, static_cast<size_t>(packed_bytes));
  multiply_forward(x, weight, bias, {}, y, workspace.data());
}

void matmul_transposed(Device& device, const lk_tensor& dy, const lk_weight& weight, const lk_tensor& dx) {
  PartSums sums = PartSums::of(dx, weight.rows);
  if (sums.parts) {
    const Workspace workspace(device, static_cast<size_t>(sums.bytes()));
    sums.data = reinterpret_cast<float*>(workspace.data());
    with_rows(weight, [&](const auto& rows) { gemv_transposed(dx, dy, rows, {}, sums); });
    return;
  }
  with_product(weight, dy.dtype, [&](auto product) {
    using Product = decltype(product);
    const Panels<Product, Direction::kTransposed> panels(weight);
    gemm(dx, 1.0f, nullptr, [&](OutputBlock& block) { block.add_product<Product>(dy, {}, panels); });
  });
}

void lora_forward(Device& device, const lk_tensor& x, const lk_weight& weight, const lk_tensor* bias,
                  const lk_lora& lora, const lk_tensor& y) {
  if (x.rows == 0) return;
  const DropoutMask mask = DropoutMask::of(lora.dropout, lora.seed, lora.step);
  const LoraWorkspace workspace(device, x, weight, lora.a.rows, 1);
  for (int64_t row = 0; row < x.rows; row += workspace.chunk()) {
    const int64_t rows = std::min(workspace.chunk(), x.rows - row);
    const lk_tensor x_part = rows_of(x, row, rows), s = workspace.matrix(0, rows);
    project_down(x_part, {mask, row}, lora, s, workspace.packed_x());
    multiply_forward(x_part, weight, bias, {&s, &lora.b}, rows_of(y, row, rows), workspace.packed_x());
  }
}

void lora_backward(Device& device, const lk_tensor& x, const lk_tensor& dy, const lk_weight& weight,
                   const lk_lora& lora, const lk_tensor* dx) {
  if (x.rows == 0) return;
  const DropoutMask mask = DropoutMask::of(lora.dropout, lora.seed, lora.step);
  const bool wants_a = lora.grad_a.data != 0, wants_b = lora.grad_b.data != 0;
  const LoraWorkspace workspace(device, x, weight, lora.a.rows, 2, dx ? PartSums::of(*dx, weight.rows) : PartSums{});
  for (int64_t row = 0; row < x.rows; row += workspace.chunk()) {
    const int64_t rows = std::min(workspace.chunk(), x.rows - row);
    const lk_tensor x_part = rows_of(x, row, rows), dy_part = rows_of(dy, row, rows);
    const lk_tensor s = workspace.matrix(0, rows), ds = workspace.matrix(1, rows);
    const Dropout dropout{mask, row};
    if (wants_b) {
      project_down(x_part, dropout, lora, s, workspace.packed_x());
      add_token_product(dy_part, s, {}, lora.grad_b);
    }
    if (wants_a || dx) project_gradient(dy_part, lora, ds);
    if (wants_a) add_token_product(ds, x_part, dropout, lora.grad_a);
    if (dx) backward_input(dy_part, weight, ds, lora.a, dropout, rows_of(*dx, row, rows), workspace.sums());
  }
}

void weight_gradient(Device&, const lk_tensor& x, const lk_tensor& dy, const lk_tensor& dweight) {
  const lk_weight right = dense_weight(x);
  with_product(right, dy.dtype, [&](auto product) {
    using Product = decltype(product);
    const Panels<Product, Direction::kTransposed> panels(right);
    gemm(dweight, 1.0f, nullptr, [&](OutputBlock& block) {
      block.add_transposed_product<Product>(dy, panels);
      block.add_matrix(dweight);
    });
  });
}
