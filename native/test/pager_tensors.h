// Tensors that a pager optimises, each beside a twin that the kernels update whole: what they hold must be equal, bit for bit,
// wherever the pager keeps its states.
#pragma once

#include <memory>
#include <vector>

#include "pager/pager.h"
#include "test/adamw_tensor.h"

namespace lk::test {

class PagerTensors {
 public:
  explicit PagerTensors(Device& device, unsigned seed = 7) : device_(device), generator_(seed) {}

  // Registers tensors of these sizes and kinds, or throws and registers none.
  void add(pager::Pager& pager, const std::vector<int64_t>& counts, const std::vector<AdamwCase>& kinds);
  void drop(pager::Pager& pager, size_t index);

  void draw_gradients();
  void step(pager::Pager& pager) { pager.step(next_config(), nullptr); }
  // What the step should have done.
  void step_twins(float gradient_scale = 1.0f);
  // Parameters and, unless they are known to be lost, states.
  void check(pager::Pager& pager, bool states = true);
  void check_parameters();
  // The parameters of the twins become those that the pager updates.
  void copy_parameters();
  // The gradient that a tensor's step takes; its twin has none that is not finite.
  Matrix& gradient(size_t index) { return pairs_[index]->paged.gradient; }
  // The states of the twins become those of the pager.
  void import(pager::Pager& pager);

  lk_adamw_config next_config() const;
  int64_t steps() const { return steps_; }

 private:
  struct Pair {
    AdamwTensor paged, twin;
    int64_t number;
  };

  Device& device_;
  std::mt19937 generator_;
  std::vector<std::unique_ptr<Pair>> pairs_;
  int64_t steps_ = 0;
};

// Formats of parameters, gradients and states, with and without a master.
std::vector<AdamwCase> all_kinds();

}  // namespace lk::test
