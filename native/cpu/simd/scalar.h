// Vectors for the bodies: plain C++, 4 lanes (what every x86-64 compiler can keep in one register). No fused multiply-add:
// without the instruction it would be a slow library call.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "common/half.h"

namespace lk::cpu::scalar {

struct Simd {
  static constexpr int kLanes = 4;
  struct F {
    float lane[4];
  };
  struct Mask {
    bool lane[4];
  };
  struct D {  // kLanes values of F64
    double lane[4];
  };

  static F zero() { return set1(0.0f); }
  static F set1(float v) { return {{v, v, v, v}}; }
  static F load(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
  static void store(float* p, F v) { store_partial(p, v, kLanes); }
  static void stream(float* p, F v) { store(p, v); }
  // The first `count` lanes (0 ... kLanes); the others read as 0 and are not written.
  static F load_partial(const float* p, int count) {
    F v = zero();
    for (int i = 0; i < count; ++i) v.lane[i] = p[i];
    return v;
  }
  static void store_partial(float* p, F v, int count) {
    for (int i = 0; i < count; ++i) p[i] = v.lane[i];
  }
  static F add(F a, F b) {
    return map(a, b, [](float x, float y) { return x + y; });
  }
  static F sub(F a, F b) {
    return map(a, b, [](float x, float y) { return x - y; });
  }
  static F mul(F a, F b) {
    return map(a, b, [](float x, float y) { return x * y; });
  }
  static F div(F a, F b) {
    return map(a, b, [](float x, float y) { return x / y; });
  }
  static F sqrt(F a) {
    return map(a, a, [](float x, float) { return std::sqrt(x); });
  }
  // max and min give b where either is a NaN.
  static F max(F a, F b) {
    return map(a, b, [](float x, float y) { return x > y ? x : y; });
  }
  static F min(F a, F b) {
    return map(a, b, [](float x, float y) { return x < y ? x : y; });
  }
  static F abs(F a) {
    return map(a, a, [](float x, float) { return std::fabs(x); });
  }
  static F copysign(F magnitude, F sign) {
    return map(magnitude, sign, [](float x, float y) { return std::copysign(x, y); });
  }
  static Mask less(F a, F b) {
    Mask m;
    for (int i = 0; i < kLanes; ++i) m.lane[i] = a.lane[i] < b.lane[i];
    return m;
  }
  // m ? a : b
  static F select(Mask m, F a, F b) {
    for (int i = 0; i < kLanes; ++i) a.lane[i] = m.lane[i] ? a.lane[i] : b.lane[i];
    return a;
  }
  static bool any(Mask m) { return m.lane[0] || m.lane[1] || m.lane[2] || m.lane[3]; }
  static F fma(F a, F b, F c) { return add(mul(a, b), c); }
  static F round(F a) {
    return map(a, a, [](float x, float) { return std::nearbyint(x); });
  }
  // a * 2^n, rounded once; n is integral, -150 ... 150
  static F times_power_of_two(F a, F n) {
    return map(a, n, [](float x, float exponent) {
      const int whole = std::isnan(exponent) ? 0 : static_cast<int>(exponent), half = whole / 2;
      return x * power_of_two(half) * power_of_two(whole - half);
    });
  }
  static float sum(F a) { return (a.lane[0] + a.lane[2]) + (a.lane[1] + a.lane[3]); }
  static float largest(F a) { return std::max(std::max(a.lane[0], a.lane[2]), std::max(a.lane[1], a.lane[3])); }

  static D zero_d() { return {{0, 0, 0, 0}}; }
  // sums + a in F64, lane by lane
  static D add(D sums, F a) {
    for (int i = 0; i < kLanes; ++i) sums.lane[i] += double{a.lane[i]};
    return sums;
  }
  // sums + a * a in F64, lane by lane
  static D add_squares(D sums, F a) {
    for (int i = 0; i < kLanes; ++i) sums.lane[i] += double{a.lane[i]} * double{a.lane[i]};
    return sums;
  }
  static double sum(D a) { return (a.lane[0] + a.lane[2]) + (a.lane[1] + a.lane[3]); }

  // 16-bit formats, kLanes elements.
  static F load_bf16(const uint16_t* p) { return each(p, bf16_to_float); }
  static F load_f16(const uint16_t* p) { return each(p, f16_to_float); }
  static void store_bf16(uint16_t* p, F v) {
    for (int i = 0; i < kLanes; ++i) p[i] = float_to_bf16(v.lane[i]);
  }
  static void store_f16(uint16_t* p, F v) {
    for (int i = 0; i < kLanes; ++i) p[i] = float_to_f16(v.lane[i]);
  }

 private:
  static float power_of_two(int n) { return bits_float(static_cast<uint32_t>(n + 127) << 23); }
  template <typename Op>
  static F map(F a, F b, Op op) {
    F r;
    for (int i = 0; i < kLanes; ++i) r.lane[i] = op(a.lane[i], b.lane[i]);
    return r;
  }
  template <typename Op>
  static F each(const uint16_t* p, Op op) {
    F r;
    for (int i = 0; i < kLanes; ++i) r.lane[i] = op(p[i]);
    return r;
  }
};

}  // namespace lk::cpu::scalar
