#include "emulator/engine/shared.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "emulator/engine/report.h"
#include "emulator/ptx.h"

namespace lk::emulator {
namespace {

constexpr size_t kAlignment = 1024;      // the largest that a swizzled tile asks for
constexpr unsigned char kPoison = 0xff;  // NaN in every float format
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kFence = 0;  // the sanitizer watches the end
#else
constexpr size_t kFence = 64;
#endif
constexpr unsigned char kFenceByte = 0xa5;

unsigned char* memory = nullptr;
size_t allocated = 0;

}  // namespace

void begin_shared(Block& block) {
  // Of exactly this size, so that a sanitizer sees the end.
  if (!memory || allocated != shared_size) {
    std::free(memory);
    void* fresh = nullptr;
    if (posix_memalign(&fresh, kAlignment, shared_size + kFence ? shared_size + kFence : 1) != 0)
      throw std::bad_alloc();
    memory = static_cast<unsigned char*>(fresh);
    allocated = shared_size;
    std::memset(memory + shared_size, kFenceByte, kFence);
  }
  std::memset(memory, kPoison, shared_size);
  block.shared = memory;
}

bool end_shared(Block& block) {
  for (size_t i = 0; i < kFence; ++i) {
    if (block.shared[shared_size + i] == kFenceByte) continue;
    report("block (%u,%u,%u) wrote behind the end of its %zu bytes of shared memory", block.index.x, block.index.y,
           block.index.z, shared_size);
    std::memset(block.shared + shared_size, kFenceByte, kFence);
    return false;
  }
  return true;
}

unsigned char* shared_at(uint32_t address, size_t bytes) {
  if (address < kWindowStart || address - kWindowStart + bytes > shared_size) {
    report_fatal("shared address %u of %zu bytes is outside the %zu bytes of shared memory",
                 address < kWindowStart ? address : address - kWindowStart, bytes, shared_size);
  }
  return current->block->shared + (address - kWindowStart);
}

unsigned char* shared_memory() {
  return current->block->shared;
}

uint32_t shared_address(const void* pointer) {
  const size_t offset = static_cast<size_t>(static_cast<const unsigned char*>(pointer) - current->block->shared);
  if (offset > shared_size) report_fatal("a pointer that is not into shared memory was taken for a shared address");
  return static_cast<uint32_t>(offset) + kWindowStart;
}

}  // namespace lk::emulator
