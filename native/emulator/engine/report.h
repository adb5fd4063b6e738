// Findings: what a kernel did that a GPU would punish, or may punish.
#pragma once

namespace lk::emulator {

// Counts and keeps a finding with the place of the current thread; the kernel goes on.
__attribute__((format(printf, 1, 2))) void report(const char* format, ...);
// The same, and the launch ends here: the GPU would have killed it.
[[noreturn]] __attribute__((format(printf, 1, 2))) void report_fatal(const char* format, ...);

void begin_reports();  // a new launch: the first findings of each are kept

}  // namespace lk::emulator
