// add, scale, softcap and scale_columns: one pass in the dtype of the output, arithmetic in F32.

// Not a lambda without captures: g++ 12 compiles its conversion to a function pointer for the wrong target.
struct Sum {
  Simd::F operator()(Simd::F a, Simd::F b) const { return Simd::add(a, b); }
};

void add(Device&, const lk_tensor& a, const lk_tensor& b, const lk_tensor& out) {
  map_elements(out, Sum{}, a, b);
}

void scale(Device&, const lk_tensor& x, float factor, const lk_tensor& out) {
  map_elements(
      out, [factor](Simd::F v) { return Simd::mul(v, Simd::set1(factor)); }, x);
}

void softcap(Device&, const lk_tensor& x, float cap, const lk_tensor& out) {
  const auto op = [cap, inverse = 1.0f / cap](Simd::F v) {
    return Simd::mul(Simd::set1(cap), tanh(Simd::mul(v, Simd::set1(inverse))));
  };
  map_elements(out, op, x);
}

void scale_columns(Device& device, const lk_tensor& x, const lk_tensor& factors, const lk_tensor* bias,
                   const lk_tensor& out) {
  const float* factor_values = at_address<const float>(factors.data);
  std::optional<Workspace> widened;  // bias in F32
  if (bias && bias->dtype != LK_F32) {
    widened.emplace(device, static_cast<size_t>(bias->cols) * sizeof(float));
    widen_run(element_at(*bias, 0, 0), bias->dtype, bias->cols, reinterpret_cast<float*>(widened->data()));
  }
  const float* offsets = widened ? reinterpret_cast<const float*>(widened->data())
                         : bias  ? at_address<const float>(bias->data)
                                 : nullptr;
  with_format(out.dtype, [&](auto format) {
    using Values = decltype(format);
    for_each_run(out.rows, out.cols, [&](int64_t row, int64_t col, int64_t count, float*) {
      const auto* from = Values::at(x, row, col);
      auto* to = Values::at(out, row, col);
      for_each_vector(count, [&](int64_t i, auto lanes) {
        const Simd::F offset = offsets ? F32::load(offsets + col + i, lanes) : Simd::zero();
        const Simd::F factor = F32::load(factor_values + col + i, lanes);
        Values::store(to + i, Simd::fma(Values::load(from + i, lanes), factor, offset), lanes);
      });
    });
  });
}
