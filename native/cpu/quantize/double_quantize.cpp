#include "cpu/quantize/double_quantize.h"

#include <algorithm>
#include <cmath>

#include "common/format4.h"
#include "cpu/dynamic_codes.h"
#include "cpu/thread_pool.h"

namespace lk::cpu {
namespace {

constexpr int kLanes = 8;  // of the vectors that torch adds up

// Sums of kColumns columns that lie next to one another, `rows` long, by a cascade of four levels: level 0 takes
// 2^power rows, is then added to level 1 and cleared; level 1 after 2^power such additions to level 2, and so on.
// Rounding errors grow with the logarithm of the length instead of the length.
template <int kColumns>
class CascadeSum {
 public:
  CascadeSum(const float* x, int64_t rows) {
    const int power = std::max(4, ceil_log2(rows) / kLevels);
    const int64_t step = int64_t{1} << power;
    int64_t row = 0;
    while (row + step <= rows) {
      for (const int64_t end = row + step; row < end; ++row) add(level_[0], x + row * kColumns);
      for (int level = 1; level < kLevels; ++level) {
        add(level_[level], level_[level - 1]);
        std::fill(level_[level - 1], level_[level - 1] + kColumns, 0.0f);
        if (row & ((step - 1) << (level * power))) break;
      }
    }
    for (; row < rows; ++row) add(level_[0], x + row * kColumns);
    for (int level = 1; level < kLevels; ++level) add(level_[0], level_[level]);
  }

  const float* columns() const { return level_[0]; }

 private:
  static constexpr int kLevels = 4;

  static int ceil_log2(int64_t n) { return n <= 2 ? 1 : 64 - __builtin_clzll(static_cast<unsigned long long>(n - 1)); }
  static void add(float* sums, const float* x) {
    for (int i = 0; i < kColumns; ++i) sums[i] += x[i];
  }

  float level_[kLevels][kColumns] = {};
};

// sums[lane] of `vectors` vectors of kWidth floats: four cascades side by side, added up at the end.
template <int kWidth>
void sum_vectors(const float* x, int64_t vectors, float* sums) {
  const int64_t rows = vectors / 4;
  const CascadeSum<4 * kWidth> cascade(x, rows);
  std::copy(cascade.columns(), cascade.columns() + kWidth, sums);
  for (int64_t i = rows * 4 * kWidth; i < vectors * kWidth; ++i) sums[i % kWidth] += x[i];
  for (int i = kWidth; i < 4 * kWidth; ++i) sums[i % kWidth] += cascade.columns()[i];
}

// One block of at most 256 absmax values; returns its own absmax.
float quantize_nested_block(const float* absmax, int64_t count, float offset, const DynamicCodes& dynamic,
                            uint8_t* codes) {
  float largest = 0.0f;
  for (int64_t i = 0; i < count && !std::isnan(largest); ++i) {
    const float magnitude = std::fabs(absmax[i] - offset);
    if (!(magnitude <= largest)) largest = magnitude;
  }
  if (largest == 0.0f || !std::isfinite(largest)) {
    std::fill(codes, codes + count, uint8_t{0});
    return largest;
  }
  const float reciprocal = 1.0f / largest;
  for (int64_t i = 0; i < count; ++i) codes[i] = dynamic.code((absmax[i] - offset) * reciprocal);
  return largest;
}

}  // namespace

float torch_sum(const float* x, int64_t count) {
  float sum = 0.0f;
  if (count < kLanes) {
    sum_vectors<1>(x, count, &sum);
    return sum;
  }
  const int64_t vectors = count / kLanes;
  float lanes[kLanes];
  sum_vectors<kLanes>(x, vectors, lanes);
  for (int64_t i = vectors * kLanes; i < count; ++i) sum += x[i];
  for (float lane : lanes) sum += lane;
  return sum;
}

void double_quantize(const float* absmax, int64_t blocks, lk_weight& out) {
  const float offset = torch_sum(absmax, blocks) / static_cast<float>(blocks);
  const DynamicCodes dynamic(out.nested_code ? at_address<const float>(out.nested_code) : kDynamicMap);
  uint8_t* codes = at_address<uint8_t>(out.absmax_codes);
  float* nested_absmax = at_address<float>(out.nested_absmax);
  parallel_for(ceil_div(blocks, kNestedBlockSize), [&](int64_t block, std::byte*) {
    const int64_t start = block * kNestedBlockSize, count = std::min<int64_t>(kNestedBlockSize, blocks - start);
    nested_absmax[block] = quantize_nested_block(absmax + start, count, offset, dynamic, codes + start);
  });
  out.nested_offset = offset;
}

}  // namespace lk::cpu
