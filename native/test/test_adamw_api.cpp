// The C ABI of the optimiser: norm, clipping and skipped steps, and messages for what does not fit.
#include <limits>

#include "api/guard.h"
#include "test/adamw_tensor.h"
#include "test/c_api.h"

using namespace lk;
using namespace lk::test;

namespace {

// Tensors of odd sizes in several formats, and their descriptors.
struct Step {
  Step() {
    std::mt19937 generator(6);
    const int64_t counts[] = {5, 4099, 0, 40001};
    for (int64_t n : counts) {
      AdamwCase c;
      if (n == 4099) c.gradient_dtype = LK_BF16;
      tensors.emplace_back(generator, n, c);
      tensors.back().draw_gradient(generator);
    }
    for (AdamwTensor& t : tensors) parameters.push_back(t.describe());
  }

  double norm() const {
    double sum = 0;
    for (const AdamwTensor& t : tensors) {
      for (double g : t.gradient.values()) sum += g * g;
    }
    return std::sqrt(sum);
  }

  std::vector<uint8_t> written() const {
    std::vector<uint8_t> all;
    for (const AdamwTensor& t : tensors) {
      const std::vector<uint8_t> one = t.written();
      all.insert(all.end(), one.begin(), one.end());
    }
    return all;
  }

  int64_t count() const { return static_cast<int64_t>(parameters.size()); }

  std::vector<AdamwTensor> tensors;
  std::vector<lk_adamw_param> parameters;
};

}  // namespace

LK_TEST(adamw_clips_at_the_global_norm_as_torch_does) {
  const Handle h;
  for (float limit : {0.0f, 1.0f, 1e6f}) {
    Step clipped, plain;
    lk_adamw_config config = adamw_config();
    config.gradient_scale = -0.25f;
    config.max_gradient_norm = limit;
    lk_adamw_report report{};
    succeeds(lk_adamw_clipped_step(h.device, &config, clipped.parameters.data(), clipped.count(), &report));
    const double norm = 0.25 * clipped.norm();
    CHECK_CLOSE({report.gradient_norm}, {norm}, 1e-12, "norm");
    const double factor = limit == 0 ? 1 : std::min(1.0, limit / (norm + 1e-6));
    CHECK_CLOSE({report.gradient_scale}, {-0.25 * factor}, 1e-7, "scale");  // rounded to F32
    CHECK(!report.skipped && report.first_non_finite == -1);
    config.gradient_scale = report.gradient_scale;
    succeeds(lk_adamw_step(h.device, &config, plain.parameters.data(), plain.count()));
    CHECK(clipped.written() == plain.written());
  }
}

LK_TEST(adamw_skips_a_step_with_a_gradient_that_is_not_finite) {
  const Handle h;
  for (double poison : {std::numeric_limits<double>::quiet_NaN(), HUGE_VAL, -HUGE_VAL}) {
    Step s;
    s.tensors[3].gradient.set(0, 40000, poison);
    s.tensors[1].gradient.set(0, 4098, poison);
    const std::vector<uint8_t> before = s.written();
    lk_adamw_config config = adamw_config();
    config.max_gradient_norm = 1.0f;
    lk_adamw_report report{};
    succeeds(lk_adamw_clipped_step(h.device, &config, s.parameters.data(), s.count(), &report));
    CHECK(report.skipped == 1 && report.first_non_finite == 1 && report.gradient_scale == 1.0f);
    CHECK(!std::isfinite(report.gradient_norm));
    CHECK(s.written() == before);
  }
}

LK_TEST(adamw_norm_reads_gradients_alone) {
  const Handle h;
  Step s;
  lk_adamw_config config{};  // no step, no rates: none is needed
  config.gradient_scale = 1.0f;
  for (lk_adamw_param& p : s.parameters) p.parameter = p.exp_avg = p.exp_avg_sq = 0;
  lk_adamw_report report{};
  succeeds(lk_adamw_gradient_norm(h.device, &config, s.parameters.data(), s.count(), &report));
  CHECK_CLOSE({report.gradient_norm}, {s.norm()}, 1e-12, "norm");
  succeeds(lk_adamw_gradient_norm(h.device, &config, nullptr, 0, &report));
  CHECK(report.gradient_norm == 0 && !report.skipped && report.first_non_finite == -1);
}

LK_TEST(api_checks_adamw) {
  const Handle h;
  std::mt19937 generator(7);
  AdamwTensor tensor(generator, 4, {});
  const lk_adamw_config config = adamw_config();
  const auto with_config = [&](auto&& spoil) {
    lk_adamw_config c = config;
    spoil(c);
    const lk_adamw_param p = tensor.describe();
    return lk_adamw_step(h.device, &c, &p, 1);
  };
  const auto with_parameter = [&](auto&& spoil) {
    lk_adamw_param parameters[2] = {tensor.describe(), tensor.describe()};
    spoil(parameters[1]);
    const std::vector<uint8_t> before = tensor.written();
    const lk_status status = lk_adamw_step(h.device, &config, parameters, 2);
    if (status != LK_OK) CHECK(tensor.written() == before);  // not even the first tensor
    return status;
  };
  using Config = lk_adamw_config;
  using Param = lk_adamw_param;
  CHECK(with_config([](Config&) {}) == LK_OK);
  expect(with_config([](Config& c) { c.step = 0; }), LK_INVALID_ARGUMENT, {"config.step", "0"});
  expect(with_config([](Config& c) { c.beta2 = 1; }), LK_INVALID_ARGUMENT, {"beta2", "[0, 1)", "1"});
  expect(with_config([](Config& c) { c.learning_rate = -1; }), LK_INVALID_ARGUMENT, {"learning_rate", "-1"});
  expect(with_config([](Config& c) { c.decoupled = 2; }), LK_INVALID_ARGUMENT, {"decoupled", "Adam", "2"});
  expect(with_config([](Config& c) { c.max_gradient_norm = -1; }), LK_INVALID_ARGUMENT, {"max_gradient_norm", "-1"});
  expect(with_config([](Config& c) { c.gradient_scale = HUGE_VALF; }), LK_INVALID_ARGUMENT, {"gradient_scale", "inf"});
  CHECK(with_parameter([](Param&) {}) == LK_OK);
  expect(with_parameter([](Param& p) { p.dtype = LK_F16; }), LK_UNSUPPORTED, {"parameters[1].dtype", "F16"});
  expect(with_parameter([](Param& p) { p.gradient_dtype = LK_U8; }), LK_UNSUPPORTED, {"gradient_dtype", "U8"});
  expect(with_parameter([](Param& p) { p.state_format = 3; }), LK_INVALID_ARGUMENT, {"state_format", "3"});
  expect(with_parameter([](Param& p) { p.exp_avg = 0; }), LK_INVALID_ARGUMENT, {"parameters[1].exp_avg", "null"});
  expect(with_parameter([](Param& p) { p.exp_avg_sq += 2; }), LK_INVALID_ARGUMENT, {"exp_avg_sq", "aligned", "4"});
  const auto eight_bit = [](Param& p) { p.state_format = LK_STATE_8BIT; };
  expect(with_parameter([&](Param& p) { eight_bit(p), p.absmax1 = 0; }), LK_INVALID_ARGUMENT, {"absmax1", "null"});
  expect(with_parameter([&](Param& p) { eight_bit(p), p.absmax2 += 2; }), LK_INVALID_ARGUMENT, {"absmax2", "aligned"});
  expect(with_parameter([](Param& p) { p.master = p.parameter; }), LK_INVALID_ARGUMENT, {"master", "BF16", "F32"});
  expect(with_parameter([](Param& p) { p.count = -1; }), LK_INVALID_ARGUMENT, {"parameters[1].count", "-1"});
  expect(with_parameter([](Param& p) { p.weight_decay = -1; }), LK_INVALID_ARGUMENT, {"weight_decay", "-1"});
  expect(with_parameter([](Param& p) { p.learning_rate_scale = std::nanf(""); }), LK_INVALID_ARGUMENT,
         {"learning_rate_scale", "nan"});
  const lk_adamw_param p = tensor.describe();
  expect(lk_adamw_step(h.device, &config, &p, -1), LK_INVALID_ARGUMENT, {"count", "-1"});
  expect(lk_adamw_clipped_step(h.device, &config, &p, 1, nullptr), LK_INVALID_ARGUMENT, {"report", "null"});
  expect(lk_adamw_gradient_norm(h.device, nullptr, &p, 1, nullptr), LK_INVALID_ARGUMENT, {"config", "null"});
}
