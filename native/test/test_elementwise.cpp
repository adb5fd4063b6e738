// convert and dropout of every kernel table.
#include <algorithm>
#include <cstring>

#include "common/philox.h"
#include "test/harness.h"

using namespace lk;
using namespace lk::test;

namespace {

constexpr lk_dtype kFloats[] = {LK_F32, LK_BF16, LK_F16};

}  // namespace

LK_TEST(convert_equals_the_scalar_conversions) {
  std::mt19937 generator(1);
  for (int64_t cols : {1, 3, 8, 17, 100, 20000}) {
    for (lk_dtype from : kFloats) {
      Matrix source = Matrix::random(generator, 3, cols, from, 3.0f, cols + 5);
      source.set(0, 0, HUGE_VAL);
      source.set(1, cols / 2, std::nan(""));
      source.set(2, cols - 1, -1e-6);  // subnormal in F16
      for (lk_dtype to : kFloats) {
        Matrix expected(3, cols, to);
        for (int64_t r = 0; r < 3; ++r) {
          for (int64_t c = 0; c < cols; ++c) expected.set(r, c, source.at(r, c));
        }
        for_each_table([&](Device& device) {
          Matrix out(3, cols, to, cols + 2);
          device.kernels->convert(device, source.tensor(), out.tensor());
          CHECK_CLOSE(out.values(), expected.values(), 0.0, "convert");
        });
      }
    }
  }
}

LK_TEST(dropout_equals_the_mask_of_philox) {
  std::mt19937 generator(2);
  for (int64_t cols : {1, 5, 63, 64, 65, 257, 20001}) {
    const Matrix x = Matrix::random(generator, 4, cols);
    for (float rate : {0.0f, 0.1f, 0.5f, 0.999f}) {
      lk_lora lora{};
      lora.dropout = rate;
      lora.seed = 0x123456789abcdef0u;
      lora.step = (uint64_t{7} << 40) + 3;
      const DropoutMask mask = DropoutMask::of(rate, lora.seed, lora.step);
      std::vector<double> expected;
      for (int64_t r = 0; r < 4; ++r) {
        for (int64_t c = 0; c < cols; ++c) {
          expected.push_back(static_cast<float>(x.at(r, c)) * mask.factor(r, c));
        }
      }
      for_each_table([&](Device& device) {
        Matrix out(4, cols);
        device.kernels->dropout(device, x.tensor(), lora, out.tensor());
        CHECK_CLOSE(out.values(), expected, 0.0, "dropout");
        Matrix in_place = x;
        device.kernels->dropout(device, in_place.tensor(), lora, in_place.tensor());
        CHECK_CLOSE(in_place.values(), expected, 0.0, "dropout in place");
      });
    }
  }
}

LK_TEST(dropout_keeps_the_expected_share_and_masks_differ) {
  const int64_t cols = 40000;
  std::vector<float> factors[2];
  for (uint64_t step : {0, 1}) {
    const DropoutMask mask = DropoutMask::of(0.25f, 5, step);
    for (int64_t c = 0; c < cols; ++c) factors[step].push_back(mask.factor(2, c));
  }
  const auto kept = std::count_if(factors[0].begin(), factors[0].end(), [](float f) { return f != 0; });
  // 40,000 draws at p = 0.75: the standard deviation of the share is 0.0022; six of them
  CHECK(std::fabs(static_cast<double>(kept) / cols - 0.75) < 0.013);
  CHECK(factors[0] != factors[1]);
}
