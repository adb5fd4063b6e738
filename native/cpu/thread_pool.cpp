#include "cpu/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "common/error.h"

namespace lk::cpu {
namespace {

constexpr std::align_val_t kScratchAlignment{64};

// One run_tasks call. Indices are handed out by `next`; the job is over when no thread is inside and none is left to hand
// out. It lives on the caller's stack.
struct Job {
  int64_t count;
  TaskFunction task;
  void* context;
  std::atomic<int64_t> next{0};
  int inside = 0;                        // threads working on it; guarded by Pool::mutex_
  std::exception_ptr failure = nullptr;  // guarded by Pool::mutex_
};

int default_threads() {
  if (const char* text = std::getenv("LORA_KERNELS_THREADS")) {
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    if (end != text && *end == '\0' && value >= 1 && value <= 4096) return static_cast<int>(value);
  }
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

class Pool {
 public:
  void run(Job& job) {
    std::unique_lock<std::mutex> lock(mutex_);
    // Before the job is seen by others: without memory none of its indices has run.
    std::byte* scratch = take_scratch(lock);
    if (!scratch) throw Error{LK_OUT_OF_MEMORY, "out of memory: scratch of a calling thread"};
    start_workers();
    jobs_.push_back(&job);
    job.inside = 1;
    if (job.count > 1) work_.notify_all();
    lock.unlock();
    work_on(job, scratch);
    lock.lock();
    idle_scratch_.push_back(scratch);
    --job.inside;
    jobs_.erase(std::find(jobs_.begin(), jobs_.end(), &job));
    done_.notify_all();
    done_.wait(lock, [&] { return job.inside == 0; });
    if (job.failure) std::rethrow_exception(job.failure);
  }

  int threads() {
    std::lock_guard<std::mutex> lock(mutex_);
    return wanted_;
  }

  void resize(int threads) {
    std::unique_lock<std::mutex> lock(mutex_);
    resizing_.wait(lock, [&] { return !stopping_; });
    stopping_ = true;
    done_.wait(lock, [&] { return jobs_.empty(); });
    work_.notify_all();
    std::vector<std::thread> old = std::move(workers_);
    workers_.clear();
    lock.unlock();
    for (std::thread& worker : old) worker.join();
    lock.lock();
    wanted_ = threads > 0 ? threads : default_threads();
    stopping_ = false;
    resizing_.notify_all();
  }

 private:
  // The caller of a job is one of the threads, so one worker fewer. Called with the mutex held.
  void start_workers() {
    if (stopping_) return;
    while (static_cast<int>(workers_.size()) < wanted_ - 1) {
      try {
        workers_.emplace_back([this] { worker(); });
      } catch (const std::system_error&) {
        wanted_ = static_cast<int>(workers_.size()) + 1;  // no more threads to be had: work with those there are
      }
    }
  }

  void worker() {
    std::unique_lock<std::mutex> lock(mutex_);
    std::byte* scratch = take_scratch(lock);
    while (scratch && !stopping_) {
      Job* job = open_job();
      if (!job) {
        work_.wait(lock);
        continue;
      }
      ++job->inside;
      lock.unlock();
      work_on(*job, scratch);
      lock.lock();
      if (--job->inside == 0) done_.notify_all();
    }
    if (scratch) idle_scratch_.push_back(scratch);
  }

  // The oldest job with indices left. Called with the mutex held.
  Job* open_job() {
    for (Job* job : jobs_) {
      if (job->next.load(std::memory_order_relaxed) < job->count) return job;
    }
    return nullptr;
  }

  void work_on(Job& job, std::byte* scratch) {
    try {
      for (int64_t i = job.next++; i < job.count; i = job.next++) job.task(job.context, i, scratch);
    } catch (...) {
      job.next = job.count;
      std::lock_guard<std::mutex> lock(mutex_);
      if (!job.failure) job.failure = std::current_exception();
    }
  }

  // Null when there is no memory. Called with the mutex held, which it releases while it allocates.
  std::byte* take_scratch(std::unique_lock<std::mutex>& lock) {
    if (!idle_scratch_.empty()) {
      std::byte* scratch = idle_scratch_.back();
      idle_scratch_.pop_back();
      return scratch;
    }
    lock.unlock();
    void* memory = ::operator new(kScratchBytes, kScratchAlignment, std::nothrow);
    lock.lock();
    return static_cast<std::byte*>(memory);
  }

  std::mutex mutex_;
  std::condition_variable work_, done_, resizing_;
  std::vector<Job*> jobs_;  // oldest first
  std::vector<std::thread> workers_;
  std::vector<std::byte*> idle_scratch_;
  int wanted_ = default_threads();
  bool stopping_ = false;
};

// Never destroyed: its threads may outlive the destructors of static objects.
Pool& pool() {
  static Pool* instance = new Pool;
  return *instance;
}

}  // namespace

void run_tasks(int64_t count, TaskFunction task, void* context) {
  if (count <= 0) return;
  Job job{count, task, context};
  pool().run(job);
}

int num_threads() {
  return pool().threads();
}
void set_num_threads(int threads) {
  pool().resize(threads);
}

}  // namespace lk::cpu
