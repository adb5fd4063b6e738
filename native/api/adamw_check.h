// What the optimiser's operations check of their configuration and tensors.
#pragma once

#include <cstdint>

#include "lora_kernels_optimizer.h"

namespace lk::api {

// The checks of one operation. `list` is what it calls its tensors.
class AdamwCheck {
 public:
  explicit AdamwCheck(const char* operation, const char* list = "parameters") : operation_(operation), list_(list) {}

  void config(const lk_adamw_config& c) const;
  // Of a configuration, what the norm depends on.
  void scale(const lk_adamw_config& c) const;
  // Of a tensor, what the norm depends on.
  void gradient(const lk_adamw_param& p, int64_t index) const;
  // All of a tensor but the addresses of its states.
  void tensor(const lk_adamw_param& p, int64_t index) const;
  void parameter(const lk_adamw_param& p, int64_t index) const;

 private:
  // Of one element of a moment; an unknown format is an error.
  int64_t state_bytes(const lk_adamw_param& p, int64_t index) const;
  // An address of elements of so many bytes; any one where there are no elements.
  void address(const lk_adamw_param& p, int64_t index, const char* member, lk_address value, int64_t bytes) const;
  void rate(const char* name, float value) const;
  void positive(const char* name, float value) const;
  void positive(const char* member, float value, long long index) const;

  const char* operation_;
  const char* list_;
};

}  // namespace lk::api
