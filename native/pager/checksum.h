// XXH64 (Y. Collet, github.com/Cyan4973/xxHash, the specification doc/xxhash_spec.md), seed 0: what was read is what was
// written. One pass at several times the speed of a disk.
#pragma once

#include <cstdint>

namespace lk::pager {

uint64_t checksum(const void* data, int64_t bytes);

}  // namespace lk::pager
