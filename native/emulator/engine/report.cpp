#include "emulator/engine/report.h"

#include <cstdarg>
#include <cstdio>
#include <mutex>

#include "emulator/control.h"
#include "emulator/engine/scheduler.h"

namespace lk::emulator {
namespace {

constexpr int kKeptPerLaunch = 8;

std::mutex mutex;  // tests may read while another thread launches
std::vector<std::string> findings;
int of_this_launch = 0;

void keep(const char* format, va_list arguments) {
  char text[512];
  int used = 0;
  if (current) {
    const dim3& b = current->block->index;
    const dim3& t = current->position;
    used = std::snprintf(text, sizeof text, "block (%u,%u,%u) thread (%u,%u,%u): ", b.x, b.y, b.z, t.x, t.y, t.z);
  }
  std::vsnprintf(text + used, sizeof text - used, format, arguments);
  std::lock_guard<std::mutex> lock(mutex);
  if (of_this_launch++ < kKeptPerLaunch) findings.push_back(text);
}

}  // namespace

void begin_reports() {
  std::lock_guard<std::mutex> lock(mutex);
  of_this_launch = 0;
}

void report(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  keep(format, arguments);
  va_end(arguments);
}

void report_fatal(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  keep(format, arguments);
  va_end(arguments);
  abandon_launch();
}

std::vector<std::string> take_findings() {
  std::lock_guard<std::mutex> lock(mutex);
  std::vector<std::string> taken;
  taken.swap(findings);
  return taken;
}

}  // namespace lk::emulator
