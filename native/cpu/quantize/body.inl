// quantize and dequantize. Needs cpu/quantize/pieces.inl and cpu/weight/decode.inl.

inline char* element_of(const lk_tensor& t, int64_t row, int64_t col) {
  return at_address<char>(t.data) + (row * t.row_stride + col) * element_bytes(t.dtype);
}

// A matrix without gaps as one long row.
inline lk_tensor flattened(lk_tensor t) {
  if (t.row_stride != t.cols) return t;
  t.cols *= t.rows;
  t.row_stride = t.cols;
  t.rows = 1;
  return t;
}

// Elements [element, element + count) of the flattened matrix as F32: in place where they stand so already, otherwise
// gathered into `buffer`.
inline const float* flat_f32(const lk_tensor& t, int64_t element, int64_t count, float* buffer) {
  const int64_t row = element / t.cols, col = element % t.cols;
  if (t.dtype == LK_F32 && col + count <= t.cols) return reinterpret_cast<const float*>(element_of(t, row, col));
  float* to = buffer;
  for_each_row_run(element, count, t.cols, [&](int64_t r, int64_t c, int64_t run) {
    widen_run(element_of(t, r, c), t.dtype, run, to);
    to += run;
  });
  return buffer;
}

void quantize(Device& device, const lk_tensor& source, lk_weight& out) {
  const lk_tensor flat = flattened(source);
  quantize_pieces(device, out, kMaxBlockSize, [&](int64_t element, int64_t count, float* buffer) {
    return flat_f32(flat, element, count, buffer);
  });
}

// out[i] = element `element + i` of a 4-bit weight. scaled(scale, T table[16]) fills the table of a block.
template <typename T, typename ScaledTable>
void dequantize_run(const lk_weight& weight, const BlockScales& scales, int64_t element, int64_t count,
                    const ScaledTable& scaled, T* out) {
  const uint8_t* packed = at_address<const uint8_t>(weight.data);
  for_each_block_run(element, count, block_shift_of(weight), [&](int64_t block, int64_t start, int64_t run) {
    alignas(64) T table[16];
    scaled(scales[block], table);
    lookup_run(packed, start, run, table, out);
    out += run;
  });
}

void dequantize(Device& device, const lk_weight& weight, const lk_tensor& out) {
  if (!is_4bit(weight)) {
    device.kernels->convert(device,
                            lk_tensor{weight.data, weight.rows, weight.cols, weight.row_stride, weight.dtype, 0}, out);
    return;
  }
  const lk_tensor flat = flattened(out);
  const BlockScales scales(weight);
  const float* code = code_book(weight.format);
  const int64_t elements = element_count(weight);
  parallel_for(ceil_div(elements, kTaskElements), [&](int64_t task, std::byte*) {
    const int64_t start = task * kTaskElements, end = std::min(elements, start + kTaskElements);
    int64_t element = start;
    for_each_row_run(start, end - start, flat.cols, [&](int64_t row, int64_t col, int64_t run) {
      char* to = element_of(flat, row, col);
      if (flat.dtype == LK_F32) {
        const auto scaled = [&](float scale, float* table) { scaled_table(code, scale, table); };
        dequantize_run(weight, scales, element, run, scaled, reinterpret_cast<float*>(to));
      } else {
        const auto scaled = [&](float scale, uint16_t* table) { scaled_table(code, scale, flat.dtype, table); };
        dequantize_run(weight, scales, element, run, scaled, reinterpret_cast<uint16_t*>(to));
      }
      element += run;
    });
  });
}
