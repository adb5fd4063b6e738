// What is left of an operation whose sum runs over nothing.
#pragma once

#include "api/guard.h"
#include "lora_kernels.h"

namespace lk::api {

inline bool empty(const lk_tensor& t) {
  return t.rows == 0 || t.cols == 0;
}

// Every row of y = bias, or zeros where it is null.
void fill_rows(lk_device& device, const lk_tensor* bias, const lk_tensor& y);

}  // namespace lk::api
