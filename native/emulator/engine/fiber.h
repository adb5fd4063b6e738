// Stacks to run the threads of a block on, and the switch between them. A fiber runs one thread after another; only a thread
// that must wait keeps its fiber.
#pragma once

#include <cstddef>

namespace lk::emulator {

struct Fiber {
  void* stack_pointer = nullptr;
  char* stack = nullptr;  // lowest usable address; null: the stack of the host's thread
  size_t stack_bytes = 0;
  void* sanitizer_stack = nullptr;  // AddressSanitizer's own
};

// A fiber that will begin in entry(), which must never return.
Fiber* take_fiber(void (*entry)());
// Gives a fiber back that will not run again: it stands outside any thread, or was abandoned within one.
void return_fiber(Fiber* fiber);

// Goes on in `to`; returns when something switches back to `from`. `ends`: `from` will not be switched to again.
void switch_fiber(Fiber* from, Fiber* to, bool ends = false);
// The first thing on a new fiber.
void fiber_started();

}  // namespace lk::emulator
