// keep_random and keep_by_magnitude: elements dropped by the words of the counter-based generator. Needs
// cpu/simd/dropout.inl.

// out = x / density where kept[i] != 0, else 0. A dropped NaN stays NaN, as in torch, where masks are multiplied.
inline void keep_masked(const float* x, const float* kept, int64_t count, float density, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = x[i] * (kept[i] != 0.0f ? 1.0f : 0.0f) / density;
}

void keep_random(Device&, const lk_tensor& x, const lk_tensor* mask, float density, uint64_t seed, uint64_t step,
                 const lk_tensor& out) {
  const DropoutMask words = DropoutMask::of(1.0f - density, seed, step);
  for_all_pieces(out.rows, out.cols, [&](int64_t row, int64_t column, int64_t n, std::byte* memory) {
    float *const buffer = reinterpret_cast<float*>(memory), *const kept = buffer + kPieceElements;
    const float* const values = read_piece(x, row, column, n, buffer);
    if (mask) {
      const uint8_t* const given = at_address<const uint8_t>(mask->data) + row * mask->row_stride + column;
      for (int64_t i = 0; i < n; ++i) kept[i] = static_cast<float>(given[i]);
    } else if (words.active()) {
      dropout_factors(words, row, column, n, kept);
    } else {
      std::fill(kept, kept + n, 1.0f);
    }
    keep_masked(values, kept, n, density, kept);
    write_piece(kept, n, out, row, column);
  });
}

// Sorts a row as keys of the bits of |x| above the column, in the scratch memory of the thread where it fits there.
void keep_by_magnitude(Device& device, const lk_tensor& x, float density, float epsilon, uint64_t seed, uint64_t step,
                       const lk_tensor& out) {
  const int64_t cols = x.cols;
  const size_t bytes = static_cast<size_t>(cols) * sizeof(uint64_t);
  parallel_for(x.rows, [&](int64_t row, std::byte* memory) {
    std::optional<Workspace> workspace;
    if (bytes > kScratchBytes) workspace.emplace(device, bytes);
    uint64_t* const keys = reinterpret_cast<uint64_t*>(workspace ? workspace->data() : memory);
    for (int64_t column = 0; column < cols; ++column) {
      float value;
      widen_run(place(x, row, column), x.dtype, 1, &value);
      uint32_t bits;
      std::memcpy(&bits, &value, 4);
      keys[column] = uint64_t{bits & 0x7fffffffu} << 32 | static_cast<uint64_t>(column);
    }
    std::sort(keys, keys + cols, [](uint64_t a, uint64_t b) { return a < b; });
    for (int64_t rank = 0; rank < cols; ++rank) {
      const int64_t column = static_cast<int64_t>(keys[rank] & 0xffffffffu);
      const double share = cols > 1 ? static_cast<double>(rank) / static_cast<double>(cols - 1) : 0.5;
      const float p = static_cast<float>(density - epsilon + 2.0 * epsilon * share);
      const bool kept = DropoutMask::of(1.0f - p, seed, step).factor(row, column) != 0.0f;
      float value;
      widen_run(place(x, row, column), x.dtype, 1, &value);
      value = kept ? value / p : 0.0f;
      narrow_run(&value, 1, place(out, row, column), out.dtype);
    }
  });
}
