// The C boundary: every extern "C" body is guard([&] { validate; dispatch; }).
#pragma once

#include <exception>
#include <new>
#include <string>

#include "common/device.h"
#include "common/error.h"
#include "lora_kernels.h"

namespace lk::api {

// Remembers the message of a failure for lk_last_error() on this thread, and returns the status.
lk_status remember(lk_status status, const char* message) noexcept;

template <typename F>
lk_status guard(const char* operation, F&& body) noexcept {
  try {
    body();
    return LK_OK;
  } catch (const Error& error) {
    return remember(error.status, error.message.c_str());
  } catch (const std::bad_alloc&) {
    return remember(LK_OUT_OF_MEMORY, "out of memory for the library's own bookkeeping");
  } catch (const std::exception& error) {
    return remember(LK_INTERNAL, (std::string(operation) + ": defect of the library: " + error.what()).c_str());
  } catch (...) {
    return remember(LK_INTERNAL, "defect of the library: unknown exception");
  }
}

}  // namespace lk::api
