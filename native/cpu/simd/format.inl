// The float formats as types: a loop is compiled once for each of them, and does not ask for the dtype at every vector.
// Include inside the namespace of an instruction set, after its Simd and cpu/simd/io.inl.

// How much of a vector is meant: all of it, or the first `count` lanes (0 ... kLanes - 1).
struct AllLanes {};
struct FirstLanes {
  int count;
};

template <int32_t kDtype>
struct Format {
  using Element = std::conditional_t<kDtype == LK_F32, float, uint16_t>;

  static Simd::F load(const Element* p, AllLanes = {}) { return load_as_f32(p, kDtype); }
  static void store(Element* p, Simd::F v, AllLanes = {}) { store_from_f32(p, kDtype, v); }
  // Other lanes read as 0 and are not written.
  static Simd::F load(const Element* p, FirstLanes lanes) {
    if constexpr (kDtype == LK_F32) {
      return Simd::load_partial(p, lanes.count);
    } else {
      Element values[Simd::kLanes] = {};
      std::memcpy(values, p, static_cast<size_t>(lanes.count) * sizeof(Element));
      return load(values);
    }
  }
  static void store(Element* p, Simd::F v, FirstLanes lanes) {
    if constexpr (kDtype == LK_F32) {
      Simd::store_partial(p, v, lanes.count);
    } else {
      Element values[Simd::kLanes];
      store(values, v);
      std::memcpy(p, values, static_cast<size_t>(lanes.count) * sizeof(Element));
    }
  }
  static Element* at(const lk_tensor& t, int64_t row, int64_t col) {
    return at_address<Element>(t.data) + row * t.row_stride + col;
  }
};

using F32 = Format<LK_F32>;

// f(Format<dtype>{})
template <typename F>
void with_format(int32_t dtype, F&& f) {
  switch (dtype) {
    case LK_BF16:
      return f(Format<LK_BF16>{});
    case LK_F16:
      return f(Format<LK_F16>{});
    default:
      return f(F32{});
  }
}

// Calls body(i, lanes) for every vector of [0, count): with AllLanes, and once with FirstLanes for what is left.
template <typename Body>
void for_each_vector(int64_t count, const Body& body) {
  int64_t i = 0;
  for (; i + Simd::kLanes <= count; i += Simd::kLanes) body(i, AllLanes{});
  if (i < count) body(i, FirstLanes{static_cast<int>(count - i)});
}

// The sum of term(i, lanes) over every vector of [0, count), four of them at a time, so that additions do not wait for one
// another, and in F64 from block to block, so that long rows lose nothing. Lanes that are not meant must be 0.
template <typename Term>
double sum_of_vectors(int64_t count, const Term& term) {
  constexpr int64_t kBlock = 4096;
  constexpr int kChains = 4;
  double total = 0.0;
  for (int64_t i = 0; i < count;) {
    const int64_t end = std::min(count, i + kBlock);
    Simd::F sums[kChains] = {Simd::zero(), Simd::zero(), Simd::zero(), Simd::zero()};
    for (; i + kChains * Simd::kLanes <= end; i += kChains * Simd::kLanes) {
#pragma GCC unroll 4
      for (int c = 0; c < kChains; ++c) sums[c] = Simd::add(sums[c], term(i + c * Simd::kLanes, AllLanes{}));
    }
    for (; i + Simd::kLanes <= end; i += Simd::kLanes) sums[0] = Simd::add(sums[0], term(i, AllLanes{}));
    if (i < end) sums[1] = Simd::add(sums[1], term(i, FirstLanes{static_cast<int>(end - i)}));
    i = end;
    total += double{Simd::sum(Simd::add(Simd::add(sums[0], sums[1]), Simd::add(sums[2], sums[3])))};
  }
  return total;
}
