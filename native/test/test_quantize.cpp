// quantize and dequantize, bit for bit, against the rules of native/README.md written out once more: straight loops, all
// comparisons, no tables of the library but those that the first case checks.
#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <numeric>

#include "cpu/quantize/double_quantize.h"
#include "cpu/thread_pool.h"
#include "test/harness.h"

namespace lk::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// ---- the rules -------------------------------------------------------------------------------------------------

struct CodeBook {
  std::array<float, 16> code;       // by nibble
  std::array<int, 16> order;        // nibbles by ascending value
  std::array<float, 15> midpoints;  // between neighbours in that order

  explicit CodeBook(std::array<float, 16> by_nibble) : code(by_nibble) {
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return code[a] < code[b]; });
    for (int i = 0; i < 15; ++i) midpoints[i] = (code[order[i]] + code[order[i + 1]]) / 2;
  }
  int nibble(float value) const {
    int rank = 0;
    for (float midpoint : midpoints) rank += !(value <= midpoint);
    return order[rank];
  }
};

const CodeBook& book(lk_format format) {
  // The quantiles as Dettmers et al. 2023 print them; 1/192, 1/6, 1/4 ... in the order of FP4's exponent and mantissa bits.
  static const CodeBook nf4({-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
                             -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
                             0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
                             0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f});
  static const CodeBook fp4({0.0f, 1 / 192.0f, 2 / 3.0f, 1.0f, 1 / 3.0f, 0.5f, 1 / 6.0f, 0.25f, 0.0f, -1 / 192.0f,
                             -2 / 3.0f, -1.0f, -1 / 3.0f, -0.5f, -1 / 6.0f, -0.25f});
  return format == LK_NF4 ? nf4 : fp4;
}

struct Quantized {
  std::vector<uint8_t> packed;
  std::vector<float> absmax;
};

Quantized quantize_by_rule(const std::vector<float>& x, lk_format format, int64_t block_size) {
  const int64_t n = static_cast<int64_t>(x.size());
  const CodeBook& codes = book(format);
  Quantized result{std::vector<uint8_t>((n + 1) / 2, 0), {}};
  for (int64_t start = 0; start < n; start += block_size) {
    const int64_t end = std::min(n, start + block_size);
    const bool full = end - start == block_size;
    float absmax = 0.0f;
    for (int64_t i = start; i < end; ++i) {
      if (std::isnan(x[i]) || std::isnan(absmax)) {
        absmax = NAN;
      } else {
        absmax = std::max(absmax, std::fabs(x[i]));
      }
    }
    const float divisor = absmax < 1e-38f ? 1e-38f : absmax;
    const float reciprocal = 1.0f / divisor;
    for (int64_t i = start; i < end; ++i) {
      const int nibble = codes.nibble(full ? x[i] * reciprocal : x[i] / divisor);
      result.packed[i / 2] = static_cast<uint8_t>(result.packed[i / 2] | nibble << (i % 2 == 0 ? 4 : 0));
    }
    result.absmax.push_back(full ? absmax : divisor);
  }
  if (n % 2) result.packed[n / 2] = static_cast<uint8_t>(result.packed[n / 2] | codes.nibble(0.0f));
  return result;
}

// The nearest value with `digits` significant bits and exponents from `least` up, ties to even; exact in double.
double round_to(double value, int digits, int least, double largest) {
  if (value == 0 || !std::isfinite(value)) return value;
  const double step = std::ldexp(1.0, std::max(std::ilogb(value), least) - digits + 1);
  const double rounded = std::nearbyint(value / step) * step;
  return std::fabs(rounded) > largest ? std::copysign(kInfinity, value) : rounded;
}

double round_to(double value, lk_dtype dtype) {
  switch (dtype) {
    case LK_BF16:
      return round_to(value, 8, -126, 0x1.fep127);
    case LK_F16:
      return round_to(value, 11, -14, 65504.0);
    default:
      return value;
  }
}

std::vector<float> floats(const Matrix& m) {
  std::vector<float> all;
  for (double v : m.values()) all.push_back(static_cast<float>(v));
  return all;
}

bool same(float a, float b) {
  return std::isnan(a) ? std::isnan(b) : float_bits(a) == float_bits(b);
}

void check_quantized(Device& device, const Matrix& source, lk_format format, int32_t block_size) {
  char what[128];
  std::snprintf(what, sizeof what, "[%lld, %lld] dtype %d format %d block size %d", static_cast<long long>(source.rows),
                static_cast<long long>(source.cols), source.dtype, format, block_size);
  FourBitTarget out(source.rows, source.cols, format, block_size, false);
  device.kernels->quantize(device, source.tensor(), out.w);
  const Quantized expected = quantize_by_rule(floats(source), format, block_size);
  for (size_t b = 0; b < expected.absmax.size(); ++b) {
    CHECK_TEXT(same(out.absmax[b], expected.absmax[b]), std::string(what) + " absmax " + std::to_string(b));
  }
  for (size_t i = 0; i < expected.packed.size(); ++i) {
    CHECK_TEXT(out.packed[i] == expected.packed[i], std::string(what) + " byte " + std::to_string(i) + " is " +
                                                        std::to_string(out.packed[i]) + ", expected " +
                                                        std::to_string(expected.packed[i]));
  }
  out.check_guards();
}

constexpr lk_format kFormats[] = {LK_NF4, LK_FP4};
constexpr lk_dtype kDtypes[] = {LK_F32, LK_BF16, LK_F16};

uint64_t fnv1a(const float* values, int count) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (int i = 0; i < count; ++i) {
    for (int byte = 0; byte < 4; ++byte) hash = (hash ^ (float_bits(values[i]) >> (8 * byte) & 255)) * 0x100000001b3u;
  }
  return hash;
}

// ---- cases -----------------------------------------------------------------------------------------------------

LK_TEST(code_books_and_thresholds) {
  for (lk_format format : kFormats) {
    const CodeBook& expected = book(format);
    for (int i = 0; i < 16; ++i) {
      CHECK(float_bits(code_book(format)[i]) == float_bits(expected.code[i]));
      CHECK(code_order(format)[i] == expected.order[i]);
    }
    for (int i = 0; i < 15; ++i) CHECK(float_bits(thresholds(format)[i]) == float_bits(expected.midpoints[i]));
  }
}

LK_TEST(dynamic_map) {
  // The construction in float64 agrees to 2 ulp; the bits are those of the reference implementation's table.
  std::vector<double> positive;
  for (int decade = 0; decade < 7; ++decade) {
    const int means = 1 << decade;
    for (int i = 0; i < means; ++i) {
      positive.push_back((0.1 + 0.9 * (i + 0.5) / means) * std::pow(10.0, decade - 6));
    }
  }
  std::sort(positive.begin(), positive.end());
  for (int i = 0; i < 127; ++i) {
    CHECK(std::fabs(kDynamicMap[128 + i] - positive[i]) <= 0x1p-22 * positive[i]);
    CHECK(kDynamicMap[126 - i] == -kDynamicMap[128 + i]);
  }
  CHECK(kDynamicMap[127] == 0.0f && kDynamicMap[255] == 1.0f);
  CHECK(fnv1a(kDynamicMap, 256) == 0xd677f22a96665bc4u);
}

LK_TEST(dynamic_map_unsigned) {
  // As dynamic_map: twice as many values in each decade, and none below 0.
  std::vector<double> values = {0.0};
  for (int decade = 0; decade < 7; ++decade) {
    const int means = 2 << decade;
    for (int i = 0; i < means; ++i) {
      values.push_back((0.1 + 0.9 * (i + 0.5) / means) * std::pow(10.0, decade - 6));
    }
  }
  values.push_back(1.0);
  CHECK(values.size() == 256);
  float map[256];
  CHECK(lk_dynamic_map_unsigned(map) == LK_OK);
  for (size_t i = 0; i < 256; ++i) CHECK(std::fabs(map[i] - values[i]) <= 0x1p-22 * values[i]);
  CHECK(fnv1a(map, 256) == 0x43811b16730a873eu);
}

LK_TEST(quantize_every_block_size_dtype_and_shape) {
  std::mt19937 generator(1);
  struct Shape {
    int64_t rows, cols, stride;
  };
  // One value, odd counts, tails, gaps between rows, blocks that straddle rows, several blocks of any size, two tasks.
  const Shape shapes[] = {{1, 1, 1},   {3, 7, 7},   {3, 7, 11},     {1, 777, 777},   {9, 96, 96},
                          {9, 96, 99}, {5, 64, 64}, {37, 129, 140}, {3, 4096, 4097}, {17, 4099, 4099}};
  for_each_table([&](Device& device) {
    for (const Shape& shape : shapes) {
      for (lk_dtype dtype : kDtypes) {
        const Matrix source = Matrix::random(generator, shape.rows, shape.cols, dtype, 0.05f, shape.stride);
        for (int32_t block_size = kMinBlockSize; block_size <= kMaxBlockSize; block_size *= 2) {
          for (lk_format format : kFormats) check_quantized(device, source, format, block_size);
        }
      }
    }
  });
}

LK_TEST(quantize_at_the_thresholds) {
  // Values at every threshold and up to two ulp beside it, times the absmax of the block (also one that is no power of two:
  // the rounding of the reciprocal then decides).
  for_each_table([&](Device& device) {
    for (lk_format format : kFormats) {
      for (float absmax : {1.0f, 0.25f, 0.037f, 3e5f, 7e-36f}) {
        std::vector<float> values;
        for (float threshold : book(format).midpoints) {
          float value = threshold * absmax;
          for (int i = 0; i < 2; ++i) value = std::nextafter(value, -kInfinity);
          for (int i = 0; i < 5; ++i, value = std::nextafter(value, kInfinity)) values.push_back(value);
        }
        for (int32_t block_size : {32, 64, 256}) {
          // Each block starts with its absmax; the last may be a tail, which divides.
          std::vector<float> blocks;
          for (size_t i = 0; i < values.size(); ++i) {
            if (blocks.size() % block_size == 0) blocks.push_back(i % 2 ? absmax : -absmax);
            blocks.push_back(values[i]);
          }
          Matrix source(1, static_cast<int64_t>(blocks.size()));
          for (size_t i = 0; i < blocks.size(); ++i) source.set(0, static_cast<int64_t>(i), blocks[i]);
          check_quantized(device, source, format, block_size);
        }
      }
    }
  });
}

LK_TEST(quantize_special_values) {
  // A full block and a tail of each: zeros, negative zeros, subnormals, the smallest normals, the largest, infinities, NaN.
  const std::vector<float> specials[] = {{0.0f, -0.0f},
                                         {1e-45f, -3e-42f, 0.0f},
                                         {1e-38f, -9e-39f, 3e-39f, 1.1754944e-38f},
                                         {3.4028235e38f, -1.0f, 1e38f},
                                         {kInfinity, 1.0f, -kInfinity, 0.0f},
                                         {bits_float(0x7fc00001u), 1.0f, -2.0f},
                                         {bits_float(0xffbfffffu), kInfinity, 0.0f}};
  for_each_table([&](Device& device) {
    for (const auto& special : specials) {
      for (int64_t count : {64, 64 + 17}) {
        Matrix source(1, count);
        auto* values = reinterpret_cast<float*>(source.bytes.data());
        for (int64_t i = 0; i < count; ++i) values[i] = special[i % special.size()];
        for (lk_format format : kFormats) check_quantized(device, source, format, 64);
      }
    }
  });
}

LK_TEST(dequantize_every_storage) {
  std::mt19937 generator(2);
  struct Shape {
    int64_t rows, cols, gap;
  };
  const Shape shapes[] = {{1, 1, 0},  {7, 9, 0},   {7, 9, 2},    {9, 96, 0},
                          {9, 96, 3}, {5, 101, 5}, {3, 4096, 1}, {17, 4099, 0}};
  for_each_table([&](Device& device) {
    for (const Shape& shape : shapes) {
      for (lk_format format : kFormats) {
        for (int32_t block_size : {32, 64, 512, 4096}) {
          for (bool nested : {false, true}) {
            FourBitTarget weight(shape.rows, shape.cols, format, block_size, nested);
            for (uint8_t& byte : weight.packed) byte = static_cast<uint8_t>(generator());
            for (uint8_t& code : weight.codes) code = static_cast<uint8_t>(generator());
            // Scales over the whole range: results that are subnormal in each dtype, and beyond the largest F16.
            std::uniform_real_distribution<float> exponent(-148.0f, 20.0f);
            for (float& absmax : weight.absmax) absmax = std::exp2(exponent(generator));
            for (float& absmax : weight.nested_absmax) absmax = std::exp2(exponent(generator));
            weight.w.nested_offset = 0.2f;
            for (lk_dtype dtype : kDtypes) {
              Matrix out(shape.rows, shape.cols, dtype, shape.cols + shape.gap);
              std::fill(out.bytes.begin(), out.bytes.end(), uint8_t{0x5a});
              const std::vector<uint8_t> before = out.bytes;
              device.kernels->dequantize(device, weight.w, out.tensor());
              std::vector<double> expected;
              for (int64_t i = 0; i < shape.rows * shape.cols; ++i) {
                const int64_t block = i / block_size;
                const uint8_t byte = weight.packed[i / 2];
                const float scale = nested ? kDynamicMap[weight.codes[block]] * weight.nested_absmax[block / 256] + 0.2f
                                           : weight.absmax[block];
                const float product = book(format).code[i % 2 ? byte & 15 : byte >> 4] * scale;
                expected.push_back(round_to(product, dtype));
              }
              CHECK_CLOSE(out.values(), expected, 0.0, "dequantize");
              const int64_t size = dtype == LK_F32 ? 4 : 2;
              for (int64_t r = 0; r < shape.rows; ++r) {
                const int64_t gap = (r * out.stride + out.cols) * size;
                CHECK(std::equal(before.begin(), before.begin() + shape.gap * size, out.bytes.begin() + gap));
              }
            }
          }
        }
      }
    }
  });
}

LK_TEST(dequantize_dense_converts) {
  std::mt19937 generator(3);
  const Matrix source = Matrix::random(generator, 5, 37, LK_BF16, 1.0f, 40);
  for_each_table([&](Device& device) {
    lk_weight weight{};
    weight.rows = source.rows;
    weight.cols = source.cols;
    weight.data = source.tensor().data;
    weight.row_stride = source.stride;
    weight.dtype = LK_BF16;
    Matrix out(5, 37, LK_F32, 41);
    device.kernels->dequantize(device, weight, out.tensor());
    CHECK_CLOSE(out.values(), source.values(), 0.0, "dense weight");
  });
}

LK_TEST(quantize_again_changes_nothing) {
  std::mt19937 generator(4);
  const Matrix source = Matrix::random(generator, 33, 100);
  for_each_table([&](Device& device) {
    for (lk_format format : kFormats) {
      FourBitTarget first(33, 100, format, 64, false), second(33, 100, format, 64, false);
      Matrix values(33, 100), again(33, 100);
      device.kernels->quantize(device, source.tensor(), first.w);
      device.kernels->dequantize(device, first.w, values.tensor());
      device.kernels->quantize(device, values.tensor(), second.w);
      device.kernels->dequantize(device, second.w, again.tensor());
      CHECK(values.bytes == again.bytes);
      CHECK(first.absmax == second.absmax);
    }
  });
}

LK_TEST(double_quantize_follows_the_rule) {
  std::mt19937 generator(5);
  for_each_table([&](Device& device) {
    for (int64_t cols : {1, 63, 64 * 7, 64 * 256, 64 * 700 + 5}) {
      const Matrix source = Matrix::random(generator, 3, cols);
      const Quantized single = quantize_by_rule(floats(source), LK_NF4, 64);
      FourBitTarget out(3, cols, LK_NF4, 64, true);
      device.kernels->quantize(device, source.tensor(), out.w);
      CHECK(std::equal(single.packed.begin(), single.packed.end(), out.packed.begin()));

      const int64_t blocks = static_cast<int64_t>(single.absmax.size());
      const double mean =
          std::accumulate(single.absmax.begin(), single.absmax.end(), 0.0) / static_cast<double>(blocks);
      const float offset = out.w.nested_offset;
      CHECK(std::fabs(offset - mean) <= 0x1p-21 * mean);  // 8 ulp: the sum is a cascade of short sums
      for (int64_t start = 0; start < blocks; start += 256) {
        const int64_t end = std::min(blocks, start + 256);
        float largest = 0.0f;
        for (int64_t b = start; b < end; ++b) largest = std::max(largest, std::fabs(single.absmax[b] - offset));
        CHECK(out.nested_absmax[start / 256] == largest);
        for (int64_t b = start; b < end; ++b) {
          const float value = (single.absmax[b] - offset) * (1.0f / largest);
          const float clamped = std::min(1.0f, std::max(-1.0f, value));
          const int bin = static_cast<int>((clamped + 1.0f) * 0.5f * 65535.0f + 0.5f);
          int code = 0;
          for (int i = 0; i < 255; ++i) code += (kDynamicMap[i] + kDynamicMap[i + 1]) / 2 < -1 + 2 * bin / 65535.0f;
          CHECK(out.codes[b] == (largest == 0.0f ? 0 : code));
        }
      }
      out.check_guards();
    }
  });
}

LK_TEST(double_quantize_of_equal_and_of_bad_blocks) {
  for_each_table([&](Device& device) {
    // Equal absmax values: nothing is left after the offset, all codes are 0 and every scale is the offset.
    Matrix source(1, 64 * 40);
    for (int64_t i = 0; i < source.cols; ++i) source.set(0, i, i % 2 ? 0.5 : -0.25);
    FourBitTarget out(1, source.cols, LK_NF4, 64, true);
    device.kernels->quantize(device, source.tensor(), out.w);
    CHECK(out.w.nested_offset == 0.5f && out.nested_absmax[0] == 0.0f);
    CHECK(std::count(out.codes.begin(), out.codes.begin() + 40, 0) == 40);
    // An infinity or a NaN spoils the mean, and with it every scale: dequantised values are NaN, not plausible numbers.
    for (float bad : {kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
      source.set(0, 100, bad);
      device.kernels->quantize(device, source.tensor(), out.w);
      Matrix values(1, source.cols);
      device.kernels->dequantize(device, out.w, values.tensor());
      for (double v : values.values()) CHECK(std::isnan(v));
    }
  });
}

LK_TEST(torch_sum_order) {
  std::mt19937 generator(6);
  std::uniform_real_distribution<float> uniform(0.0f, 1.0f);
  std::vector<float> x(3000000);
  for (float& v : x) v = uniform(generator);
  // Fewer than 8: four running sums. Fewer than 512: 32 columns, no second level of the cascade.
  for (int64_t count = 1; count < 512; ++count) {
    const int64_t width = count < 8 ? 1 : 8, vectors = count / width, rows = vectors / 4;
    std::vector<float> columns(static_cast<size_t>(4 * width), 0.0f);
    for (int64_t i = 0; i < vectors * width; ++i) {
      columns[i < rows * 4 * width ? i % (4 * width) : i % width] += x[i];
    }
    for (int64_t i = width; i < 4 * width; ++i) columns[i % width] += columns[i];
    float sum = 0.0f;
    for (int64_t i = vectors * width; i < count; ++i) sum += x[i];
    for (int64_t i = 0; i < width; ++i) sum += columns[i];
    CHECK_TEXT(float_bits(cpu::torch_sum(x.data(), count)) == float_bits(sum), std::to_string(count) + " values");
  }
  // Any length: 2^-22 of the sum, where one running sum of 3 million values would be off by up to 2^-24 * 3e6 / 2.
  for (int64_t count : {512, 513, 5000, 100000, 262144, 3000000}) {
    const double exact = std::accumulate(x.begin(), x.begin() + count, 0.0);
    CHECK(std::fabs(cpu::torch_sum(x.data(), count) - exact) <= 0x1p-22 * exact);
  }
}

LK_TEST(quantize_is_independent_of_threads) {
  std::mt19937 generator(7);
  const Matrix source = Matrix::random(generator, 61, 4100, LK_BF16);  // four tasks
  for_each_table([&](Device& device) {
    const int threads = cpu::num_threads();
    FourBitTarget one(61, 4100, LK_NF4, 64, true), many(61, 4100, LK_NF4, 64, true);
    cpu::set_num_threads(1);
    device.kernels->quantize(device, source.tensor(), one.w);
    cpu::set_num_threads(4);
    device.kernels->quantize(device, source.tensor(), many.w);
    cpu::set_num_threads(threads);
    CHECK(one.packed == many.packed && one.codes == many.codes && one.nested_absmax == many.nested_absmax);
    CHECK(one.w.nested_offset == many.w.nested_offset);
  });
}

}  // namespace
}  // namespace lk::test
