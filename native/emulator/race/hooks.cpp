// What g++ -fsanitize=thread calls at every load and store, defined here instead of in ThreadSanitizer's library, which the tests
// are linked without. Atomics of kernels are calls into the engine; those of host code in the same files do their work.
#include <cstdint>

#include "emulator/control.h"
#include "emulator/race/race.h"
#include "emulator/race/traffic.h"

using lk::emulator::current;
namespace race = lk::emulator::race;

#define LK_HOOK(name, bytes, kind)                           \
  void __tsan_##name##bytes(void* p) {                       \
    note(p, bytes, race::kind, __builtin_return_address(0)); \
  }
#define LK_HOOKS(bytes)                   \
  LK_HOOK(read, bytes, kRead)             \
  LK_HOOK(write, bytes, kWrite)           \
  LK_HOOK(unaligned_read, bytes, kRead)   \
  LK_HOOK(unaligned_write, bytes, kWrite) \
  LK_HOOK(volatile_read, bytes, kRead)    \
  LK_HOOK(volatile_write, bytes, kWrite)

namespace {

void note(const void* address, size_t bytes, race::Kind kind, const void* instruction) {
  if (!current || lk::emulator::on_own_stack(address)) return;
  race::access(address, bytes, kind);
  if (lk::emulator::settings().count_traffic) lk::emulator::traffic::note(address, bytes, instruction);
}

}  // namespace

extern "C" {

void __tsan_init() {
  race::on = true;
}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
LK_HOOKS(1)
LK_HOOKS(2)
LK_HOOKS(4)
LK_HOOKS(8)
LK_HOOKS(16)
void __tsan_read_range(void* p, unsigned long bytes) {
  note(p, bytes, race::kRead, __builtin_return_address(0));
}
void __tsan_write_range(void* p, unsigned long bytes) {
  note(p, bytes, race::kWrite, __builtin_return_address(0));
}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

#define LK_ATOMIC_HOOKS(bits, type)                                                                \
  type __tsan_atomic##bits##_load(const volatile type* p, int) {                                   \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                                   \
  }                                                                                                \
  void __tsan_atomic##bits##_store(volatile type* p, type v, int) {                                \
    __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                                      \
  }                                                                                                \
  type __tsan_atomic##bits##_exchange(volatile type* p, type v, int) {                             \
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                            \
  }                                                                                                \
  type __tsan_atomic##bits##_fetch_add(volatile type* p, type v, int) {                            \
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);                                             \
  }                                                                                                \
  type __tsan_atomic##bits##_fetch_sub(volatile type* p, type v, int) {                            \
    return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST);                                             \
  }                                                                                                \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile type* p, type* e, type v, int, int) { \
    return __atomic_compare_exchange_n(p, e, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);        \
  }                                                                                                \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile type* p, type* e, type v, int, int) {   \
    return __atomic_compare_exchange_n(p, e, v, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);         \
  }

LK_ATOMIC_HOOKS(8, uint8_t)
LK_ATOMIC_HOOKS(32, uint32_t)
LK_ATOMIC_HOOKS(64, uint64_t)
void __tsan_atomic_thread_fence(int) {}
void __tsan_atomic_signal_fence(int) {}

}  // extern "C"
