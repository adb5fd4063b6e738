#include "cuda/values.cuh"

#include "common/error.h"
#include "cuda/device.h"

namespace lk::cuda {
namespace {

constexpr int64_t kSequences = -1;  // as the end of a range: not a range

long long ll(int64_t value) {
  return static_cast<long long>(value);
}

}  // namespace

ValueCheck check_values(Device& device, const char* operation, const char* argument, int64_t begin, int64_t end) {
  return {cuda_device(device).value_report(), operation, argument, begin, end};
}

ValueCheck check_sequences(Device& device, const char* operation) {
  return check_values(device, operation, "attention.sequences", 0, kSequences);
}

void throw_reported(ValueReport& report) {
  if (__atomic_load_n(&report.state, __ATOMIC_ACQUIRE) != 2) return;
  const ValueReport r = report;
  __atomic_store_n(&report.state, 0, __ATOMIC_RELEASE);
  if (r.end < 0) {
    fail(LK_INVALID_ARGUMENT,
         "%s: %s[%lld] must name rows of q and k, after those of the sequences before it, and at least as many keys as "
         "queries, but is {%d, %d, %d, %d}; found on the device, where it was left out",
         r.operation, r.argument, ll(r.place), r.values[0], r.values[1], r.values[2], r.values[3]);
  }
  fail(LK_INVALID_ARGUMENT,
       "%s: %s must be in [%lld, %lld), but element [0, %lld] is %d; found on the device, where it was left out",
       r.operation, r.argument, ll(r.begin), ll(r.end), ll(r.place), r.values[0]);
}

}  // namespace lk::cuda
