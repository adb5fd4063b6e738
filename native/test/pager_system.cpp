#include "test/pager_system.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace lk::test {

class FaultySystem::MemoryFile final : public pager::File {
 public:
  explicit MemoryFile(FaultySystem& system) : system_(system) {}
  ~MemoryFile() override {
    std::lock_guard<std::mutex> lock(system_.mutex_);
    system_.file_bytes_ -= reserved_;
  }

  int64_t read(void* to, int64_t bytes, int64_t offset) override {
    std::lock_guard<std::mutex> lock(system_.mutex_);
    if (system_.strikes(Fault::kReadError)) return -EIO;
    if (system_.strikes(Fault::kTruncate)) bytes_.clear();
    int64_t moved = std::max<int64_t>(0, std::min(bytes, static_cast<int64_t>(bytes_.size()) - offset));
    if (ends_here_) moved = 0;
    ends_here_ = false;
    if (moved > 1 && system_.strikes(Fault::kShortRead)) {
      moved /= 2;
      ends_here_ = true;
    }
    if (moved > 0) std::memcpy(to, bytes_.data() + offset, static_cast<size_t>(moved));
    if (moved > 0 && system_.strikes(Fault::kReadGarbage)) static_cast<uint8_t*>(to)[0] ^= 1;
    return moved;
  }

  int64_t write(const void* from, int64_t bytes, int64_t offset) override {
    std::lock_guard<std::mutex> lock(system_.mutex_);
    if (system_.strikes(Fault::kWriteError)) return -EIO;
    if (system_.strikes(Fault::kNoSpace)) return -ENOSPC;
    if (system_.strikes(Fault::kTruncate)) bytes_.clear();
    const size_t end = static_cast<size_t>(offset + bytes);
    if (bytes_.size() < end) bytes_.resize(end);
    std::memcpy(bytes_.data() + offset, from, static_cast<size_t>(bytes));
    return bytes;
  }

  int reserve(int64_t offset, int64_t bytes) override {
    std::lock_guard<std::mutex> lock(system_.mutex_);
    if (system_.strikes(Fault::kReserve)) return ENOSPC;
    bytes_.resize(std::max(bytes_.size(), static_cast<size_t>(offset + bytes)));
    reserved_ += bytes;
    system_.file_bytes_ += bytes;
    return 0;
  }

 private:
  FaultySystem& system_;
  std::vector<uint8_t> bytes_;
  int64_t reserved_ = 0;
  bool ends_here_ = false;
};

bool FaultySystem::strikes(Fault fault) {
  if (fault_ != fault || struck_ || after_-- > 0) return false;
  struck_ = next_ == Fault::kNone;
  fault_ = struck_ ? fault_ : next_;
  next_ = Fault::kNone;
  after_ = 0;
  return true;
}

void FaultySystem::arm(Fault fault, int64_t after) {
  std::lock_guard<std::mutex> lock(mutex_);
  fault_ = fault;
  after_ = after;
  next_ = Fault::kNone;
  struck_ = false;
}

void FaultySystem::arm_next(Fault fault) {
  std::lock_guard<std::mutex> lock(mutex_);
  next_ = fault;
}

bool FaultySystem::disarm() {
  std::lock_guard<std::mutex> lock(mutex_);
  fault_ = next_ = Fault::kNone;
  return struck_;
}

int64_t FaultySystem::live_allocations() {
  std::lock_guard<std::mutex> lock(mutex_);
  return live_;
}

int64_t FaultySystem::file_bytes() {
  std::lock_guard<std::mutex> lock(mutex_);
  return file_bytes_;
}

std::unique_ptr<pager::File> FaultySystem::open_scratch(const std::string&, bool) {
  return std::make_unique<MemoryFile>(*this);
}

void* FaultySystem::allocate(int64_t bytes) noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  if (strikes(Fault::kAllocate)) return nullptr;
  void* memory = pager::real_system().allocate(bytes);
  if (memory) ++live_;
  return memory;
}

void FaultySystem::release(void* memory) noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  if (memory) --live_;
  pager::real_system().release(memory);
}

std::thread FaultySystem::start_thread(std::function<void()> body) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (strikes(Fault::kThread)) throw std::system_error(EAGAIN, std::generic_category());
  }
  return std::thread(std::move(body));
}

}  // namespace lk::test
