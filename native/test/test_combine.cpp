// The reductions of lora_kernels_merge.h against float64 and plain loops, on every instruction set.
#include <algorithm>
#include <numeric>

#include "common/philox.h"
#include "cpu/thread_pool.h"
#include "lora_kernels_merge.h"
#include "test/harness.h"

namespace lk::test {
namespace {

struct Shape {
  int64_t rows, cols;
};

// One element, odd rows and tails, a piece and more in a row, more than one task.
constexpr Shape kShapes[] = {{1, 1}, {7, 33}, {3, 2049}, {70, 1000}, {1, 66000}};
constexpr float kWeights[] = {0.5f, -0.75f, 1.25f, 2.0f};

std::vector<Matrix> random_inputs(std::mt19937& generator, const Shape& shape, int count) {
  constexpr lk_dtype kDtypes[] = {LK_F32, LK_BF16, LK_F16};
  std::vector<Matrix> inputs;
  for (int t = 0; t < count; ++t) {
    inputs.push_back(Matrix::random(generator, shape.rows, shape.cols, kDtypes[t % 3], 1.0f, shape.cols + t));
    // zeros, as pruning leaves them
    for (int64_t c = t; c < shape.cols; c += 5) inputs.back().set(shape.rows - 1, c, 0.0);
  }
  return inputs;
}

std::vector<lk_tensor> tensors(const std::vector<Matrix>& inputs) {
  std::vector<lk_tensor> all;
  for (const Matrix& input : inputs) all.push_back(input.tensor());
  return all;
}

double sign(double v) {
  return (v > 0) - (v < 0);
}

// The elements by magnitude, the largest first, equal ones by their index.
std::vector<size_t> ranked(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return std::fabs(values[a]) > std::fabs(values[b]); });
  return order;
}

// Four products and sums in F32, each rounded by at most 2^-24 of 4 * 2 * 4 deviations.
constexpr double kSumOfFour = 8 * 0x1p-24 * 32;

LK_TEST(combine_linear_matches_float64) {
  std::mt19937 generator(41);
  for_each_table([&](Device& device) {
    for (const Shape& shape : kShapes) {
      for (int count : {1, 2, 4}) {
        const std::vector<Matrix> inputs = random_inputs(generator, shape, count);
        std::vector<double> expected(static_cast<size_t>(shape.rows * shape.cols));
        for (int t = 0; t < count; ++t) {
          const std::vector<double> values = inputs[t].values();
          for (size_t i = 0; i < expected.size(); ++i) expected[i] += kWeights[t] * values[i];
        }
        Matrix out(shape.rows, shape.cols, LK_F32, shape.cols + 3);
        device.kernels->combine_linear(device, tensors(inputs).data(), kWeights, count, out.tensor());
        CHECK_CLOSE(out.values(), expected, 1.0, "linear", kSumOfFour);
      }
    }
  });
}

LK_TEST(combine_elected_matches_float64) {
  std::mt19937 generator(42);
  for_each_table([&](Device& device) {
    for (const Shape& shape : kShapes) {
      for (int32_t election : {LK_SIGN_TOTAL, LK_SIGN_FREQUENCY}) {
        const std::vector<Matrix> inputs = random_inputs(generator, shape, 4);
        std::vector<std::vector<double>> values;
        for (const Matrix& input : inputs) values.push_back(input.values());
        std::vector<double> expected(values[0].size());
        for (size_t i = 0; i < expected.size(); ++i) {
          // In F32 and in order, since an election may be close.
          float total = 0;
          for (const auto& v : values) {
            total += static_cast<float>(election == LK_SIGN_TOTAL ? v[i] : sign(v[i]));
          }
          const double elected = total >= 0 ? 1 : -1;
          double sum = 0, agreeing = 0;
          for (size_t t = 0; t < values.size(); ++t) {
            if (sign(values[t][i]) != elected) continue;
            sum += kWeights[t] * values[t][i];
            ++agreeing;
          }
          expected[i] = sum / std::max(agreeing, 1.0);
        }
        Matrix out(shape.rows, shape.cols);
        device.kernels->combine_elected(device, tensors(inputs).data(), kWeights, 4, election, out.tensor());
        CHECK_CLOSE(out.values(), expected, 1.0, "elected", kSumOfFour);
      }
    }
  });
}

LK_TEST(keep_ranked_matches_sorting) {
  std::mt19937 generator(43);
  for_each_table([&](Device& device) {
    for (const Shape& shape : kShapes) {
      for (lk_dtype dtype : {LK_F32, LK_BF16, LK_F16}) {
        // few different magnitudes, so that equal ones meet every cut
        Matrix x = Matrix::random(generator, shape.rows, shape.cols, dtype, 1.0f, shape.cols + 1);
        if (dtype != LK_F32) {
          for (int64_t r = 0; r < x.rows; ++r) {
            for (int64_t c = 0; c < x.cols; ++c) x.set(r, c, std::round(x.at(r, c) * 2) / 2);
          }
        }
        const std::vector<double> values = x.values();
        const std::vector<size_t> order = ranked(values);
        const int64_t n = x.rows * x.cols;
        for (int64_t skip : {int64_t{0}, n / 100}) {
          for (int64_t keep : {int64_t{0}, n / 3, n - skip}) {
            std::vector<double> expected(values.size(), 0.0);
            for (int64_t i = skip; i < skip + keep; ++i) expected[order[i]] = values[order[i]];
            Matrix out(x.rows, x.cols, dtype, x.stride + 2);
            device.kernels->keep_ranked(device, x.tensor(), skip, keep, out.tensor());
            CHECK(out.values() == expected);
          }
        }
        // in place
        const std::vector<double> kept = [&] {
          Matrix apart(x.rows, x.cols, dtype);
          device.kernels->keep_ranked(device, x.tensor(), 0, n / 2, apart.tensor());
          return apart.values();
        }();
        device.kernels->keep_ranked(device, x.tensor(), 0, n / 2, x.tensor());
        CHECK(x.values() == kept);
      }
    }
  });
}

LK_TEST(keep_ranked_counts_nan_and_infinity_as_large) {
  for_each_table([&](Device& device) {
    Matrix x(1, 6);
    const double values[] = {1, -INFINITY, 3e38, NAN, -2, 1e-45};
    for (int c = 0; c < 6; ++c) x.set(0, c, values[c]);
    Matrix out(1, 6);
    device.kernels->keep_ranked(device, x.tensor(), 0, 3, out.tensor());
    CHECK_CLOSE(out.values(), {0, -INFINITY, static_cast<float>(3e38), NAN, 0, 0}, 0, "the largest three", 1);
  });
}

LK_TEST(keep_random_drops_as_dropout_does) {
  std::mt19937 generator(44);
  for_each_table([&](Device& device) {
    for (const Shape& shape : kShapes) {
      const Matrix x = Matrix::random(generator, shape.rows, shape.cols, LK_BF16);
      const float density = 0.3f;
      const uint64_t seed = 7, step = 0x123456789abull;
      const DropoutMask mask = DropoutMask::of(1.0f - density, seed, step);
      Matrix out(x.rows, x.cols), masked(x.rows, x.cols);
      device.kernels->keep_random(device, x.tensor(), nullptr, density, seed, step, out.tensor());
      std::vector<uint8_t> given(static_cast<size_t>(x.rows * x.cols));
      for (int64_t r = 0; r < x.rows; ++r) {
        for (int64_t c = 0; c < x.cols; ++c) {
          const bool kept = mask.factor(r, c) != 0;
          given[static_cast<size_t>(r * x.cols + c)] = kept;
          CHECK(out.at(r, c) == (kept ? static_cast<float>(x.at(r, c)) / density : 0.0f));
        }
      }
      const lk_tensor bytes{address_of(given.data()), x.rows, x.cols, x.cols, LK_U8, 0};
      device.kernels->keep_random(device, x.tensor(), &bytes, density, 0, 0, masked.tensor());
      CHECK(masked.values() == out.values());
      device.kernels->keep_random(device, x.tensor(), nullptr, 1.0f, seed, step, out.tensor());
      CHECK(out.values() == x.values());
    }
  });
}

LK_TEST(keep_by_magnitude_prefers_large_elements) {
  std::mt19937 generator(45);
  for_each_table([&](Device& device) {
    for (const Shape& shape : kShapes) {
      const Matrix x = Matrix::random(generator, shape.rows, shape.cols);
      const float density = 0.5f, epsilon = 0.25f;
      Matrix out(x.rows, x.cols);
      device.kernels->keep_by_magnitude(device, x.tensor(), density, epsilon, 3, 5, out.tensor());
      for (int64_t r = 0; r < x.rows; ++r) {
        std::vector<double> row;
        for (int64_t c = 0; c < x.cols; ++c) row.push_back(x.at(r, c));
        std::vector<size_t> order(row.size());  // the smallest first
        std::iota(order.begin(), order.end(), size_t{0});
        std::stable_sort(order.begin(), order.end(),
                         [&](size_t left, size_t right) { return std::fabs(row[left]) < std::fabs(row[right]); });
        for (size_t i = 0; i < order.size(); ++i) {
          const double share = order.size() == 1 ? 0.5 : static_cast<double>(i) / (order.size() - 1.0);
          const float p = static_cast<float>(density - epsilon + 2.0 * epsilon * share);
          const int64_t c = static_cast<int64_t>(order[i]);
          const bool kept = DropoutMask::of(1.0f - p, 3, 5).factor(r, c) != 0;
          CHECK(out.at(r, c) == (kept ? static_cast<float>(row[order[i]]) / p : 0.0f));
        }
      }
    }
  });
}

LK_TEST(opposing_signs_are_counted) {
  std::mt19937 generator(46);
  for_each_table([&](Device& device) {
    for (const Shape& shape : kShapes) {
      const std::vector<Matrix> inputs = random_inputs(generator, shape, 3);
      int64_t opposing = 0, nonzero = 0;
      for (int64_t r = 0; r < shape.rows; ++r) {
        for (int64_t c = 0; c < shape.cols; ++c) {
          bool positive = false, negative = false;
          for (int t = 0; t < 3; ++t) {
            positive |= kWeights[t] * inputs[t].at(r, c) > 0;
            negative |= kWeights[t] * inputs[t].at(r, c) < 0;
          }
          opposing += positive && negative;
          nonzero += positive || negative;
        }
      }
      int64_t counted = -1, any = -1;
      device.kernels->opposing_signs(device, tensors(inputs).data(), kWeights, 3, counted, any);
      CHECK(counted == opposing);
      CHECK(any == nonzero);
    }
  });
}

LK_TEST(dot_matches_float64) {
  std::mt19937 generator(47);
  for_each_table([&](Device& device) {
    for (const Shape& shape : kShapes) {
      const Matrix a = Matrix::random(generator, shape.rows, shape.cols, LK_F16);
      const Matrix b = Matrix::random(generator, shape.rows, shape.cols, LK_F32, 1.0f, shape.cols + 1);
      double expected = 0, magnitude = 0;
      const std::vector<double> x = a.values(), y = b.values();
      for (size_t i = 0; i < x.size(); ++i) {
        expected += x[i] * y[i];
        magnitude += std::fabs(x[i] * y[i]);
      }
      // both sums are float64: their orders differ
      CHECK(std::fabs(device.kernels->dot(device, a.tensor(), b.tensor()) - expected) <= 0x1p-44 * magnitude);
    }
  });
}

LK_TEST(combining_does_not_depend_on_the_number_of_threads) {
  std::mt19937 generator(48);
  const std::vector<Matrix> inputs = random_inputs(generator, {300, 1001}, 3);
  for_each_table([&](Device& device) {
    std::vector<std::vector<double>> results;
    for (int threads : {1, 3}) {
      cpu::set_num_threads(threads);
      Matrix out(300, 1001);
      const std::vector<lk_tensor> all = tensors(inputs);
      device.kernels->combine_elected(device, all.data(), kWeights, 3, LK_SIGN_TOTAL, out.tensor());
      std::vector<double> result = out.values();
      device.kernels->keep_ranked(device, all[1], 1000, 100000, out.tensor());
      const std::vector<double> kept = out.values();
      result.insert(result.end(), kept.begin(), kept.end());
      result.push_back(device.kernels->dot(device, all[0], all[2]));
      results.push_back(result);
    }
    cpu::set_num_threads(0);
    CHECK(results[0] == results[1]);
  });
}

// What is written past the caches, aligned and not, is what small results are made of.
LK_TEST(large_results_are_those_of_their_rows) {
  constexpr int64_t kRows = 2049, kCols = 2050, kStride = 2064;  // rows of whole lines, the last of them in part
  static_assert(kRows * kCols > int64_t{4} << 20, "beyond the caches");
  std::mt19937 generator(48);
  const Matrix x = Matrix::random(generator, kRows, kCols, LK_F32, 1.0f, kCols);
  const Matrix y = Matrix::random(generator, kRows, kCols, LK_F32, 1.0f, kCols);
  const lk_tensor inputs[] = {x.tensor(), y.tensor()};
  for_each_table([&](Device& device) {
    for (int64_t shift : {0, 1}) {
      std::vector<float> memory(kRows * kStride + 32), small(683 * kStride);
      float* const line = memory.data() + (64 - address_of(memory.data()) % 64) / 4;
      const float* const large = line + shift;
      const lk_tensor out{address_of(large), kRows, kCols, kStride, LK_F32, 0};
      const auto check = [&](const char* what, const auto& combine) {
        combine(inputs, out);
        for (int64_t row = 0; row < kRows; row += 683) {
          lk_tensor parts[] = {inputs[0], inputs[1]};
          for (lk_tensor& part : parts) {
            part.data += static_cast<lk_address>(4 * row * kCols);
            part.rows = std::min<int64_t>(683, kRows - row);
          }
          combine(parts, lk_tensor{address_of(small.data()), parts[0].rows, kCols, kStride, LK_F32, 0});
          for (int64_t r = 0; r < parts[0].rows; ++r) {
            const float* const expected = small.data() + r * kStride;
            CHECK_TEXT(std::equal(expected, expected + kCols, large + (row + r) * kStride), what);
          }
        }
      };
      check("linear", [&](const lk_tensor* in, const lk_tensor& to) {
        device.kernels->combine_linear(device, in, kWeights, 2, to);
      });
      check("elected", [&](const lk_tensor* in, const lk_tensor& to) {
        device.kernels->combine_elected(device, in, kWeights, 2, LK_SIGN_TOTAL, to);
      });
    }
  });
}

LK_TEST(combine_refuses_bad_arguments) {
  lk_device* device = nullptr;
  CHECK(lk_device_open(LK_BACKEND_CPU, 0, &device) == LK_OK);
  const auto refused = [](lk_status actual, lk_status expected, const char* words) {
    CHECK(actual == expected);
    CHECK_TEXT(std::string(lk_last_error()).find(words) != std::string::npos, lk_last_error());
  };
  Matrix a(2, 3), b(3, 2), out(2, 3);
  const lk_tensor inputs[] = {a.tensor(), b.tensor()};
  const float weights[] = {1, 1}, infinite[] = {INFINITY};
  const lk_tensor to = out.tensor(), x = a.tensor();
  refused(lk_combine_linear(device, inputs, weights, 2, &to), LK_SHAPE_MISMATCH, "inputs must be [2, 3]");
  refused(lk_combine_linear(device, inputs, weights, 0, &to), LK_INVALID_ARGUMENT, "count");
  refused(lk_combine_linear(device, inputs, infinite, 1, &to), LK_INVALID_ARGUMENT, "finite");
  refused(lk_combine_elected(device, inputs, weights, 1, 2, &to), LK_INVALID_ARGUMENT, "LK_SIGN_TOTAL");
  refused(lk_keep_ranked(device, &x, 3, 4, &to), LK_INVALID_ARGUMENT, "6 elements");
  for (float density : {0.0f, -0.5f, 1.5f, NAN}) {
    refused(lk_keep_random(device, &x, nullptr, density, 0, 0, &to), LK_INVALID_ARGUMENT, "density");
  }
  refused(lk_keep_random(device, &x, &x, 0.5f, 0, 0, &to), LK_INVALID_ARGUMENT, "mask must be U8");
  refused(lk_keep_by_magnitude(device, &x, 0.5f, 0.5f, 0, 0, &to), LK_INVALID_ARGUMENT, "epsilon");
  lk_tensor shifted = a.tensor();
  shifted.rows = 1;
  lk_tensor overlapping = shifted;
  overlapping.data += 4;
  refused(lk_keep_ranked(device, &shifted, 0, 1, &overlapping), LK_INVALID_ARGUMENT, "share memory");
  CHECK(lk_device_close(device) == LK_OK);
}

}  // namespace
}  // namespace lk::test
