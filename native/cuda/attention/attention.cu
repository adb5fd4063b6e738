#include "cuda/attention/attention.h"

namespace lk::cuda {

AttentionArgs attention_args(Device& device, const lk_attention& attention, const char* operation, bool backward) {
  return {AnyMatrix(attention.q),
          AnyMatrix(attention.k),
          AnyMatrix(attention.v),
          attention.q.rows,
          attention.k.rows,
          at_address<const int32_t>(attention.sequences.data),
          attention.sequences.row_stride,
          attention.sequences.rows,
          attention.kv_heads,
          attention.heads / attention.kv_heads,
          attention.head_dim,
          attention.window,
          attention.scale,
          attention.softcap,
          backward,
          check_sequences(device, operation)};
}

void install_attention(KernelTable& table) {
  table.transformer.attention_forward = attention_forward;
  table.transformer.attention_backward = attention_backward;
}

}  // namespace lk::cuda
