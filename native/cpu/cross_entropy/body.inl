// linear_cross_entropy: the labelled tokens go by in slices of as many as fit into the workspace; the others cost nothing.
//
//   x slice   = their rows of x, gathered                          BF16 where x is, F32 otherwise
//   logits    = x slice * W^T                                      F32
//   loss, predictions; logits become their gradient dz, in place   dtype of the x slice
//   dx        = dz * W, scattered                                  rows of unlabelled tokens are 0
//   dweight  += dz^T * x slice
//
// The products are those of the table that the device uses.

// What a slice takes. A product of the table may take its own workspace beside it.
constexpr int64_t kSliceBytes = (int64_t{16} << 20) - static_cast<int64_t>(kMaxWorkspaceBytes);

class Slice {
 public:
  Slice(Device& device, const lk_cross_entropy& arguments, int64_t labelled)
      : device_(device),
        a_(arguments),
        dtype_(a_.x.dtype == LK_BF16 ? LK_BF16 : LK_F32),
        vocabulary_(a_.weight.rows),
        hidden_(a_.weight.cols),
        logits_bytes_(ceil_div(vocabulary_, 16) * 64),
        hidden_bytes_(ceil_div(hidden_ * element_bytes(dtype_), 64) * 64),
        capacity_(std::clamp<int64_t>(kSliceBytes / row_bytes(), 1, std::max<int64_t>(1, labelled))),
        memory_(device, static_cast<size_t>(capacity_ * row_bytes())) {
    tokens_ = reinterpret_cast<int64_t*>(memory_.data() + capacity_ * (logits_bytes_ + 2 * hidden_bytes_));
  }

  // Takes the next labelled tokens from `token` on and returns the token behind them.
  int64_t fill(int64_t token) {
    const int32_t* labels = at_address<const int32_t>(a_.labels.data);
    for (count_ = 0; token < a_.x.rows && count_ < capacity_; ++token) {
      if (labels[token] >= 0) tokens_[count_++] = token;
    }
    return token;
  }

  void run() {
    if (count_ == 0) return;
    parallel_for(count_, [&](int64_t i, std::byte* scratch) {
      copy_row(row_at(a_.x, tokens_[i]), a_.x.dtype, row_at(x(), i), dtype_, scratch);
    });
    device_.kernels->matmul(device_, x(), a_.weight, nullptr, logits());
    const bool gradients = a_.dx.data != 0 || a_.dweight.data != 0;
    parallel_for(count_, [&](int64_t i, std::byte*) { finish_row(i, gradients); });
    if (a_.dx.data != 0) {
      device_.kernels->matmul_transposed(device_, dz(), a_.weight, dx());
      parallel_for(count_, [&](int64_t i, std::byte* scratch) {
        copy_row(row_at(dx(), i), dtype_, row_at(a_.dx, tokens_[i]), a_.dx.dtype, scratch);
      });
    }
    if (a_.dweight.data != 0) device_.kernels->transformer.weight_gradient(device_, x(), dz(), a_.dweight);
  }

 private:
  void finish_row(int64_t i, bool gradients) {
    const int64_t token = tokens_[i], label = at_address<const int32_t>(a_.labels.data)[token];
    LogitRow row(reinterpret_cast<float*>(row_at(logits(), i)), vocabulary_);
    row.cap(a_.softcap);
    at_address<float>(a_.loss.data)[token] = static_cast<float>(row.loss(label));
    if (a_.predictions.data != 0) at_address<int32_t>(a_.predictions.data)[token] = row.prediction();
    if (!gradients) return;
    const float weight = a_.weights.data != 0 ? at_address<const float>(a_.weights.data)[token] : 1.0f;
    row.to_gradient(label, a_.softcap, a_.gradient_scale * weight, dtype_);
  }

  // A row of `hidden` elements, through F32 where the dtypes differ.
  void copy_row(const char* from, int32_t from_dtype, char* to, int32_t to_dtype, std::byte* scratch) const {
    if (from_dtype == to_dtype) {
      std::memcpy(to, from, static_cast<size_t>(hidden_ * element_bytes(to_dtype)));
      return;
    }
    constexpr int64_t kPiece = static_cast<int64_t>(kScratchBytes / sizeof(float));
    float* piece = reinterpret_cast<float*>(scratch);
    for (int64_t first = 0; first < hidden_; first += kPiece) {
      const int64_t count = std::min(kPiece, hidden_ - first);
      widen_run(from + first * element_bytes(from_dtype), from_dtype, count, piece);
      narrow_run(piece, count, to + first * element_bytes(to_dtype), to_dtype);
    }
  }

  int64_t row_bytes() const { return logits_bytes_ + 2 * hidden_bytes_ + int64_t{sizeof(int64_t)}; }
  static char* row_at(const lk_tensor& t, int64_t row) {
    return at_address<char>(t.data) + row * t.row_stride * element_bytes(t.dtype);
  }
  lk_tensor matrix(int64_t offset, int64_t cols, int64_t bytes, int32_t dtype) const {
    lk_tensor t{};
    t.data = static_cast<lk_address>(reinterpret_cast<uintptr_t>(memory_.data() + offset));
    t.rows = count_;
    t.cols = cols;
    t.row_stride = bytes / element_bytes(dtype);
    t.dtype = dtype;
    return t;
  }
  lk_tensor logits() const { return matrix(0, vocabulary_, logits_bytes_, LK_F32); }
  lk_tensor dz() const { return matrix(0, vocabulary_, logits_bytes_, dtype_); }
  lk_tensor x() const { return matrix(capacity_ * logits_bytes_, hidden_, hidden_bytes_, dtype_); }
  lk_tensor dx() const { return matrix(capacity_ * (logits_bytes_ + hidden_bytes_), hidden_, hidden_bytes_, dtype_); }

  Device& device_;
  const lk_cross_entropy& a_;
  int32_t dtype_;  // of x, dz and dx in the slice
  int64_t vocabulary_, hidden_;
  int64_t logits_bytes_, hidden_bytes_;  // of a row
  int64_t capacity_;                     // rows that there is room for
  Workspace memory_;
  int64_t* tokens_;  // of the rows
  int64_t count_ = 0;
};

// What tokens without a label get: no loss, no gradient, no prediction. Returns the number of the others.
inline int64_t clear_unlabelled(const lk_cross_entropy& a) {
  const int32_t* labels = at_address<const int32_t>(a.labels.data);
  int64_t labelled = 0;
  for (int64_t token = 0; token < a.x.rows; ++token) {
    if (labels[token] >= 0) {
      ++labelled;
      continue;
    }
    at_address<float>(a.loss.data)[token] = 0.0f;
    if (a.predictions.data != 0) at_address<int32_t>(a.predictions.data)[token] = -1;
    if (a.dx.data != 0) {
      char* row = at_address<char>(a.dx.data) + token * a.dx.row_stride * element_bytes(a.dx.dtype);
      std::memset(row, 0, static_cast<size_t>(a.dx.cols * element_bytes(a.dx.dtype)));
    }
  }
  return labelled;
}

void linear_cross_entropy(Device& device, const lk_cross_entropy& arguments) {
  const int64_t labelled = clear_unlabelled(arguments);
  if (labelled == 0) return;
  Slice slice(device, arguments, labelled);
  for (int64_t token = 0; token < arguments.x.rows;) {
    token = slice.fill(token);
    slice.run();
  }
}
