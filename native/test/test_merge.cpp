// merge against float64, merge_quantized against quantize of what merge gives.
#include <cstring>

#include "cpu/thread_pool.h"
#include "test/reference.h"

namespace lk::test {
namespace {

struct Shape {
  int64_t rows, cols, rank;
};

// One element, tails of rows and columns, one column tile and more, the largest rank, more than one task in either
// direction.
constexpr Shape kShapes[] = {{1, 1, 1}, {7, 33, 5}, {13, 129, 16}, {6, 256, 256}, {70, 1000, 8}, {2, 65600, 3}};

std::vector<TestWeight> weights(std::mt19937& generator, const Shape& shape) {
  std::vector<TestWeight> all;
  for (lk_dtype dtype : {LK_F32, LK_BF16, LK_F16}) {
    all.push_back(TestWeight::dense(generator, shape.rows, shape.cols, dtype, shape.cols + 3));
  }
  for (bool nested : {false, true}) {
    all.push_back(TestWeight::quantized(generator, shape.rows, shape.cols, LK_NF4, 64, nested));
    all.push_back(TestWeight::quantized(generator, shape.rows, shape.cols, LK_FP4, 32, nested));
  }
  return all;
}

Reference reference_merge(const TestWeight& weight, const TestLora& lora, double sign) {
  Reference merged(weight.rows(), weight.cols());
  for (int64_t n = 0; n < weight.rows(); ++n) {
    for (int64_t k = 0; k < weight.cols(); ++k) {
      const double w = weight.at(n, k);
      merged.add(n, k, w, std::fabs(w));
      for (int64_t r = 0; r < lora.a.rows; ++r) {
        const double term = sign * lora.scaling * lora.b.at(n, r) * lora.a.at(r, k);
        merged.add(n, k, term, std::fabs(term));
      }
    }
  }
  return merged;
}

LK_TEST(merge_matches_float64) {
  std::mt19937 generator(11);
  for_each_table([&](Device& device) {
    for (const Shape& shape : kShapes) {
      for (const TestWeight& weight : weights(generator, shape)) {
        for (lk_dtype dtype : {LK_F32, LK_BF16, LK_F16}) {
          const float sign = dtype == LK_BF16 ? -1.0f : 1.0f;
          const TestLora lora(generator, shape.rows, shape.cols, shape.rank, dtype, 0.75f, 0.5f);
          Matrix out(shape.rows, shape.cols, dtype, shape.cols + 5);
          device.kernels->merge(device, weight.descriptor(), lora.descriptor(), sign, out.tensor());
          check_result(out, reference_merge(weight, lora, sign), "merge");
        }
      }
    }
  });
}

LK_TEST(merge_in_place_and_back) {
  std::mt19937 generator(12);
  for_each_table([&](Device& device) {
    Matrix memory = Matrix::random(generator, 21, 300, LK_F32, 0.1f, 301);
    const std::vector<double> before = memory.values();
    lk_weight weight{};
    weight.rows = memory.rows;
    weight.cols = memory.cols;
    weight.data = memory.tensor().data;
    weight.row_stride = memory.stride;
    weight.dtype = LK_F32;
    const TestLora lora(generator, 21, 300, 16, LK_F32, 2.0f, 0.0f);
    Matrix apart(21, 300);
    device.kernels->merge(device, weight, lora.descriptor(), 1.0f, apart.tensor());
    device.kernels->merge(device, weight, lora.descriptor(), 1.0f, memory.tensor());
    CHECK(memory.values() == apart.values());
    // Unmerging subtracts the same floats: what is left is the rounding of two additions of values below 2.
    device.kernels->merge(device, weight, lora.descriptor(), -1.0f, memory.tensor());
    CHECK_CLOSE(memory.values(), before, 1.0, "merged and unmerged", 2 * 0x1p-24);
  });
}

LK_TEST(merge_quantized_is_quantize_of_merge) {
  std::mt19937 generator(13);
  for_each_table([&](Device& device) {
    for (const Shape& shape : kShapes) {
      for (const TestWeight& weight : weights(generator, shape)) {
        const TestLora lora(generator, shape.rows, shape.cols, shape.rank, LK_F32, 0.75f, 0.0f);
        Matrix merged(shape.rows, shape.cols);
        device.kernels->merge(device, weight.descriptor(), lora.descriptor(), 1.0f, merged.tensor());
        for (bool nested : {false, true}) {
          for (int32_t block_size : {32, 64, 4096}) {
            FourBitTarget direct(shape.rows, shape.cols, LK_NF4, block_size, nested);
            FourBitTarget in_two_steps(shape.rows, shape.cols, LK_NF4, block_size, nested);
            device.kernels->merge_quantized(device, weight.descriptor(), lora.descriptor(), 1.0f, direct.w);
            device.kernels->quantize(device, merged.tensor(), in_two_steps.w);
            CHECK(direct == in_two_steps);
          }
        }
      }
    }
  });
}

LK_TEST(merge_is_independent_of_threads) {
  std::mt19937 generator(14);
  const TestWeight weight = TestWeight::quantized(generator, 90, 2100, LK_NF4, 64, true);
  const TestLora lora(generator, 90, 2100, 16, LK_BF16, 0.5f, 0.0f);
  for_each_table([&](Device& device) {
    const int threads = cpu::num_threads();
    Matrix one(90, 2100, LK_BF16), many(90, 2100, LK_BF16);
    FourBitTarget one4(90, 2100, LK_NF4, 64, true), many4(90, 2100, LK_NF4, 64, true);
    cpu::set_num_threads(1);
    device.kernels->merge(device, weight.descriptor(), lora.descriptor(), 1.0f, one.tensor());
    device.kernels->merge_quantized(device, weight.descriptor(), lora.descriptor(), 1.0f, one4.w);
    cpu::set_num_threads(4);
    device.kernels->merge(device, weight.descriptor(), lora.descriptor(), 1.0f, many.tensor());
    device.kernels->merge_quantized(device, weight.descriptor(), lora.descriptor(), 1.0f, many4.w);
    cpu::set_num_threads(threads);
    CHECK(one.bytes == many.bytes && one4 == many4);
  });
}

}  // namespace
}  // namespace lk::test
