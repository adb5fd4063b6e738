// Stand-in for CUDA's header of the same name: dim3 and the short vectors, with CUDA's alignments.
#pragma once

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct uint3 {
  unsigned x, y, z;
};

#define LK_EMU_VECTORS(scalar, name, align2, align4)                      \
  struct alignas(align2) name##2 {                                        \
    scalar x, y;                                                          \
  };                                                                      \
  struct alignas(align4) name##4 {                                        \
    scalar x, y, z, w;                                                    \
  };                                                                      \
  inline name##2 make_##name##2(scalar x, scalar y) {                     \
    return {x, y};                                                        \
  }                                                                       \
  inline name##4 make_##name##4(scalar x, scalar y, scalar z, scalar w) { \
    return {x, y, z, w};                                                  \
  }

LK_EMU_VECTORS(signed char, char, 2, 4)
LK_EMU_VECTORS(unsigned char, uchar, 2, 4)
LK_EMU_VECTORS(short, short, 4, 8)
LK_EMU_VECTORS(unsigned short, ushort, 4, 8)
LK_EMU_VECTORS(int, int, 8, 16)
LK_EMU_VECTORS(unsigned, uint, 8, 16)
LK_EMU_VECTORS(float, float, 8, 16)
LK_EMU_VECTORS(long long, longlong, 16, 16)
LK_EMU_VECTORS(unsigned long long, ulonglong, 16, 16)
LK_EMU_VECTORS(double, double, 16, 16)

#undef LK_EMU_VECTORS
