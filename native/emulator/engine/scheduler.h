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

struct Statistics;
Statistics& counters();

uint64_t random_bits();
bool random_schedule();

// Events that happen by themselves between two turns: an asynchronous copy lands. Registered once, before any launch.
struct Background {
  bool (*pending)();              // something is still to happen
  void (*step)();                 // one of them happens
  void (*thread_ended)(Thread&);  // called in the thread's name
  void (*forget)();               // a launch begins or was abandoned
};
int add_background(const Background& events);

}  // namespace lk::emulator
