// Transposing squares of F32, plain C++.

// out[i][j] = in[j][i] for kLanes x kLanes floats
inline void transpose_square(const float* in, int64_t in_stride, float* out, int64_t out_stride) {
  for (int i = 0; i < Simd::kLanes; ++i) {
    for (int j = 0; j < Simd::kLanes; ++j) out[i * out_stride + j] = in[j * in_stride + i];
  }
}
