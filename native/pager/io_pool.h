// The threads that read ahead and write behind, shared by all pagers of the process. They take requests in order and never
// wait for one another, so that any number of pagers may share them.
#pragma once

#include <condition_variable>
#include <mutex>
#include <vector>

#include "pager/system.h"

namespace lk::pager {

// Where the owner of requests waits for them.
struct Completion {
  std::mutex mutex;
  std::condition_variable changed;
};

// Work for the pool. Lives in its owner, who waits until it is done before he reuses or destroys it: giving it to the pool
// allocates nothing and cannot fail.
struct Request {
  explicit Request(Completion& its_completion) : completion(its_completion) {}
  virtual ~Request() = default;
  virtual void run() noexcept = 0;

  bool done();  // also where it was never given to a pool
  void wait();

  Completion& completion;
  Request* next = nullptr;  // in the queue; guarded by the pool
  bool pending = false;     // guarded by completion.mutex
};

class IoPool {
 public:
  IoPool(System& system, int threads) : system_(system), wanted_(threads) {}
  ~IoPool();  // no request may be pending
  IoPool(const IoPool&) = delete;
  IoPool& operator=(const IoPool&) = delete;

  // Threads start with the first request, and those that could not be had are tried again with later ones. Where there is
  // none, requests run in the call.
  void submit(Request& request);
  int threads();

  // The one of the process; never destroyed.
  static IoPool& shared();

 private:
  void work();
  void start();
  static void finish(Request& request);

  System& system_;
  const int wanted_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::vector<std::thread> threads_;
  Request* first_ = nullptr;  // oldest
  Request* last_ = nullptr;
  bool stopping_ = false;
};

}  // namespace lk::pager
