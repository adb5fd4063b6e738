#include "pager/system.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "common/error.h"

namespace lk::pager {
namespace {

// From this size on memory comes in whole huge pages, as that of lk_alloc does.
constexpr int64_t kHugePage = int64_t{2} << 20;

class PosixFile : public File {
 public:
  explicit PosixFile(int descriptor) : descriptor_(descriptor) {}
  ~PosixFile() override { close(descriptor_); }

  int64_t read(void* to, int64_t bytes, int64_t offset) override {
    ssize_t moved;
    do moved = pread(descriptor_, to, static_cast<size_t>(bytes), offset);
    while (moved < 0 && errno == EINTR);
    return moved < 0 ? -errno : moved;
  }

  int64_t write(const void* from, int64_t bytes, int64_t offset) override {
    ssize_t moved;
    do moved = pwrite(descriptor_, from, static_cast<size_t>(bytes), offset);
    while (moved < 0 && errno == EINTR);
    return moved < 0 ? -errno : moved;
  }

  int reserve(int64_t offset, int64_t bytes) override {
    int error;
    do error = posix_fallocate(descriptor_, offset, bytes);
    while (error == EINTR);
    return error;
  }

 private:
  int descriptor_;
};

// A descriptor of a file without a name, or -1 and errno.
int open_unlinked(const std::string& directory, int flags) {
  const int nameless = open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | flags, S_IRUSR | S_IWUSR);
  if (nameless >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) return nameless;
  std::string name = directory + "/.lora-kernels-spill-XXXXXX";  // a file system without O_TMPFILE
  const int named = mkostemp(&name[0], O_CLOEXEC | flags);
  if (named >= 0) unlink(name.c_str());
  return named;
}

class PosixSystem : public System {
 public:
  std::unique_ptr<File> open_scratch(const std::string& directory, bool uncached) override {
    int descriptor = open_unlinked(directory, uncached ? O_DIRECT : 0);
    if (descriptor < 0 && errno == EINVAL && uncached) descriptor = open_unlinked(directory, 0);  // tmpfs
    if (descriptor < 0) {
      fail(LK_IO_ERROR, "file tier: cannot make a scratch file in %s: %s; name a directory that can be written",
           directory.c_str(), std::strerror(errno));
    }
    return std::make_unique<PosixFile>(descriptor);
  }

  void* allocate(int64_t bytes) noexcept override {
    const int64_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
    void* memory = nullptr;
    if (posix_memalign(&memory, static_cast<size_t>(alignment), static_cast<size_t>(bytes)) != 0) return nullptr;
    if (alignment == kHugePage) madvise(memory, static_cast<size_t>(bytes), MADV_HUGEPAGE);
    return memory;
  }

  void release(void* memory) noexcept override { std::free(memory); }

  std::thread start_thread(std::function<void()> body) override { return std::thread(std::move(body)); }
};

}  // namespace

System& real_system() {
  static PosixSystem* system = new PosixSystem;  // used by threads that outlive static objects
  return *system;
}

}  // namespace lk::pager
