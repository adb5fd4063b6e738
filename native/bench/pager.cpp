// A step of AdamW whose states are in memory, or in a file of which a part fits memory, beside what the disk and the memory can
// do in the same run. Printed as JSON.
//
//   pager DIRECTORY [MIB_OF_STATES] [STEPS]     default 1024 MiB, 5 steps; figures are those of the fastest step
//
// The disk is measured past the page cache, as the pager uses it (O_DIRECT). The file system's own paging is a mapped file whose
// pages are written and dropped after each step, but for the part that the budget keeps: so it cannot live off memory that
// the others do not have.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "common/error.h"
#include "cpu/backend.h"
#include "cpu/device.h"
#include "cpu/thread_pool.h"
#include "pager/pager.h"

namespace {

using Clock = std::chrono::steady_clock;
using lk::pager::Pager;

constexpr int64_t kRequest = int64_t{2} << 20;
constexpr int kReaders = 4;  // threads, as the pager has

double seconds(const std::function<void()>& work) {
  const Clock::time_point start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

lk_address address_of(const void* memory) {
  return static_cast<lk_address>(reinterpret_cast<uintptr_t>(memory));
}

struct Buffer {
  explicit Buffer(int64_t bytes) : data(static_cast<float*>(lk::pager::real_system().allocate(bytes))) {
    if (!data) lk::fail(LK_OUT_OF_MEMORY, "not enough memory for %lld bytes", static_cast<long long>(bytes));
    std::memset(data, 0, static_cast<size_t>(bytes));
  }
  ~Buffer() { lk::pager::real_system().release(data); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  float* data;
};

// Reads and writes, or one of both, all of `bytes` in order with several requests in flight; seconds.
double disk_seconds(lk::pager::File& file, int64_t bytes, bool reads, bool writes) {
  return seconds([&] {
    std::atomic<int64_t> next{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kReaders; ++t) {
      threads.emplace_back([&] {
        const Buffer buffer(kRequest);
        for (int64_t at = kRequest * next++; at < bytes; at = kRequest * next++) {
          if (reads && file.read(buffer.data, kRequest, at) != kRequest) std::abort();
          if (writes && file.write(buffer.data, kRequest, bytes + at) != kRequest) std::abort();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
}

struct Problem {
  Problem(lk::Device& its_device, int64_t state_bytes)
      : device(its_device), count(state_bytes / 8), parameters(count * 4), gradients(count * 4) {
    for (int64_t i = 0; i < count; ++i) gradients.data[i] = static_cast<float>(i % 17 - 8);
    config.learning_rate = 1e-3f;
    config.beta1 = 0.9f;
    config.beta2 = 0.999f;
    config.epsilon = 1e-8f;
    config.gradient_scale = 1.0f;
    config.decoupled = 1;
  }

  lk::Device& device;
  int64_t count;
  Buffer parameters, gradients;
  lk_adamw_config config{};
};

// The disk is measured before each step, so that both saw the same machine.
void paged(Problem& problem, const char* name, const std::string& directory, double part, int64_t ring_pages,
           int64_t page_bytes, int steps, lk::pager::File& disk) {
  lk::pager::Options options;
  options.spill_directory = directory;
  options.ring_pages = ring_pages;
  options.page_bytes = page_bytes;
  const double state_bytes = static_cast<double>(problem.count) * 8;
  const auto budget = std::make_shared<lk::pager::Budget>(static_cast<int64_t>(part * state_bytes));
  const auto pager = Pager::open(problem.device, budget, options);
  lk_pager_tensor tensor{};
  tensor.parameter = address_of(problem.parameters.data);
  tensor.gradient = address_of(problem.gradients.data);
  tensor.count = problem.count;
  tensor.learning_rate_scale = 1.0f;
  pager->add(&tensor, 1);
  lk_adamw_config config = problem.config;
  const auto step = [&] {
    ++config.step;
    pager->step(config, nullptr);
  };
  for (int i = 0; i < 3; ++i) step();  // both slots of every page exist on the disk
  const lk_pager_stats before = pager->stats();
  double time = 1e300, disk_time = 1e300;
  for (int i = 0; i < steps; ++i) {
    disk_time = std::min(disk_time, disk_seconds(disk, problem.count * 8, true, true));
    time = std::min(time, seconds(step));
  }
  const double disk_rate = 2 * state_bytes / disk_time;
  const lk_pager_stats after = pager->stats();
  const double moved =
      static_cast<double>(after.read_bytes - before.read_bytes + after.written_bytes - before.written_bytes) / steps;
  const double undo = static_cast<double>(after.undo_bytes - before.undo_bytes) / steps;
  const double hits = static_cast<double>(after.prefetch_hits - before.prefetch_hits);
  const double waits = static_cast<double>(after.stalls - before.stalls);
  std::printf(
      "  {\"states\": \"%s\", \"budget\": %.2f, \"page_kib\": %lld, \"ms\": %.1f, \"moved_mib\": %.0f, \"undo_mib\": "
      "%.0f, "
      "\"gb_s\": %.2f, \"disk_gb_s\": %.2f, \"of_disk\": %.2f, \"of_disk_with_undo\": %.2f, \"prefetch_hits\": "
      "%.2f},\n",
      name, part, static_cast<long long>(page_bytes >> 10), time * 1e3, moved / 1048576, undo / 1048576,
      moved / time / 1e9, disk_rate / 1e9, moved / time / disk_rate, (moved + undo) / time / disk_rate,
      hits / std::max(1.0, hits + waits));
  std::fflush(stdout);
  pager->close();
}

// The file system's paging: states in a mapped file, of which `part` stays in memory between steps.
void mapped(Problem& problem, const std::string& directory, double part, int steps) {
  const int64_t bytes = problem.count * 8;
  const int64_t kept = static_cast<int64_t>(part * static_cast<double>(bytes)) / 4096 * 4096;
  const int file = open(directory.c_str(), O_TMPFILE | O_RDWR, 0600);
  if (file < 0 || posix_fallocate(file, 0, bytes) != 0)
    lk::fail(LK_IO_ERROR, "cannot make a file in %s", directory.c_str());
  char* states =
      static_cast<char*>(mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
  if (states == MAP_FAILED) lk::fail(LK_IO_ERROR, "cannot map a file in %s", directory.c_str());
  madvise(states, static_cast<size_t>(bytes), MADV_SEQUENTIAL);
  lk_adamw_param tensor{};
  tensor.parameter = address_of(problem.parameters.data);
  tensor.gradient = address_of(problem.gradients.data);
  tensor.exp_avg = address_of(states);
  tensor.exp_avg_sq = address_of(states + problem.count * 4);
  tensor.count = problem.count;
  tensor.learning_rate_scale = 1.0f;
  lk_adamw_config config = problem.config;
  const auto step = [&] {
    ++config.step;
    problem.device.kernels->adamw_step(problem.device, config, &tensor, 1);
    if (kept == bytes) return;
    msync(states + kept, static_cast<size_t>(bytes - kept), MS_SYNC);
    madvise(states + kept, static_cast<size_t>(bytes - kept), MADV_DONTNEED);
    posix_fadvise(file, kept, bytes - kept, POSIX_FADV_DONTNEED);
  };
  step();
  step();
  double time = 1e300;
  for (int i = 0; i < steps; ++i) time = std::min(time, seconds(step));
  const double moved = 2.0 * static_cast<double>(bytes - kept);
  std::printf("  {\"states\": \"mapped file\", \"budget\": %.2f, \"ms\": %.1f, \"moved_mib\": %.0f, \"gb_s\": %.2f},\n",
              part, time * 1e3, moved / 1048576, moved / time / 1e9);
  std::fflush(stdout);
  munmap(states, static_cast<size_t>(bytes));
  close(file);
}

void run(const std::string& directory, int64_t state_bytes, int steps) {
  std::string reason;
  lk::cpu::CpuDevice device(lk::cpu::select(reason));
  std::printf("{\"state_mib\": %lld, \"threads\": %d, \"kernels\": \"%s\",\n",
              static_cast<long long>(state_bytes >> 20), lk::cpu::num_threads(), device.kernels->name);
  const auto disk = lk::pager::real_system().open_scratch(directory, true);
  if (disk->reserve(0, 2 * state_bytes) != 0) lk::fail(LK_IO_ERROR, "no space in %s", directory.c_str());
  {  // blocks that were never written are written more slowly, and not read at all
    const Buffer zeros(kRequest);
    for (int64_t at = 0; at < 2 * state_bytes; at += kRequest) disk->write(zeros.data, kRequest, at);
  }
  double read = 1e300, write = 1e300;
  for (int i = 0; i < steps; ++i) {
    read = std::min(read, disk_seconds(*disk, state_bytes, true, false));
    write = std::min(write, disk_seconds(*disk, state_bytes, false, true));
  }
  const double bytes = static_cast<double>(state_bytes);
  std::printf(" \"disk_read_gb_s\": %.2f, \"disk_write_gb_s\": %.2f,\n \"steps\": [\n", bytes / read / 1e9,
              bytes / write / 1e9);
  Problem problem(device, state_bytes);
  constexpr int64_t kPage = int64_t{2} << 20;
  paged(problem, "resident", directory, 1.01, 8, kPage, steps, *disk);
  for (double part : {0.5, 0.1}) {
    paged(problem, "file", directory, part, 8, kPage, steps, *disk);
    paged(problem, "file, synchronous", directory, part, 1, kPage, steps, *disk);
    mapped(problem, directory, part, steps);
  }
  for (int64_t page_bytes : {int64_t{256} << 10, int64_t{1} << 20, int64_t{4} << 20}) {
    paged(problem, "file", directory, 0.1, 8, page_bytes, steps, *disk);
  }
  std::printf("  {}]}\n");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc < 2) lk::fail(LK_INVALID_ARGUMENT, "usage: pager DIRECTORY [MIB_OF_STATES] [STEPS]");
    run(argv[1], (argc > 2 ? std::atoll(argv[2]) : 1024) << 20, argc > 3 ? std::atoi(argv[3]) : 5);
    return 0;
  } catch (const lk::Error& error) {
    std::fprintf(stderr, "pager: %s\n", error.message.c_str());
    return 1;
  }
}
