// How failures travel inside the library: thrown as lk::Error, turned into a status and a message at the C boundary.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <string>

#include "lora_kernels.h"

namespace lk {

struct Error {
  lk_status status;
  std::string message;
};

// Throws Error{status, printf(format, ...)}.
[[noreturn]] __attribute__((format(printf, 2, 3))) void fail(lk_status status, const char* format, ...);

}  // namespace lk
