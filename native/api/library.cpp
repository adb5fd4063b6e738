// The library itself: versions, errors, threads, code tables.
#include <cstring>

#include "api/guard.h"
#include "api/validate.h"
#include "common/format4.h"
#include "cpu/thread_pool.h"

#define LK_TEXT_(x) #x
#define LK_TEXT(x) LK_TEXT_(x)

namespace lk::api {

static thread_local char last_message[1024] = "";

lk_status remember(lk_status status, const char* message) noexcept {
  std::strncpy(last_message, message, sizeof last_message - 1);
  return status;
}

}  // namespace lk::api

using lk::api::Check;
using lk::api::guard;

extern "C" {

int32_t lk_abi_version(void) {
  return LK_ABI_VERSION;
}

const char* lk_version(void) {
  return LK_VERSION_STRING;
}

const char* lk_build_info(void) {
#ifdef LK_WITH_CUDA
  return "g++ " LK_TEXT(__GNUC__) "." LK_TEXT(__GNUC_MINOR__) ", with CUDA";
#else
  return "g++ " LK_TEXT(__GNUC__) "." LK_TEXT(__GNUC_MINOR__) ", CPU alone";
#endif
}

const char* lk_status_name(int32_t status) {
  static const char* const names[] = {
      "ok",          "invalid argument", "shape mismatch", "unsupported", "out of memory", "backend unavailable",
      "device lost", "I/O error",        "internal error", "cancelled"};
  return status >= LK_OK && status <= LK_CANCELLED ? names[status] : "unknown status";
}

const char* lk_last_error(void) {
  return lk::api::last_message;
}

lk_status lk_set_num_threads(int32_t threads) {
  return guard("lk_set_num_threads", [&] {
    if (threads < 0 || threads > 4096) {
      lk::fail(LK_INVALID_ARGUMENT, "lk_set_num_threads: threads must be in 0 ... 4096, but is %d", threads);
    }
    lk::cpu::set_num_threads(threads);
  });
}

int32_t lk_num_threads(void) {
  return lk::cpu::num_threads();
}

lk_status lk_code_book(int32_t format, float out[16]) {
  return guard("lk_code_book", [&] {
    Check("lk_code_book").not_null(out, "out");
    if (format != LK_NF4 && format != LK_FP4) {
      lk::fail(LK_INVALID_ARGUMENT, "lk_code_book: format must be LK_NF4 or LK_FP4, but is %d", format);
    }
    std::memcpy(out, lk::code_book(format), 16 * sizeof(float));
  });
}

lk_status lk_dynamic_map(float out[256]) {
  return guard("lk_dynamic_map", [&] {
    Check("lk_dynamic_map").not_null(out, "out");
    std::memcpy(out, lk::kDynamicMap, 256 * sizeof(float));
  });
}

lk_status lk_dynamic_map_unsigned(float out[256]) {
  return guard("lk_dynamic_map_unsigned", [&] {
    Check("lk_dynamic_map_unsigned").not_null(out, "out");
    std::memcpy(out, lk::kDynamicMapUnsigned, 256 * sizeof(float));
  });
}

}  // extern "C"
