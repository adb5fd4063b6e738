// AdamW and Adam of every kernel table against float64, for every combination of formats.
#include <algorithm>
#include <cstring>

#include "cpu/thread_pool.h"
#include "test/adamw_tensor.h"

using namespace lk;
using namespace lk::test;

namespace {

// Every combination of parameter, master, gradient and states.
std::vector<AdamwCase> all_cases() {
  std::vector<AdamwCase> cases;
  for (lk_state_format states : {LK_STATE_F32, LK_STATE_BF16, LK_STATE_8BIT}) {
    for (lk_dtype gradient : {LK_F32, LK_BF16, LK_F16}) {
      for (lk_dtype dtype : {LK_F32, LK_BF16}) {
        for (bool master : {false, true}) {
          if (master && dtype == LK_F32) continue;
          AdamwCase c;
          c.dtype = dtype;
          c.gradient_dtype = gradient;
          c.states = states;
          c.master = master;
          cases.push_back(c);
        }
      }
    }
  }
  return cases;
}

void step(Device& device, const lk_adamw_config& config, std::vector<AdamwTensor>& tensors) {
  std::vector<lk_adamw_param> parameters;
  for (AdamwTensor& t : tensors) parameters.push_back(t.describe());
  device.kernels->adamw_step(device, config, parameters.data(), static_cast<int64_t>(parameters.size()));
}

// Every value is within `relative` of its own magnitude, plus `of_largest` of the largest one.
void check_each(const std::vector<double>& actual, const std::vector<double>& expected, double relative,
                double of_largest, const char* what) {
  double largest = 0;
  for (double e : expected) largest = std::max(largest, std::fabs(e));
  for (size_t i = 0; i < expected.size(); ++i) {
    CHECK_CLOSE({actual[i]}, {expected[i]}, 1.0, what, relative * std::fabs(expected[i]) + of_largest * largest);
  }
}

}  // namespace

LK_TEST(adamw_follows_float64_for_every_combination_of_formats) {
  const int64_t counts[] = {1, 7, 16, 33, 1003, 0, 257};
  for (AdamwCase c : all_cases()) {
    for (int32_t decoupled : {1, 0}) {
      for_each_table([&](Device& device) {
        std::mt19937 generator(3);
        lk_adamw_config config = adamw_config();
        config.gradient_scale = 0.5f;
        config.decoupled = decoupled;
        std::vector<AdamwTensor> tensors;
        for (int64_t n : counts) {
          c.weight_decay = n % 2 == 0 ? 0.0f : 0.125f;  // two groups
          c.learning_rate_scale = n % 3 == 0 ? 0.25f : 1.0f;
          tensors.emplace_back(generator, n, c);
        }
        for (config.step = 1; config.step <= 3; ++config.step) {
          std::vector<std::vector<double>> p, m, v;
          for (AdamwTensor& t : tensors) {
            t.draw_gradient(generator);
            p.push_back(t.values());
            m.push_back(t.first_moment());
            v.push_back(t.second_moment());
            adamw_reference(config, t.kind, t.gradient.values(), p.back(), m.back(), v.back());
          }
          step(device, config, tensors);
          // F32: about ten rounded operations, a few units of 6e-8; BF16: one rounding to eight bits
          const double state_rounding = c.states == LK_STATE_BF16 ? 0x1.01p-8 : 2e-6;
          // 8 bits: half the widest gap of the map, and half a bin of 2 / 65535
          const bool codes = c.states == LK_STATE_8BIT;
          const double first_gap = codes ? 0.0140625 / 2 + 1.6e-5 : 2e-6,
                       second_gap = codes ? first_gap / 2 + 1e-5 : 2e-6;
          const double rounding = c.dtype == LK_BF16 && !c.master ? 0x1.01p-8 : 2e-6;
          for (size_t i = 0; i < tensors.size(); ++i) {
            check_each(tensors[i].values(), p[i], rounding, 2e-6, "parameter");
            check_each(tensors[i].first_moment(), m[i], state_rounding, first_gap, "first moment");
            check_each(tensors[i].second_moment(), v[i], state_rounding, second_gap, "second moment");
          }
        }
      });
    }
  }
}

LK_TEST(adamw_parameters_are_the_rounding_of_their_masters) {
  AdamwCase c;
  c.dtype = LK_BF16;
  c.master = true;
  AdamwCase wide = c;
  wide.dtype = LK_F32;
  wide.master = false;
  for_each_table([&](Device& device) {
    std::mt19937 generator(4);
    std::vector<AdamwTensor> tensors;
    tensors.emplace_back(generator, 1003, c);
    tensors.emplace_back(generator, 1003, wide);
    tensors[1].parameter = tensors[0].master;
    for (int64_t i = 0; i < 5; ++i) {
      tensors[0].draw_gradient(generator);
      tensors[1].gradient = tensors[0].gradient;
      step(device, adamw_config(), tensors);
    }
    CHECK(tensors[0].master.bytes == tensors[1].parameter.bytes);
    for (int64_t i = 0; i < 1003; ++i) {
      const float master = static_cast<float>(tensors[0].master.at(0, i));
      CHECK(tensors[0].parameter.at(0, i) == bf16_to_float(float_to_bf16(master)));
    }
  });
}

LK_TEST(adamw_slices_and_threads_give_the_bits_of_the_whole) {
  const int threads = cpu::num_threads();
  for (const AdamwCase& c : all_cases()) {
    for_each_table([&](Device& device) {
      std::mt19937 generator(5);
      const int64_t n = 70001;
      std::vector<AdamwTensor> tensors;
      tensors.emplace_back(generator, n, c);
      tensors[0].draw_gradient(generator);
      AdamwTensor sliced = tensors[0];
      cpu::set_num_threads(1);
      step(device, adamw_config(), tensors);
      cpu::set_num_threads(3);
      std::vector<lk_adamw_param> slices;
      for (int64_t begin = 0, size = 256; begin < n; begin += size, size = size * 3 % 4096 + 256) {
        size -= size % 256;
        slices.push_back(sliced.describe(begin, std::min(n, begin + size)));
      }
      std::reverse(slices.begin(), slices.end());
      device.kernels->adamw_step(device, adamw_config(), slices.data(), static_cast<int64_t>(slices.size()));
      cpu::set_num_threads(threads);
      CHECK(sliced.written() == tensors[0].written());
    });
  }
}
