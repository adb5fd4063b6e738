// The C boundary of the pager: what it refuses and says, and a life from open to close.
#include <vector>

#include "lora_kernels_pager.h"
#include "test/c_api.h"

namespace lk::test {
LK_TEST(pager_api_refuses_bad_arguments) {
  lk_budget* budget = nullptr;
  expect(lk_budget_open(-2, 0, &budget), LK_INVALID_ARGUMENT, {"device_bytes"});
  expect(lk_budget_open(0, 0, nullptr), LK_INVALID_ARGUMENT, {"out"});
  lk_device* device = nullptr;
  CHECK(lk_device_open(LK_BACKEND_CPU, 0, &device) == LK_OK);
  lk_pager* pager = nullptr;
  expect(lk_pager_open(device, nullptr, nullptr, 1000, 0, &pager), LK_INVALID_ARGUMENT, {"page_bytes"});
  expect(lk_pager_open(device, nullptr, nullptr, 0, -1, &pager), LK_INVALID_ARGUMENT, {"ring_pages"});
  CHECK(pager == nullptr);
  CHECK(lk_pager_open(device, nullptr, nullptr, 0, 0, &pager) == LK_OK);
  std::vector<float> values(300, 1.0f), gradients(300, 0.5f);
  lk_pager_tensor tensor{};
  tensor.parameter = address_of(values.data());
  tensor.gradient = address_of(gradients.data());
  tensor.count = 300;
  tensor.learning_rate_scale = 1.0f;
  int64_t number = -1;
  lk_pager_tensor bad = tensor;
  bad.parameter = 0;
  expect(lk_pager_register(pager, &bad, 1, &number), LK_INVALID_ARGUMENT, {"tensors[0].parameter"});
  bad = tensor;
  bad.master_weights = 1;
  expect(lk_pager_register(pager, &bad, 1, &number), LK_INVALID_ARGUMENT, {"master_weights"});
  bad = tensor;
  bad.state_format = 7;
  expect(lk_pager_register(pager, &bad, 1, &number), LK_INVALID_ARGUMENT, {"state_format"});
  CHECK(lk_pager_register(pager, &tensor, 1, &number) == LK_OK && number == 0);
  float state[2];
  expect(lk_pager_read(pager, 1, LK_PART_EXP_AVG, 0, 8, address_of(state)), LK_INVALID_ARGUMENT, {"registered"});
  expect(lk_pager_read(pager, 0, LK_PART_EXP_AVG, 1196, 8, address_of(state)), LK_INVALID_ARGUMENT, {"1200"});
  expect(lk_pager_read(pager, 0, 9, 0, 8, address_of(state)), LK_INVALID_ARGUMENT, {"part"});
  expect(lk_pager_drop(pager, 5), LK_INVALID_ARGUMENT, {"lk_pager_drop: tensor must be one that is registered"});
  lk_adamw_config config{};
  expect(lk_pager_step(pager, &config, nullptr), LK_INVALID_ARGUMENT, {"step must be at least 1"});
  CHECK(lk_pager_close(pager) == LK_OK && lk_device_close(device) == LK_OK);
}

LK_TEST(pager_api_from_open_to_close) {
  lk_device* device = nullptr;
  lk_budget* budget = nullptr;
  lk_pager* pager = nullptr;
  CHECK(lk_device_open(LK_BACKEND_CPU, 0, &device) == LK_OK);
  CHECK(lk_budget_open(4096, 8192, &budget) == LK_OK);
  CHECK(lk_pager_open(device, budget, "/tmp", 4096, 0, &pager) == LK_OK);
  std::vector<float> values(3000, 1.0f), gradients(3000, 0.5f);
  lk_pager_tensor tensor{};
  tensor.parameter = address_of(values.data());
  tensor.gradient = address_of(gradients.data());
  tensor.count = 3000;
  tensor.learning_rate_scale = 1.0f;
  int64_t number = -1;
  CHECK(lk_pager_register(pager, &tensor, 1, &number) == LK_OK);
  lk_budget_info info;
  CHECK(lk_budget_query(budget, &info) == LK_OK && info.bytes == 12288 && info.pagers == 1);
  CHECK(info.used_bytes <= info.bytes);
  CHECK(lk_budget_close(budget) == LK_OK);  // the pager keeps it
  lk_adamw_config config{};
  config.learning_rate = 0.1f;
  config.beta1 = 0.9f;
  config.beta2 = 0.999f;
  config.epsilon = 1e-8f;
  config.gradient_scale = 1.0f;
  config.decoupled = 1;
  config.step = 1;
  lk_adamw_report report;
  CHECK(lk_pager_step(pager, &config, &report) == LK_OK);
  CHECK(std::fabs(report.gradient_norm - 0.5 * std::sqrt(3000.0)) < 1e-9);
  for (float value : values) CHECK(std::fabs(value - 0.9f) < 1e-6f);  // the first step is the learning rate
  float m = 0;
  CHECK(lk_pager_read(pager, number, LK_PART_EXP_AVG, 4 * 2999, 4, address_of(&m)) == LK_OK);
  CHECK(std::fabs(m - 0.05f) < 1e-8f);
  lk_pager_stats stats;
  CHECK(lk_pager_query(pager, &stats) == LK_OK && stats.steps == 1 && stats.file_bytes > 0);
  CHECK(lk_pager_drop(pager, number) == LK_OK);
  CHECK(lk_pager_cancel(pager) == LK_OK);
  expect(lk_pager_step(pager, &config, nullptr), LK_CANCELLED, {"memory tier"});
  CHECK(lk_pager_close(pager) == LK_OK && lk_device_close(device) == LK_OK);
}

}  // namespace lk::test
