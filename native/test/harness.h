// The native tests: named cases, one comparator, no framework. A case is
//
//   LK_TEST(adamw_matches_float64) { ... CHECK(condition); CHECK_CLOSE(actual, expected, tolerance, "what"); }
//
// and a failed check is reported with its place and ends the case. Kernel tests call for_each_table, so that every instruction
// set of this machine is tested.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "common/device.h"
#include "common/error.h"
#include "common/format4.h"
#include "common/half.h"
#include "cpu/backend.h"
#include "cpu/device.h"
#include "lora_kernels.h"

namespace lk::test {

struct Failure {
  std::string message;
};

// What a backend lacks: the case is reported as skipped.
struct Skipped {
  std::string reason;
};

[[noreturn]] void fail_at(const char* file, int line, const std::string& what);

int register_case(const char* name, void (*body)());

#define LK_TEST(name)                                                                         \
  static void name();                                                                         \
  [[maybe_unused]] static const int name##_registered = lk::test::register_case(#name, name); \
  static void name()

#define CHECK(condition)                                                            \
  do {                                                                              \
    if (!(condition)) lk::test::fail_at(__FILE__, __LINE__, "not so: " #condition); \
  } while (0)

#define CHECK_TEXT(condition, text)                                                                            \
  do {                                                                                                         \
    if (!(condition)) lk::test::fail_at(__FILE__, __LINE__, std::string("not so: " #condition ": ") + (text)); \
  } while (0)

// Calls f for every CPU table that this machine supports: f(device), a device that uses the table.
void for_each_table(const std::function<void(Device&)>& f);

inline lk_address address_of(const void* p) {
  return static_cast<lk_address>(reinterpret_cast<uintptr_t>(p));
}

// A matrix in one of the float formats with its values in float64 beside it (the values that the format holds exactly).
struct Matrix {
  Matrix(int64_t rows, int64_t cols, lk_dtype dtype = LK_F32, int64_t row_stride = 0);
  static Matrix random(std::mt19937& generator, int64_t rows, int64_t cols, lk_dtype dtype = LK_F32, float scale = 1.0f,
                       int64_t row_stride = 0);

  lk_tensor tensor() const;
  double at(int64_t row, int64_t col) const;  // what memory holds now
  void set(int64_t row, int64_t col, double value);
  std::vector<double> values() const;  // [rows * cols]

  int64_t rows, cols, stride;
  lk_dtype dtype;
  std::vector<uint8_t> bytes;
};

// A 4-bit weight to write into, with guards behind every array: what a kernel writes past its end is seen.
struct FourBitTarget {
  FourBitTarget(int64_t rows, int64_t cols, lk_format format, int32_t block_size, bool nested);
  // No copies: `w` points into this object.
  FourBitTarget(const FourBitTarget&) = delete;
  FourBitTarget& operator=(const FourBitTarget&) = delete;

  void check_guards() const;
  bool operator==(const FourBitTarget& other) const;  // all that a kernel wrote

  static constexpr int kGuard = 64;
  std::vector<uint8_t> packed, codes;
  std::vector<float> absmax, nested_absmax;
  lk_weight w{};
};

// The one comparator: every |actual - expected| <= tolerance * scale, where scale is the largest |expected| unless given. NaN
// equals NaN; infinities must be equal. Fails with the worst element.
void check_close(const char* file, int line, const std::vector<double>& actual, const std::vector<double>& expected,
                 double tolerance, const std::string& what, double scale = -1);
#define CHECK_CLOSE(...) lk::test::check_close(__FILE__, __LINE__, __VA_ARGS__)

}  // namespace lk::test
