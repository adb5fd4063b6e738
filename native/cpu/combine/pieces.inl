// How the operations of this folder walk over tensors: elements are counted row-major and split into tasks; a task goes
// through its range in pieces that lie in one row and fit the first cache. Loops over a piece are plain, for the compiler
// to vectorise: every instruction set then rounds alike. Needs cpu/simd/io.inl.

constexpr int64_t kPieceElements = 2048;
constexpr int64_t kTaskElements = 16 * kPieceElements;

// Of many tensors at once: short pieces, for then all of them are read side by side, and the hardware fetches each ahead.
// Eight tensors of 4096x4096 F32 on a Zen 5, one thread: 45 GB/s with 128, 37 with 256, 28 with 2048 elements.
constexpr int64_t kShortPiece = 128;

// Calls body(row, column, count) for pieces that cover the elements [begin, end) of a matrix with `cols` columns.
template <int64_t kElements = kPieceElements, typename Body>
void for_each_piece(int64_t cols, int64_t begin, int64_t end, const Body& body) {
  for (int64_t element = begin; element < end;) {
    const int64_t row = element / cols, column = element % cols;
    const int64_t count = std::min(kElements, std::min(cols - column, end - element));
    body(row, column, count);
    element += count;
  }
}

inline char* place(const lk_tensor& t, int64_t row, int64_t column) {
  return at_address<char>(t.data) + (row * t.row_stride + column) * element_bytes(t.dtype);
}

// `count` elements of a row in F32: where they stand, or widened into `buffer`.
inline const float* read_piece(const lk_tensor& t, int64_t row, int64_t column, int64_t count, float* buffer) {
  const char* from = place(t, row, column);
  if (t.dtype == LK_F32) return reinterpret_cast<const float*>(from);
  widen_run(from, t.dtype, count, buffer);
  return buffer;
}

// The same, up to whole vectors: beyond `count` there are zeros.
inline const float* read_whole_vectors(const lk_tensor& t, int64_t row, int64_t column, int64_t count, float* buffer) {
  if (count % Simd::kLanes == 0) return read_piece(t, row, column, count, buffer);
  widen_run(place(t, row, column), t.dtype, count, buffer);
  std::fill(buffer + count, buffer + ceil_div(count, Simd::kLanes) * Simd::kLanes, 0.0f);
  return buffer;
}

// A result of this many elements would not stay in a cache: its F32 elements are written past them, and the memory is not
// read first. A task that writes so ends with finish_writing.
constexpr int64_t kStreamedElements = int64_t{4} << 20;

inline void write_piece(const float* values, int64_t count, const lk_tensor& t, int64_t row, int64_t column) {
  char* const to = place(t, row, column);
  int64_t streamed = 0;
  if (t.dtype == LK_F32 && t.rows * t.cols >= kStreamedElements && reinterpret_cast<uintptr_t>(to) % 64 == 0) {
    float* const out = reinterpret_cast<float*>(to);
    for (; streamed + Simd::kLanes <= count; streamed += Simd::kLanes) {
      Simd::stream(out + streamed, Simd::load(values + streamed));
    }
  }
  narrow_run(values + streamed, count - streamed, to + streamed * element_bytes(t.dtype), t.dtype);
}

// Streamed writes are seen by other threads only after this.
inline void finish_writing() {
  _mm_sfence();
}

// Calls body(row, column, count, scratch) for pieces that cover a matrix, in parallel.
template <int64_t kElements = kPieceElements, typename Body>
void for_all_pieces(int64_t rows, int64_t cols, const Body& body) {
  const int64_t elements = rows * cols;
  parallel_for(ceil_div(elements, kTaskElements), [&](int64_t task, std::byte* scratch) {
    for_each_piece<kElements>(cols, task * kTaskElements, std::min(elements, (task + 1) * kTaskElements),
                              [&](int64_t row, int64_t column, int64_t count) { body(row, column, count, scratch); });
    finish_writing();
  });
}
