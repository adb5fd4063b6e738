#ifdef LK_EMULATED

#include "test/emulated_device.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "cuda/backend.h"
#include "emulator/control.h"
#include "test/harness.h"

namespace lk::test {
namespace {

[[noreturn]] void missing() {
  throw Skipped{"the CUDA backend has no kernel for this"};
}

// The table of the backend, whose empty entries say so instead of being a jump to 0.
const KernelTable& complete_table(const KernelTable& table) {
  static KernelTable completed;
  completed = table;
  static_assert(sizeof(KernelTable) % sizeof(void*) == 0, "a name, then pointers to functions");
  void (*const stub)() = missing;
  for (size_t at = sizeof completed.name; at < sizeof completed; at += sizeof stub) {
    char* entry = reinterpret_cast<char*>(&completed) + at;
    void (*kernel)();
    std::memcpy(&kernel, entry, sizeof kernel);
    if (!kernel) std::memcpy(entry, &stub, sizeof stub);
  }
  return completed;
}

// Every schedule for some cases: in order, uniform, one warp far ahead.
uint64_t next_seed() {
  static uint64_t calls = 0;
  const char* chosen = std::getenv("LK_EMULATOR_SEED");
  return chosen ? std::strtoull(chosen, nullptr, 10) : calls++ % 3;
}

std::string joined(const std::vector<std::string>& findings) {
  std::string text;
  for (const std::string& finding : findings) text += "\n  " + finding;
  return text;
}

}  // namespace

void on_emulator(const std::function<void(Device&)>& f) {
  emulator::restore_machine();
  emulator::take_findings();
  emulator::settings().seed = next_seed();
  const std::string where = "[cuda-emulated, seed " + std::to_string(emulator::settings().seed) + "] ";
  std::string failure;
  try {
    const std::unique_ptr<Device> device = cuda::open(0, nullptr);
    new (const_cast<const KernelTable**>(&device->kernels)) const KernelTable*(&complete_table(*device->kernels));
    try {
      f(*device);
    } catch (const Error& error) {
      failure = "status " + std::to_string(error.status) + ": " + error.message;
    } catch (const Failure& failed) {
      failure = failed.message;
    }
    if (failure.empty()) device->synchronize();
  } catch (const Error& error) {
    failure = "status " + std::to_string(error.status) + ": " + error.message;
  }
  const std::vector<std::string> findings = emulator::take_findings();
  emulator::restore_machine();
  if (!failure.empty() || !findings.empty()) throw Failure{where + failure + joined(findings)};
}

}  // namespace lk::test

#endif
