#include "test/pager_tensors.h"

#include <cstring>

namespace lk::test {
namespace {

lk_pager_tensor description_of(AdamwTensor& tensor) {
  const lk_adamw_param p = tensor.describe();
  lk_pager_tensor t{};
  t.parameter = p.parameter;
  t.gradient = p.gradient;
  t.count = p.count;
  t.dtype = p.dtype;
  t.gradient_dtype = p.gradient_dtype;
  t.state_format = p.state_format;
  t.master_weights = tensor.kind.master;
  t.weight_decay = p.weight_decay;
  t.learning_rate_scale = p.learning_rate_scale;
  return t;
}

}  // namespace

void PagerTensors::add(pager::Pager& pager, const std::vector<int64_t>& counts, const std::vector<AdamwCase>& kinds) {
  std::vector<std::unique_ptr<Pair>> added;
  std::vector<lk_pager_tensor> descriptions;
  for (size_t i = 0; i < counts.size(); ++i) {
    AdamwTensor tensor(generator_, counts[i], kinds[i % kinds.size()]);
    added.push_back(std::make_unique<Pair>(Pair{tensor, tensor, 0}));
    descriptions.push_back(description_of(added.back()->paged));
  }
  int64_t number = pager.add(descriptions.data(), static_cast<int64_t>(descriptions.size()));
  for (auto& pair : added) {
    pair->number = number++;
    pairs_.push_back(std::move(pair));
  }
}

void PagerTensors::drop(pager::Pager& pager, size_t index) {
  pager.drop(pairs_[index]->number);
  pairs_.erase(pairs_.begin() + static_cast<std::ptrdiff_t>(index));
}

void PagerTensors::draw_gradients() {
  for (auto& pair : pairs_) {
    pair->paged.draw_gradient(generator_);
    std::memcpy(pair->twin.gradient.bytes.data(), pair->paged.gradient.bytes.data(), pair->paged.gradient.bytes.size());
  }
}

lk_adamw_config PagerTensors::next_config() const {
  lk_adamw_config config = adamw_config();
  config.step = steps_ + 1;
  return config;
}

void PagerTensors::step_twins(float gradient_scale) {
  lk_adamw_config config = next_config();
  config.gradient_scale *= gradient_scale;
  for (auto& pair : pairs_) {
    const lk_adamw_param whole = pair->twin.describe();
    device_.kernels->adamw_step(device_, config, &whole, 1);
  }
  ++steps_;
}

void PagerTensors::copy_parameters() {
  for (auto& pair : pairs_) {
    std::memcpy(pair->paged.parameter.bytes.data(), pair->twin.parameter.bytes.data(),
                pair->twin.parameter.bytes.size());
  }
}

void PagerTensors::check_parameters() {
  for (auto& pair : pairs_) {
    CHECK_TEXT(pair->paged.parameter.bytes == pair->twin.parameter.bytes, "tensor " + std::to_string(pair->number));
  }
}

void PagerTensors::check(pager::Pager& pager, bool states) {
  check_parameters();
  if (!states) return;
  for (auto& pair : pairs_) {
    const lk_adamw_param twin = pair->twin.describe();
    const lk_address parts[pager::kParts] = {twin.exp_avg, twin.exp_avg_sq, twin.absmax1, twin.absmax2, twin.master};
    const pager::Layout layout = pager::layout_of(twin.state_format, pair->twin.kind.master, twin.count);
    for (int part = 0; part < pager::kParts; ++part) {
      const int64_t bytes = layout.parts[part].bytes;
      if (bytes == 0) continue;
      std::vector<uint8_t> held(static_cast<size_t>(bytes));
      // In two reads, whose border is no border of a page.
      const int64_t border = bytes / 3;
      pager.read(pair->number, part, 0, border, held.data());
      pager.read(pair->number, part, border, bytes - border, held.data() + border);
      CHECK_TEXT(std::memcmp(held.data(), at_address<const void>(parts[part]), held.size()) == 0,
                 "part " + std::to_string(part) + " of tensor " + std::to_string(pair->number));
    }
  }
}

void PagerTensors::import(pager::Pager& pager) {
  std::vector<int64_t> numbers;
  std::vector<lk_adamw_param> states;
  for (auto& pair : pairs_) {
    numbers.push_back(pair->number);
    states.push_back(pair->twin.describe());
  }
  pager.import(numbers.data(), states.data(), static_cast<int64_t>(numbers.size()));
}

std::vector<AdamwCase> all_kinds() {
  std::vector<AdamwCase> kinds;
  for (lk_state_format states : {LK_STATE_F32, LK_STATE_BF16, LK_STATE_8BIT}) {
    kinds.push_back({LK_F32, LK_F32, states, false, 0.125f, 1.0f});
    kinds.push_back({LK_BF16, LK_BF16, states, false, 0.0f, 0.5f});
    kinds.push_back({LK_BF16, LK_F32, states, true, 0.25f, 2.0f});
  }
  return kinds;
}

}  // namespace lk::test
