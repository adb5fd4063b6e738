// Who runs next. Called by the parts of the engine that make threads wait.
#pragma once

#include <cstdint>

#include "emulator/engine/thread.h"

namespace lk::emulator {

// The current thread goes on when something makes it ready.
void wait(const char* reason);
void make_ready(Thread* thread);
// The current thread goes on after others had their turn.
void yield(const char* reason = "its turn");
// The same where the schedule is random, now and then: called where hardware gives no order.
void may_yield();

// Leaves all threads where they are and ends the launch; see report_fatal.
[[noreturn]] void abandon_launch();

uint64_t random_bits();
bool random_schedule();

// Kinds of events that happen by themselves between two turns: an asynchronous copy lands. Registered once.
struct Background {
  bool (*pending)();      // something may still happen
  void (*step)();         // one of them happens
  void (*ended)(Block&);  // the threads of a block have ended
  void (*abandoned)();    // forget everything
};
void set_background(const Background& background);

}  // namespace lk::emulator
