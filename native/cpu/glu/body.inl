// glu and its backward: one pass; the header has the formulas.

// Not a lambda, see Sum in cpu/elementwise/arithmetic.inl.
template <typename Kind>
struct Gated {
  Simd::F operator()(Simd::F gate, Simd::F up) const { return Simd::mul(Kind::value(gate), up); }
};

void glu(Device&, int32_t activation, const lk_tensor& gate, const lk_tensor& up, const lk_tensor& out) {
  with_activation(activation, [&](auto kind) {
    using Kind = decltype(kind);
    map_elements(out, Gated<Kind>{}, gate, up);
  });
}

void glu_backward(Device&, int32_t activation, const lk_tensor& gate, const lk_tensor& up, const lk_tensor& dout,
                  const lk_tensor& dgate, const lk_tensor& dup) {
  with_activation(activation, [&](auto kind) {
    using Kind = decltype(kind);
    with_format(gate.dtype, [&](auto format) {
      using Values = decltype(format);
      for_each_run(gate.rows, gate.cols, [&](int64_t row, int64_t col, int64_t count, float*) {
        const auto *g = Values::at(gate, row, col), *u = Values::at(up, row, col), *d = Values::at(dout, row, col);
        auto *to_gate = Values::at(dgate, row, col), *to_up = Values::at(dup, row, col);
        for_each_vector(count, [&](int64_t i, auto lanes) {
          const Activated a = Kind::with_slope(Values::load(g + i, lanes));
          const Simd::F up_value = Values::load(u + i, lanes), gradient = Values::load(d + i, lanes);
          Values::store(to_gate + i, Simd::mul(Simd::mul(gradient, up_value), a.slope), lanes);
          Values::store(to_up + i, Simd::mul(gradient, a.value), lanes);
        });
      });
    });
  });
}
