// linear_cross_entropy against float64: every storage of the head, slices, ignored tokens, weights, soft caps.
#include <algorithm>
#include <cstring>

#include "cpu/thread_pool.h"
#include "test/reference.h"

namespace lk::test {
namespace {

constexpr double kBefore = 0.5;  // what dweight holds before it is added to

// The arguments of one call, with memory of their own. Matrices have gaps behind their rows.
struct Call {
  Call(TestWeight head, int64_t tokens_, lk_dtype dtype, uint32_t seed)
      : generator(seed), weight(std::move(head)), tokens(tokens_) {
    x = Matrix::random(generator, tokens, weight.cols(), dtype, 1.0f, weight.cols() + 3);
    dx = Matrix(tokens, weight.cols(), dtype, weight.cols() + 1);
    dweight = Matrix(weight.rows(), weight.cols(), LK_F32, weight.cols() + 2);
    for (float* f = reinterpret_cast<float*>(dweight.bytes.data());
         f < reinterpret_cast<float*>(dweight.bytes.data() + dweight.bytes.size()); ++f) {
      *f = static_cast<float>(kBefore);
    }
    std::uniform_int_distribution<int32_t> label(0, static_cast<int32_t>(weight.rows()) - 1);
    std::uniform_real_distribution<float> uniform(0.1f, 2.0f);
    for (int64_t t = 0; t < tokens; ++t) {
      labels.push_back(generator() % 3 == 0 ? -100 : label(generator));
      weights.push_back(uniform(generator));
    }
    loss.assign(static_cast<size_t>(tokens), 77.0f);
    predictions.assign(static_cast<size_t>(tokens), 77);
  }

  lk_cross_entropy arguments() {
    lk_cross_entropy a{};
    a.x = x.tensor();
    a.weight = weight.descriptor();
    a.labels = vector(labels.data(), LK_I32);
    a.weights = vector(weights.data(), LK_F32);
    a.softcap = softcap;
    a.gradient_scale = gradient_scale;
    a.loss = vector(loss.data(), LK_F32);
    a.dx = dx.tensor();
    a.dweight = dweight.tensor();
    a.predictions = vector(predictions.data(), LK_I32);
    return a;
  }
  void run(Device& device) { run(device, arguments()); }
  static void run(Device& device, const lk_cross_entropy& a) {
    device.kernels->transformer.linear_cross_entropy(device, a);
  }

  std::mt19937 generator;
  TestWeight weight;
  int64_t tokens;
  Matrix x{0, 0}, dx{0, 0}, dweight{0, 0};
  std::vector<int32_t> labels, predictions;
  std::vector<float> weights, loss;
  float softcap = 0, gradient_scale = 0.25f;

 private:
  lk_tensor vector(const void* data, lk_dtype dtype) const {
    lk_tensor t{};
    t.data = address_of(data);
    t.rows = 1;
    t.cols = t.row_stride = tokens;
    t.dtype = dtype;
    return t;
  }
};

struct Expected {
  std::vector<double> loss, logit_magnitude;
  Reference dx, dweight;  // dweight with kBefore
};

// The formulas of lora_kernels_transformer.h.
Expected expected_of(const Call& c, lk_dtype rounded_weight) {
  const int64_t vocabulary = c.weight.rows(), hidden = c.weight.cols();
  Expected e{std::vector<double>(c.tokens), std::vector<double>(c.tokens), {c.tokens, hidden}, {vocabulary, hidden}};
  for (int64_t n = 0; n < vocabulary; ++n) {
    for (int64_t k = 0; k < hidden; ++k) e.dweight.add(n, k, kBefore, kBefore);
  }
  std::vector<double> w(static_cast<size_t>(vocabulary * hidden)), z(static_cast<size_t>(vocabulary)), slope(z.size());
  for (int64_t n = 0; n < vocabulary; ++n) {
    for (int64_t k = 0; k < hidden; ++k) w[n * hidden + k] = c.weight.at(n, k, rounded_weight);
  }
  for (int64_t t = 0; t < c.tokens; ++t) {
    if (c.labels[t] < 0) continue;
    double largest = -HUGE_VAL, sum = 0;
    for (int64_t n = 0; n < vocabulary; ++n) {
      double magnitude = 0;
      z[n] = 0;
      for (int64_t k = 0; k < hidden; ++k) {
        z[n] += c.x.at(t, k) * w[n * hidden + k];
        magnitude += std::fabs(c.x.at(t, k) * w[n * hidden + k]);
      }
      slope[n] = 1;
      if (c.softcap > 0) {
        const double tanh = std::tanh(z[n] / static_cast<double>(c.softcap));
        z[n] = c.softcap * tanh;
        slope[n] = 1 - tanh * tanh;
      }
      e.logit_magnitude[t] = std::max(e.logit_magnitude[t], magnitude);
      largest = std::max(largest, z[n]);
    }
    for (int64_t n = 0; n < vocabulary; ++n) sum += std::exp(z[n] - largest);
    e.loss[t] = largest + std::log(sum) - z[c.labels[t]];
    for (int64_t n = 0; n < vocabulary; ++n) {
      const double p = std::exp(z[n] - largest) / sum - (n == c.labels[t] ? 1 : 0);
      const double dz = static_cast<double>(c.gradient_scale) * c.weights[t] * p * slope[n];
      for (int64_t k = 0; k < hidden; ++k) {
        e.dx.add(t, k, dz * w[n * hidden + k], std::fabs(dz * w[n * hidden + k]));
        e.dweight.add(n, k, dz * c.x.at(t, k), std::fabs(dz * c.x.at(t, k)));
      }
    }
  }
  return e;
}

constexpr int64_t kMiB = int64_t{1} << 20;

// What the products of a table may take for themselves.
int64_t product_bytes(const Device& device) {
  return (device.backend == LK_BACKEND_CUDA ? 64 : 2) * kMiB;
}

// What a call may take with its products.
int64_t workspace_bytes(const Device& device) {
  if (device.backend == LK_BACKEND_CPU) return 16 * kMiB;
  lk_device_info info{};
  device.query(info);
  return std::max(16 * kMiB, info.total_bytes / 512) + product_bytes(device);
}

void check_outputs(const Call& c, const std::string& what) {
  check_with_weight(c.weight, c.x.dtype, [&](lk_dtype rounded_weight) {
    const Expected e = expected_of(c, rounded_weight);
    double magnitude = 1;
    for (double m : e.logit_magnitude) magnitude = std::max(magnitude, m);
    // Errors of logits are errors of the loss; 1e-6 is asked of the loss itself. Gradients have the relative errors of
    // exp(logits), a few kSumError; with BF16 the gradient of the logits is rounded (2^-8), then dx.
    const bool bf16 = c.x.dtype == LK_BF16;
    const double error = 4 * kSumError * magnitude + (bf16 ? 0x1p-8 : 0);
    const double rounding = bf16 ? 0x1p-8 : c.x.dtype == LK_F16 ? 0x1p-11 : 0;
    for (int64_t t = 0; t < c.tokens; ++t) {
      const double allowed = 4 * kSumError * e.logit_magnitude[t] + 1e-6 * e.loss[t];
      CHECK_TEXT(std::fabs(c.loss[t] - e.loss[t]) <= allowed, what + ": loss of token " + std::to_string(t));
    }
    CHECK_CLOSE(c.dx.values(), e.dx.value, 1.0, what + ": dx",
                error * e.dx.largest_magnitude() + rounding * e.dx.largest_value());
    CHECK_CLOSE(c.dweight.values(), e.dweight.value, 1.0, what + ": dweight", error * e.dweight.largest_magnitude());
  });
  for (int64_t t = 0; t < c.tokens; ++t) {
    if (c.labels[t] >= 0) continue;
    CHECK_TEXT(c.loss[t] == 0 && c.predictions[t] == -1, what + ": token without a label");
    for (int64_t k = 0; k < c.x.cols; ++k) CHECK_TEXT(c.dx.at(t, k) == 0, what + ": dx of a token without a label");
  }
}

}  // namespace

LK_TEST(cross_entropy_every_head_and_dtype) {
  for_each_table([](Device& device) {
    for (lk_dtype dtype : {LK_F32, LK_BF16, LK_F16}) {
      for (int64_t tokens : {1, 5, 40}) {
        std::mt19937 generator(1);
        const struct {
          const char* name;
          TestWeight weight;
        } heads[] = {{"f32", TestWeight::dense(generator, 131, 48, LK_F32, 50)},
                     {"bf16", TestWeight::dense(generator, 64, 33, LK_BF16, 40)},
                     {"f16", TestWeight::dense(generator, 70, 48, LK_F16)},
                     {"nf4", TestWeight::quantized(generator, 150, 128, LK_NF4, 64, true)}};
        for (const auto& head : heads) {
          for (float softcap : {0.0f, 3.0f}) {
            Call c(head.weight, tokens, dtype, static_cast<uint32_t>(tokens));
            c.softcap = softcap;
            c.run(device);
            check_outputs(c, std::string(head.name) + ", " + std::to_string(tokens) + " tokens of dtype " +
                                 std::to_string(dtype) + ", soft cap " + std::to_string(softcap));
          }
        }
      }
    }
  });
}

// Logits that are known exactly: x is 1, so they are the weight.
LK_TEST(cross_entropy_loss_is_accurate_however_small_or_large) {
  for_each_table([](Device& device) {
    for (float gap : {-80.0f, 0.0f, 1.0f, 8.0f, 16.0f, 30.0f}) {
      for (float offset : {0.0f, -1000.0f, 1000.0f}) {
        std::mt19937 generator(2);
        TestWeight weight = TestWeight::dense(generator, 3001, 1, LK_F32);
        lk_weight w = weight.descriptor();
        float* logits = at_address<float>(w.data);
        for (int i = 0; i < 3001; ++i) logits[i] += offset;
        logits[17] = offset + gap;
        Call c(weight, 1, LK_F32, 3);
        c.x.set(0, 0, 1);
        c.labels = {17};
        c.run(device);
        double others = 0;
        for (int i = 0; i < 3001; ++i) {
          if (i != 17) others += std::exp(static_cast<double>(logits[i]) - static_cast<double>(logits[17]));
        }
        const double expected = std::log1p(others);
        CHECK_CLOSE({c.loss[0]}, {expected}, 1e-6, "loss where the label is ahead by " + std::to_string(gap));
        // The gradient is as accurate: -(1 - p) where p is nearly 1.
        const double slope = c.gradient_scale * c.weights[0] * std::expm1(-expected);
        CHECK_CLOSE({c.dweight.at(17, 0)}, {kBefore + slope}, 0x1p-22, "gradient of the label", kBefore);
      }
    }
  });
}

LK_TEST(cross_entropy_goes_by_slices) {
  std::mt19937 generator(4);
  Call c(TestWeight::dense(generator, 40000, 8, LK_F32), 300, LK_F32, 5);
  const std::vector<uint8_t> before = c.dweight.bytes;
  for_each_table([&](Device& device) {
    std::vector<std::vector<uint8_t>> first;
    for (int threads : {1, 3}) {
      cpu::set_num_threads(threads);
      c.dweight.bytes = before;
      c.run(device);
      if (first.empty()) first = {c.dx.bytes, c.dweight.bytes};
      CHECK(c.dx.bytes == first[0]);
      CHECK(c.dweight.bytes == first[1]);
    }
    cpu::set_num_threads(0);
    CHECK(device.stats.workspace_peak_bytes <= workspace_bytes(device));
    const int64_t count = device.stats.workspace_count;
    c.dweight.bytes = before;
    c.run(device);
    CHECK(device.stats.workspace_count == count);
  });
  check_outputs(c, "300 tokens, vocabulary 40000");
}

LK_TEST(cross_entropy_of_a_row_of_more_than_16_mib) {
  constexpr int64_t kVocabulary = (int64_t{16} << 20) / 4 + 1000;
  std::mt19937 generator(6);
  TestWeight weight = TestWeight::dense(generator, kVocabulary, 1, LK_BF16);
  for_each_table([&](Device& device) {
    Call c(weight, 2, LK_F32, 7);
    c.labels = {static_cast<int32_t>(kVocabulary - 1), 0};
    lk_cross_entropy a = c.arguments();
    a.dweight = lk_tensor{};
    Call::run(device, a);
    for (int64_t t = 0; t < 2; ++t) {
      double sum = 0;
      for (int64_t n = 0; n < kVocabulary; ++n) sum += std::exp(c.x.at(t, 0) * weight.at(n, 0));
      const double expected = std::log(sum) - c.x.at(t, 0) * weight.at(c.labels[t], 0);
      CHECK_CLOSE({c.loss[t]}, {expected}, 1e-6, "loss");
    }
    CHECK(device.stats.workspace_peak_bytes <= kVocabulary * 4 + product_bytes(device));
  });
}

LK_TEST(cross_entropy_predictions) {
  for_each_table([](Device& device) {
    std::mt19937 generator(8);
    TestWeight weight = TestWeight::dense(generator, 100, 1, LK_F32);
    float* logits = at_address<float>(weight.descriptor().data);
    logits[60] = logits[37] = 5;  // the lowest of equals
    logits[99] = -7;
    Call c(weight, 3, LK_F32, 9);
    c.labels = {4, -1, 5};
    c.x.set(0, 0, 1);
    c.x.set(2, 0, -1);
    c.run(device);
    CHECK(c.predictions == (std::vector<int32_t>{37, -1, 99}));
  });
}

LK_TEST(cross_entropy_without_what_is_optional) {
  for_each_table([](Device& device) {
    std::mt19937 generator(10);
    Call c(TestWeight::dense(generator, 90, 20, LK_F32), 12, LK_F32, 11);
    c.weights.assign(12, 1.0f);
    c.run(device);
    const std::vector<float> loss = c.loss;
    const std::vector<uint8_t> dx = c.dx.bytes, dweight = c.dweight.bytes;
    lk_cross_entropy a = c.arguments();
    a.weights = a.dweight = a.predictions = lk_tensor{};
    c.dx.set(0, 0, 77);
    Call::run(device, a);
    CHECK(c.loss == loss);
    CHECK(c.dx.bytes == dx);
    CHECK(c.dweight.bytes == dweight);
    a.dx = lk_tensor{};
    c.loss.assign(12, 77.0f);
    Call::run(device, a);
    CHECK(c.loss == loss);
  });
}

LK_TEST(cross_entropy_of_no_labels_and_of_nans) {
  for_each_table([](Device& device) {
    std::mt19937 generator(12);
    Call c(TestWeight::dense(generator, 90, 20, LK_F32), 6, LK_F32, 13);
    c.labels.assign(6, -100);
    const std::vector<uint8_t> dweight = c.dweight.bytes;
    c.run(device);
    check_outputs(c, "no labels");
    CHECK(c.dweight.bytes == dweight);
    // CUDA cannot know that there are none.
    CHECK(device.backend == LK_BACKEND_CUDA || device.stats.workspace_count == 0);

    c.labels.assign(6, 3);
    c.x.set(2, 1, NAN);
    c.run(device);
    for (int64_t t = 0; t < 6; ++t) {
      CHECK(std::isnan(c.loss[t]) == (t == 2));
      CHECK(std::isnan(c.dx.at(t, 0)) == (t == 2));
    }
    CHECK(c.predictions[2] == 0);
  });
}

// Central differences of the float64 reference's loss, weighted and scaled, against dx and dweight.
LK_TEST(cross_entropy_gradients_are_those_of_finite_differences) {
  for_each_table([](Device& device) {
    std::mt19937 generator(14);
    TestWeight weight = TestWeight::dense(generator, 19, 5, LK_F32);
    Call c(weight, 4, LK_F32, 15);
    c.softcap = 2.0f;
    c.run(device);
    const auto loss = [&] {
      const Expected e = expected_of(c, LK_F32);
      double sum = 0;
      for (int64_t t = 0; t < c.tokens; ++t) sum += e.loss[t] * c.weights[t] * static_cast<double>(c.gradient_scale);
      return sum;
    };
    // A step of a power of two changes most values exactly; the difference quotient has the true step.
    const auto difference = [&](float& value) {
      const float middle = value, above = middle + 0x1p-8f, below = middle - 0x1p-8f;
      value = above;
      const double high = loss();
      value = below;
      const double low = loss();
      value = middle;
      return (high - low) / (static_cast<double>(above) - static_cast<double>(below));
    };
    // The error of the quotient is of the order of the square of the step.
    for (int64_t t = 0; t < c.tokens; ++t) {
      for (int64_t k = 0; k < 5; ++k) {
        float& value = at_address<float>(c.x.tensor().data)[t * c.x.stride + k];
        CHECK_CLOSE({c.dx.at(t, k)}, {difference(value)}, 1e-5, "dx", 1.0);
      }
    }
    float* w = at_address<float>(weight.descriptor().data);
    for (int64_t i = 0; i < 19 * 5; ++i) {
      CHECK_CLOSE({c.dweight.at(i / 5, i % 5) - kBefore}, {difference(w[i])}, 1e-5, "dweight", 1.0);
    }
  });
}

}  // namespace lk::test
