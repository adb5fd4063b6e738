// convert and dropout: runs of rows of any stride, widened to F32, narrowed once.

void convert(Device&, const lk_tensor& source, const lk_tensor& out) {
  for_each_run(out.rows, out.cols, [&](int64_t row, int64_t column, int64_t count, float* scratch) {
    const char* from = element_at(source, row, column);
    char* to = element_at(out, row, column);
    if (source.dtype == out.dtype) {
      std::memcpy(to, from, static_cast<size_t>(count * element_bytes(out.dtype)));
      return;
    }
    widen_run(from, source.dtype, count, scratch);
    narrow_run(scratch, count, to, out.dtype);
  });
}

void dropout(Device&, const lk_tensor& x, const lk_lora& lora, const lk_tensor& out) {
  const DropoutMask mask = DropoutMask::of(lora.dropout, lora.seed, lora.step);
  for_each_run(out.rows, out.cols, [&](int64_t row, int64_t column, int64_t count, float* scratch) {
    float* values = scratch;
    float* factors = scratch + kRunElements;
    widen_run(element_at(x, row, column), x.dtype, count, values);
    if (mask.active()) {
      dropout_factors(mask, row, column, count, factors);
      for (int64_t i = 0; i < count; ++i) values[i] *= factors[i];
    }
    narrow_run(values, count, element_at(out, row, column), out.dtype);
  });
}
