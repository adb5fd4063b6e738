// Loads and stores of the float formats as F32 vectors. Include inside the namespace of an instruction set, after its Simd.

// Elements p[0 ... kLanes) of `dtype`, widened.
inline Simd::F load_as_f32(const void* p, int32_t dtype) {
  switch (dtype) {
    case LK_BF16:
      return Simd::load_bf16(static_cast<const uint16_t*>(p));
    case LK_F16:
      return Simd::load_f16(static_cast<const uint16_t*>(p));
    default:
      return Simd::load(static_cast<const float*>(p));
  }
}

// Elements p[0 ... kLanes) of `dtype`, rounded once to nearest even.
inline void store_from_f32(void* p, int32_t dtype, Simd::F v) {
  switch (dtype) {
    case LK_BF16:
      return Simd::store_bf16(static_cast<uint16_t*>(p), v);
    case LK_F16:
      return Simd::store_f16(static_cast<uint16_t*>(p), v);
    default:
      return Simd::store(static_cast<float*>(p), v);
  }
}

inline int64_t element_bytes(int32_t dtype) {
  return dtype == LK_F32 ? 4 : 2;
}

// Address of element (row, col).
inline char* element_at(const lk_tensor& t, int64_t row, int64_t col) {
  return at_address<char>(t.data) + (row * t.row_stride + col) * element_bytes(t.dtype);
}

// out[0 ... count) = in[0 ... count) in F32.
inline void widen_run(const void* in, int32_t dtype, int64_t count, float* out) {
  const char* p = static_cast<const char*>(in);
  int64_t i = 0;
  for (; i + Simd::kLanes <= count; i += Simd::kLanes) {
    Simd::store(out + i, load_as_f32(p + i * element_bytes(dtype), dtype));
  }
  for (; i < count; ++i) {
    uint16_t bits;
    switch (dtype) {
      case LK_BF16:
        std::memcpy(&bits, p + i * 2, 2);
        out[i] = bf16_to_float(bits);
        break;
      case LK_F16:
        std::memcpy(&bits, p + i * 2, 2);
        out[i] = f16_to_float(bits);
        break;
      default:
        std::memcpy(out + i, p + i * 4, 4);
    }
  }
}

// out[0 ... count) of `dtype` = in[0 ... count), rounded once.
inline void narrow_run(const float* in, int64_t count, void* out, int32_t dtype) {
  char* p = static_cast<char*>(out);
  int64_t i = 0;
  for (; i + Simd::kLanes <= count; i += Simd::kLanes) {
    store_from_f32(p + i * element_bytes(dtype), dtype, Simd::load(in + i));
  }
  for (; i < count; ++i) {
    uint16_t bits;
    switch (dtype) {
      case LK_BF16:
        bits = float_to_bf16(in[i]);
        std::memcpy(p + i * 2, &bits, 2);
        break;
      case LK_F16:
        bits = float_to_f16(in[i]);
        std::memcpy(p + i * 2, &bits, 2);
        break;
      default:
        std::memcpy(p + i * 4, in + i, 4);
    }
  }
}
