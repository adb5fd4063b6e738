// convert, dropout and AdamW of every kernel table.
#include <algorithm>
#include <cstring>

#include "common/philox.h"
#include "test/harness.h"

using namespace lk;
using namespace lk::test;

namespace {

constexpr lk_dtype kFloats[] = {LK_F32, LK_BF16, LK_F16};

// The formula of lora_kernels.h in float64.
struct AdamwReference {
  std::vector<double> p, m, v;

  void step(const std::vector<double>& gradient, const lk_adamw_config& c, double lr, double b1, double b2) {
    const double correction1 = 1 - std::pow(b1, static_cast<double>(c.step));
    const double correction2 = 1 - std::pow(b2, static_cast<double>(c.step));
    for (size_t i = 0; i < p.size(); ++i) {
      const double g = gradient[i] * c.gradient_scale;
      p[i] *= 1 - lr * c.weight_decay;
      m[i] = b1 * m[i] + (1 - b1) * g;
      v[i] = b2 * v[i] + (1 - b2) * g * g;
      p[i] -= lr / correction1 * m[i] / (std::sqrt(v[i] / correction2) + c.epsilon);
    }
  }
};

lk_adamw_param describe(Matrix& p, Matrix& g, Matrix& m, Matrix& v) {
  lk_adamw_param d{};
  d.parameter = p.tensor().data;
  d.gradient = g.tensor().data;
  d.exp_avg = m.tensor().data;
  d.exp_avg_sq = v.tensor().data;
  d.count = p.rows * p.cols;
  d.dtype = p.dtype;
  d.gradient_dtype = g.dtype;
  return d;
}

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

LK_TEST(adamw_follows_float64_over_many_tensors_and_steps) {
  const double lr = 1e-2, b1 = 0.9, b2 = 0.999;
  lk_adamw_config config{};
  config.learning_rate = 1e-2f;
  config.beta1 = 0.9f;
  config.beta2 = 0.999f;
  config.epsilon = 1e-8f;
  config.weight_decay = 0.125f;
  config.gradient_scale = 0.5f;
  for (lk_dtype gradient_dtype : {LK_F32, LK_BF16}) {
    for_each_table([&](Device& device) {
      std::mt19937 generator(3);
      const int64_t counts[] = {1, 7, 16, 33, 70000, 0, 131072};
      std::vector<Matrix> p, g, m, v;
      std::vector<AdamwReference> reference;
      std::vector<lk_adamw_param> parameters;
      for (int64_t n : counts) {
        p.push_back(Matrix::random(generator, 1, n));
        g.push_back(Matrix(1, n, gradient_dtype));
        m.push_back(Matrix(1, n));
        v.push_back(Matrix(1, n));
        reference.push_back({p.back().values(), m.back().values(), v.back().values()});
      }
      for (size_t i = 0; i < p.size(); ++i) parameters.push_back(describe(p[i], g[i], m[i], v[i]));
      for (config.step = 1; config.step <= 4; ++config.step) {
        for (size_t i = 0; i < p.size(); ++i) {
          const Matrix fresh = Matrix::random(generator, 1, counts[i], gradient_dtype);
          std::copy(fresh.bytes.begin(), fresh.bytes.end(), g[i].bytes.begin());
          reference[i].step(g[i].values(), config, lr, b1, b2);
        }
        device.kernels->adamw_step(device, config, parameters.data(), static_cast<int64_t>(parameters.size()));
      }
      for (size_t i = 0; i < p.size(); ++i) {
        // four steps of about ten rounded operations each: a few units of 6e-8
        CHECK_CLOSE(p[i].values(), reference[i].p, 1e-6, "parameter");
        CHECK_CLOSE(m[i].values(), reference[i].m, 1e-6, "first moment");
        CHECK_CLOSE(v[i].values(), reference[i].v, 1e-6, "second moment");
      }
    });
  }
}

LK_TEST(adamw_rounds_bf16_parameters_once) {
  lk_adamw_config config{};
  config.learning_rate = 1e-2f;
  config.beta1 = 0.9f;
  config.beta2 = 0.999f;
  config.epsilon = 1e-8f;
  config.gradient_scale = 1.0f;
  config.step = 1;
  for_each_table([&](Device& device) {
    std::mt19937 generator(4);
    const int64_t n = 1003;
    Matrix p = Matrix::random(generator, 1, n, LK_BF16), g = Matrix::random(generator, 1, n, LK_BF16);
    Matrix wide(1, n), m(1, n), v(1, n), wide_m(1, n), wide_v(1, n);
    for (int64_t i = 0; i < n; ++i) wide.set(0, i, p.at(0, i));
    const lk_adamw_param narrow_and_wide[] = {describe(p, g, m, v), describe(wide, g, wide_m, wide_v)};
    device.kernels->adamw_step(device, config, narrow_and_wide, 2);
    for (int64_t i = 0; i < n; ++i) {
      CHECK(p.at(0, i) == bf16_to_float(float_to_bf16(static_cast<float>(wide.at(0, i)))));
    }
  });
}
