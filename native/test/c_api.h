// What tests of the C ABI share: a handle, and calls that succeed, or fail with a message.
#pragma once

#include <initializer_list>

#include "test/harness.h"

namespace lk::test {

// A device of its own.
struct Handle {
  explicit Handle(lk_backend backend = LK_BACKEND_CPU);
  ~Handle();
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  lk_device* device = nullptr;
};

// The message of the last failure has all parts.
void expect_message(std::initializer_list<const char*> parts);

// The call failed with `status`, and the message has all parts.
void expect(lk_status actual, lk_status status, std::initializer_list<const char*> parts);

void succeeds(lk_status status);

// `rows` rows of I32 in the memory of `values`, which must stay.
lk_tensor ints(const std::vector<int32_t>& values, int64_t rows = 1);

}  // namespace lk::test
