// The flattened tensor in parallel: tasks of a fixed number of elements, a multiple of every block size, so that no
// block (and no byte) belongs to two tasks. Needs cpu/quantize/blocks.inl.

constexpr int64_t kTaskElements = 16 * kMaxBlockSize;

// Splits elements [element, element + count) of a flattened matrix at its row boundaries: f(row, col, count).
template <typename F>
void for_each_row_run(int64_t element, int64_t count, int64_t cols, const F& f) {
  int64_t row = element / cols, col = element % cols;
  while (count > 0) {
    const int64_t run = std::min(count, cols - col);
    f(row++, col, run);
    count -= run;
    col = 0;
  }
}

// Quantises what read(element, count, buffer) -> const float* gives for consecutive pieces of `piece` elements (a
// divisor of kTaskElements, a multiple of every block size). The buffer holds a piece. The absmax values of double
// quantisation are kept in a workspace until all are known.
template <typename Read>
void quantize_pieces(Device& device, lk_weight& out, int64_t piece, const Read& read) {
  const int64_t elements = element_count(out), blocks = block_count(out);
  const bool nested = out.absmax == 0;
  std::optional<Workspace> held;
  if (nested) held.emplace(device, static_cast<size_t>(blocks) * sizeof(float));
  float* absmax = nested ? reinterpret_cast<float*>(held->data()) : at_address<float>(out.absmax);
  uint8_t* packed = at_address<uint8_t>(out.data);
  const BlockQuantizer quantizer(out);
  parallel_for(ceil_div(elements, kTaskElements), [&](int64_t task, std::byte* scratch) {
    const int64_t end = std::min(elements, (task + 1) * kTaskElements);
    for (int64_t start = task * kTaskElements; start < end; start += piece) {
      const int64_t count = std::min(piece, end - start);
      const float* x = read(start, count, reinterpret_cast<float*>(scratch));
      quantizer.quantize(x, count, packed + start / 2, absmax + (start >> quantizer.block_shift()));
    }
  });
  if (nested) double_quantize(absmax, blocks, out);
}
