// Rotary embedding in place; the header has the formula. A row of x is one token: its heads share cosines and sines.

// The sines of a piece of a row, in the direction of the rotation, and their negatives.
struct alignas(64) RotationSines {
  static constexpr int64_t kPiece = 1024;
  float plus[kPiece], minus[kPiece];
};

// The address may lie behind the end of the memory.
inline void prefetch_at(uintptr_t address) {
  asm volatile("prefetcht0 %0" : : "m"(*reinterpret_cast<const char*>(address)));
}

// Pairs (first[i], second[i]) of one head. The order in which its halves are read hides from the processor that memory is
// read from end to end, so what comes a little later is fetched here.
template <typename Values>
void rotate(int64_t count, const float* cos, const RotationSines& sines, typename Values::Element* first,
            typename Values::Element* second) {
  constexpr uintptr_t kAhead = 4096;  // bytes
  for_each_vector(count, [&](int64_t i, auto lanes) {
    prefetch_at(reinterpret_cast<uintptr_t>(first + i) + kAhead);
    prefetch_at(reinterpret_cast<uintptr_t>(second + i) + kAhead);
    const Simd::F c = F32::load(cos + i, lanes);
    const Simd::F a = Values::load(first + i, lanes), b = Values::load(second + i, lanes);
    Values::store(first + i, Simd::fma(b, F32::load(sines.minus + i, lanes), Simd::mul(a, c)), lanes);
    Values::store(second + i, Simd::fma(a, F32::load(sines.plus + i, lanes), Simd::mul(b, c)), lanes);
  });
}

void rope(Device&, const lk_tensor& x, int64_t head_dim, const lk_tensor& position_ids, const lk_tensor& cos,
          const lk_tensor& sin, int32_t direction) {
  constexpr int64_t kTaskElements = 16384;
  const int64_t rows_per_task = std::max<int64_t>(1, kTaskElements / x.cols), half = head_dim / 2;
  const int32_t* positions = at_address<const int32_t>(position_ids.data);
  const float sign = static_cast<float>(direction);
  with_format(x.dtype, [&](auto format) {
    using Values = decltype(format);
    parallel_for(ceil_div(x.rows, rows_per_task), [&](int64_t task, std::byte* scratch) {
      auto& sines = *reinterpret_cast<RotationSines*>(scratch);
      const int64_t end = std::min(x.rows, (task + 1) * rows_per_task);
      for (int64_t row = task * rows_per_task; row < end; ++row) {
        for (int64_t piece = 0; piece < half; piece += RotationSines::kPiece) {
          const int64_t count = std::min(RotationSines::kPiece, half - piece);
          const float *row_cos = F32::at(cos, positions[row], piece), *row_sin = F32::at(sin, positions[row], piece);
          for (int64_t i = 0; i < count; ++i) {
            sines.plus[i] = sign * row_sin[i];
            sines.minus[i] = -sign * row_sin[i];
          }
          for (int64_t col = piece; col < x.cols; col += head_dim) {
            auto* first = Values::at(x, row, col);
            rotate<Values>(count, row_cos, sines, first, first + half);
          }
        }
      }
    });
  });
}
