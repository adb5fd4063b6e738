// Rows of dense matrices as F32: every operand is widened on the way in (with its dropout), every result is rounded
// once on the way out. Needs cpu/simd/io.inl and cpu/simd/dropout.inl.

// Fetches a run of bytes into L2, line by line from its end: where a run that goes on shares its first line with the
// one before, that line is there already. Not __builtin_prefetch: g++ takes a function of nothing but prefetches for
// one without effects, and removes its calls.
inline void prefetch_run(const void* run, int64_t bytes) {
  const char* p = static_cast<const char*>(run);
  for (int64_t i = bytes - 1; i >= 0; i -= 64) asm volatile("prefetcht1 %0" : : "m"(p[i]));
}

// Fetches what will be read `ahead` bytes later; it may lie behind the end.
inline void prefetch_ahead(const uint8_t* p, int64_t ahead) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(p) + static_cast<uintptr_t>(ahead);
  asm volatile("prefetcht0 %0" : : "m"(*reinterpret_cast<const char*>(address)));
}

// The dropout of a matrix whose row 0 is row `first_row` of the tensor that the mask was made for.
struct Dropout {
  DropoutMask mask{0, 0, 0, 1.0f};  // drops nothing
  int64_t first_row = 0;

  bool active() const { return mask.active(); }

  // values[i] *= factor of element (row, col + i)
  void apply(int64_t row, int64_t col, int64_t count, float* values) const {
    constexpr int64_t kPiece = 128;
    alignas(64) float factors[kPiece];
    for (int64_t first = 0; first < count; first += kPiece) {
      const int64_t piece = std::min(kPiece, count - first);
      dropout_factors(mask, first_row + row, col + first, piece, factors);
      for (int64_t i = 0; i < piece; ++i) values[first + i] *= factors[i];
    }
  }
};

// out[i] = t[row, col + i]
inline void read_row(const lk_tensor& t, int64_t row, int64_t col, int64_t count, float* out) {
  widen_run(element_at(t, row, col), t.dtype, count, out);
}

// out[i] = (dropout ∘ t)[row, col + i]
inline void read_row(const lk_tensor& t, const Dropout& dropout, int64_t row, int64_t col, int64_t count, float* out) {
  read_row(t, row, col, count, out);
  if (dropout.active()) dropout.apply(row, col, count, out);
}

// t[row, col + i] = in[i]
inline void write_row(const lk_tensor& t, int64_t row, int64_t col, int64_t count, const float* in) {
  narrow_run(in, count, element_at(t, row, col), t.dtype);
}

// Rows [first, first + count) of a matrix.
inline lk_tensor rows_of(const lk_tensor& t, int64_t first, int64_t count) {
  lk_tensor part = t;
  part.data += static_cast<lk_address>(first * t.row_stride * element_bytes(t.dtype));
  part.rows = count;
  return part;
}

// An F32 matrix without gaps over memory of this process.
inline lk_tensor f32_matrix(float* data, int64_t rows, int64_t cols) {
  lk_tensor t{};
  t.data = static_cast<lk_address>(reinterpret_cast<uintptr_t>(data));
  t.rows = rows;
  t.cols = cols;
  t.row_stride = cols;
  t.dtype = LK_F32;
  return t;
}
