// exp, tanh, erf and the logistic function of vectors against float64, over floats of every exponent.
#include <limits>
#include <vector>

#include "cpu/simd/target.h"
#include "test/harness.h"

namespace lk::test {

enum class Function { kExp, kTanh, kErf, kSigmoid };

}  // namespace lk::test

#include "cpu/simd/scalar.h"

namespace lk::cpu::scalar {
namespace {
#include "cpu/simd/math.inl"
#include "test/math_functions.inl"
}  // namespace
}  // namespace lk::cpu::scalar

#include "cpu/simd/begin_avx2.inl"

namespace lk::cpu::avx2 {
namespace {
#include "cpu/simd/math.inl"
#include "test/math_functions.inl"
}  // namespace
}  // namespace lk::cpu::avx2

#pragma GCC pop_options

#include "cpu/simd/begin_avx512.inl"

namespace lk::cpu::avx512 {
namespace {
#include "cpu/simd/math.inl"
#include "test/math_functions.inl"
}  // namespace
}  // namespace lk::cpu::avx512

#pragma GCC pop_options

namespace lk::test {
namespace {

// The logistic function rounds twice more after exp.
constexpr double most_ulp(Function function) {
  return function == Function::kSigmoid ? 3.0 : 2.0;
}

double exact(Function function, double x) {
  switch (function) {
    case Function::kExp:
      return std::exp(x);
    case Function::kTanh:
      return std::tanh(x);
    case Function::kErf:
      return std::erf(x);
    default:
      return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
  }
}

// Distance of neighbouring floats at a value.
double ulp(double value) {
  const double magnitude = std::fabs(value);
  if (magnitude < 0x1p-126) return 0x1p-149;
  return std::ldexp(1.0, std::ilogb(magnitude) - 23);
}

// Floats of every sign and exponent, one in some thousands, and the range where the functions are neither flat nor 0.
std::vector<float> arguments() {
  std::vector<float> all = {0.0f, -0.0f, 1.0f, -1.0f, 0.625f, 0x1p-149f, -0x1p-149f, 88.7228394f, -103.972084f};
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 8191) {
    const float x = bits_float(static_cast<uint32_t>(bits));
    if (std::isfinite(x)) all.push_back(x);
  }
  for (int i = -110000; i < 110000; ++i) all.push_back(static_cast<float>(i) * 1.001e-3f);
  return all;
}

void check(const char* isa, Function function, const std::vector<float>& in, const std::vector<float>& out) {
  for (size_t i = 0; i < in.size(); ++i) {
    const double expected = exact(function, in[i]);
    if (expected > double{std::numeric_limits<float>::max()}) {
      CHECK(out[i] >= std::numeric_limits<float>::max());
      continue;
    }
    const double error = std::fabs(double{out[i]} - expected) / ulp(expected);
    if (!(error < most_ulp(function))) {
      char text[160];
      std::snprintf(text, sizeof text, "%s, function %d of %.9g is %.9g, expected %.9g: %.2f ulp", isa,
                    static_cast<int>(function), double{in[i]}, double{out[i]}, expected, error);
      fail_at(__FILE__, __LINE__, text);
    }
  }
}

using Apply = void (*)(Function, const std::vector<float>&, std::vector<float>&);

struct Implementation {
  const char* name;
  cpu::Isa isa;
  Apply apply;
};

constexpr Implementation kImplementations[] = {{"scalar", cpu::Isa::kScalar, cpu::scalar::VectorMath::apply},
                                               {"avx2", cpu::Isa::kAvx2, cpu::avx2::VectorMath::apply},
                                               {"avx512", cpu::Isa::kAvx512, cpu::avx512::VectorMath::apply}};
constexpr Function kFunctions[] = {Function::kExp, Function::kTanh, Function::kErf, Function::kSigmoid};

}  // namespace

LK_TEST(math_is_within_a_few_ulp_of_float64) {
  const std::vector<float> in = arguments();
  std::vector<float> out;
  for (const Implementation& implementation : kImplementations) {
    if (!cpu::supported(implementation.isa)) continue;
    for (const Function function : kFunctions) {
      implementation.apply(function, in, out);
      check(implementation.name, function, in, out);
    }
  }
}

LK_TEST(math_has_limits_at_infinity_and_keeps_nan) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> in = {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()};
  const float limits[][2] = {{infinity, 0}, {1, -1}, {1, -1}, {1, 0}};
  std::vector<float> out;
  for (const Implementation& implementation : kImplementations) {
    if (!cpu::supported(implementation.isa)) continue;
    for (const Function function : kFunctions) {
      implementation.apply(function, in, out);
      CHECK(out[0] == limits[static_cast<int>(function)][0] && out[1] == limits[static_cast<int>(function)][1]);
      CHECK(std::isnan(out[2]));
    }
  }
}

}  // namespace lk::test
