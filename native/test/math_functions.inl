// The functions of cpu/simd/math.inl over arrays, for one instruction set; see test_math.cpp.

struct VectorMath {
  template <typename F>
  static void map(const std::vector<float>& in, std::vector<float>& out, const F& f) {
    out.resize(in.size());
    for (size_t i = 0; i < in.size(); i += Simd::kLanes) {
      const int lanes = static_cast<int>(std::min<size_t>(Simd::kLanes, in.size() - i));
      Simd::store_partial(out.data() + i, f(Simd::load_partial(in.data() + i, lanes)), lanes);
    }
  }
  // Captures, since g++ 12 compiles a lambda's conversion to a function pointer for the wrong target.
  static void apply(test::Function function, const std::vector<float>& in, std::vector<float>& out) {
    map(in, out, [function](Simd::F x) {
      switch (function) {
        case test::Function::kExp:
          return exp(x);
        case test::Function::kTanh:
          return tanh(x);
        case test::Function::kErf:
          return erf(x);
        default:
          return sigmoid(x);
      }
    });
  }
};
