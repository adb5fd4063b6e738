#include "pager/io_pool.h"

#include <exception>

namespace lk::pager {
namespace {

// Enough requests in flight for a disk with queues to reach its rate; the threads sleep in the system while it works.
constexpr int kThreads = 4;

}  // namespace

bool Request::done() {
  std::lock_guard<std::mutex> lock(completion.mutex);
  return !pending;
}

void Request::wait() {
  std::unique_lock<std::mutex> lock(completion.mutex);
  completion.changed.wait(lock, [&] { return !pending; });
}

IoPool& IoPool::shared() {
  static IoPool* pool = new IoPool(real_system(), kThreads);  // its threads may outlive static objects
  return *pool;
}

IoPool::~IoPool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

int IoPool::threads() {
  std::lock_guard<std::mutex> lock(mutex_);
  start();
  return static_cast<int>(threads_.size());
}

// Called with the mutex held.
void IoPool::start() {
  if (static_cast<int>(threads_.size()) == wanted_) return;
  try {
    threads_.reserve(static_cast<size_t>(wanted_));
    while (static_cast<int>(threads_.size()) < wanted_) {
      threads_.push_back(system_.start_thread([this] { work(); }));
    }
  } catch (const std::exception&) {
    // No more threads or memory to be had: those that run do the work, or the caller.
  }
}

void IoPool::submit(Request& request) {
  {
    std::lock_guard<std::mutex> lock(request.completion.mutex);
    request.pending = true;
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    start();
    if (!threads_.empty()) {
      request.next = nullptr;
      (last_ ? last_->next : first_) = &request;
      last_ = &request;
      work_.notify_one();
      return;
    }
  }
  request.run();
  finish(request);
}

void IoPool::work() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    work_.wait(lock, [&] { return first_ || stopping_; });
    if (!first_) return;
    Request& request = *first_;
    first_ = request.next;
    if (!first_) last_ = nullptr;
    lock.unlock();
    request.run();
    finish(request);
    lock.lock();
  }
}

void IoPool::finish(Request& request) {
  // Told under the lock: the owner may destroy the request as soon as he sees it done.
  std::lock_guard<std::mutex> lock(request.completion.mutex);
  request.pending = false;
  request.completion.changed.notify_all();
}

}  // namespace lk::pager
