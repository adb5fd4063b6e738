#include "emulator/engine/fiber.h"

#include <sys/mman.h>

#include <memory>
#include <new>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// Saves what a call preserves (System V, x86-64), changes stacks, and restores it. Written by hand: swapcontext makes a
// system call for the signal mask.
extern "C" void lk_emu_switch_stacks(void** save_stack_pointer, void* stack_pointer);
asm(R"(
.text
.globl lk_emu_switch_stacks
.hidden lk_emu_switch_stacks
.type lk_emu_switch_stacks, @function
lk_emu_switch_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size lk_emu_switch_stacks, .-lk_emu_switch_stacks
)");

namespace lk::emulator {
namespace {

constexpr size_t kStackBytes = size_t{256} << 10;
constexpr size_t kGuardBytes = 4096;
constexpr int kSavedRegisters = 6;

std::vector<Fiber*>& idle_fibers() {
  static std::vector<Fiber*> idle;
  return idle;
}

// Every fiber that was ever made, until the process ends.
std::vector<std::unique_ptr<Fiber>>& all_fibers() {
  static auto& all = *new std::vector<std::unique_ptr<Fiber>>;
  return all;
}

void prepare(Fiber* fiber, void (*entry)()) {
  // As a call would leave it: the return address of entry (none) on a stack that is 16-byte aligned above it.
  void** top = reinterpret_cast<void**>(fiber->stack + fiber->stack_bytes - 64);
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < kSavedRegisters; ++i) *--top = nullptr;
  fiber->stack_pointer = top;
  fiber->sanitizer_stack = nullptr;
}

}  // namespace

Fiber* take_fiber(void (*entry)()) {
  Fiber* fiber = nullptr;
  if (!idle_fibers().empty()) {
    fiber = idle_fibers().back();
    idle_fibers().pop_back();
  } else {
    void* memory = mmap(nullptr, kStackBytes + kGuardBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    mprotect(memory, kGuardBytes, PROT_NONE);  // an overflow faults instead of writing into the next stack
    all_fibers().push_back(std::make_unique<Fiber>());
    fiber = all_fibers().back().get();
    fiber->stack = static_cast<char*>(memory) + kGuardBytes;
    fiber->stack_bytes = kStackBytes;
  }
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(fiber->stack, fiber->stack_bytes);  // frames that were abandoned
#endif
  prepare(fiber, entry);
  return fiber;
}

void return_fiber(Fiber* fiber) {
  idle_fibers().push_back(fiber);
}

#if defined(__SANITIZE_ADDRESS__)
namespace {

// Bounds of the host thread's stack, which the sanitizer tells on the first switch away from it.
const void* host_bottom = nullptr;
size_t host_bytes = 0;
bool left_host = false;

void arrived() {
  const void* bottom = nullptr;
  size_t bytes = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
  if (left_host) {
    host_bottom = bottom;
    host_bytes = bytes;
    left_host = false;
  }
}

}  // namespace

void fiber_started() {
  arrived();
}

void switch_fiber(Fiber* from, Fiber* to, bool ends) {
  left_host = from->stack == nullptr;
  const bool to_host = to->stack == nullptr;
  __sanitizer_start_switch_fiber(ends ? nullptr : &from->sanitizer_stack, to_host ? host_bottom : to->stack,
                                 to_host ? host_bytes : to->stack_bytes);
  lk_emu_switch_stacks(&from->stack_pointer, to->stack_pointer);
  const void* bottom = nullptr;
  size_t bytes = 0;
  __sanitizer_finish_switch_fiber(from->sanitizer_stack, &bottom, &bytes);
  if (left_host) {
    host_bottom = bottom;
    host_bytes = bytes;
    left_host = false;
  }
}
#else
void fiber_started() {}

void switch_fiber(Fiber* from, Fiber* to, bool) {
  lk_emu_switch_stacks(&from->stack_pointer, to->stack_pointer);
}
#endif

}  // namespace lk::emulator
