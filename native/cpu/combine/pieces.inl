// How the operations of this folder walk over tensors: elements are counted row-major and split into tasks; a task goes
// through its range in pieces that lie in one row and fit the first cache. Loops over a piece are plain, for the compiler
// to vectorise: every instruction set then rounds alike. Needs cpu/simd/io.inl.

constexpr int64_t kPieceElements = 2048;
constexpr int64_t kTaskPieces = 16;

// Calls body(row, column, count) for pieces that cover the elements [begin, end) of a matrix with `cols` columns.
template <typename Body>
void for_each_piece(int64_t cols, int64_t begin, int64_t end, const Body& body) {
  for (int64_t element = begin; element < end;) {
    const int64_t row = element / cols, column = element % cols;
    const int64_t count = std::min(kPieceElements, std::min(cols - column, end - element));
    body(row, column, count);
    element += count;
  }
}

// Calls body(row, column, count, scratch) for pieces that cover a matrix, in parallel.
template <typename Body>
void for_all_pieces(int64_t rows, int64_t cols, const Body& body) {
  constexpr int64_t kTask = kPieceElements * kTaskPieces;
  const int64_t elements = rows * cols;
  parallel_for(ceil_div(elements, kTask), [&](int64_t task, std::byte* scratch) {
    for_each_piece(cols, task * kTask, std::min(elements, (task + 1) * kTask),
                   [&](int64_t row, int64_t column, int64_t count) { body(row, column, count, scratch); });
  });
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

inline void write_piece(const float* values, int64_t count, const lk_tensor& t, int64_t row, int64_t column) {
  narrow_run(values, count, place(t, row, column), t.dtype);
}
