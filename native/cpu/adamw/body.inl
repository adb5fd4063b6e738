// One step over all tensors: their chunks form one list of tasks, so that many small tensors keep every thread as busy as one
// large one.

// Elements [begin, end) of a tensor.
inline void update_chunk(const StepConstants& step, const lk_adamw_param& t, int64_t begin, int64_t end) {
  const AdamwConstants constants(step, t);
  switch (t.state_format) {
    case LK_STATE_8BIT:
      return update_block_states(constants, t, begin, end);
    case LK_STATE_BF16:
      return update_float_states<Format<LK_BF16>>(constants, t, begin, end);
    default:
      return update_float_states<F32>(constants, t, begin, end);
  }
}

void adamw_step(Device& device, const lk_adamw_config& config, const lk_adamw_param* parameters, int64_t count) {
  constexpr int64_t kChunk = 1 << 16;
  static_assert(kChunk % LK_STATE_BLOCK == 0, "chunks hold whole blocks");
  const StepConstants step(config);
  // first_chunk[i] = number of chunks before tensor i
  const Workspace workspace(device, static_cast<size_t>(count + 1) * sizeof(int64_t));
  int64_t* first_chunk = reinterpret_cast<int64_t*>(workspace.data());
  first_chunk[0] = 0;
  for (int64_t i = 0; i < count; ++i) first_chunk[i + 1] = first_chunk[i] + ceil_div(parameters[i].count, kChunk);
  parallel_for(first_chunk[count], [&](int64_t chunk, std::byte*) {
    const int64_t tensor = std::upper_bound(first_chunk, first_chunk + count + 1, chunk) - first_chunk - 1;
    const int64_t begin = (chunk - first_chunk[tensor]) * kChunk;
    update_chunk(step, parameters[tensor], begin, std::min(begin + kChunk, parameters[tensor].count));
  });
}
