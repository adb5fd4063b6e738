// Tensors and their pages. A page is a slice of one tensor with all of its states, laid out the same in memory and in the
// file; kernels update slices to the same bits as whole tensors (lora_kernels_optimizer.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lora_kernels_optimizer.h"
#include "lora_kernels_pager.h"

namespace lk::pager {

inline constexpr int kParts = LK_PART_MASTER + 1;

// The states of so many elements, part after part.
struct Layout {
  struct Part {
    int64_t offset, bytes;  // bytes 0: there is no such part
  };
  Part parts[kParts];  // by lk_state_part
  int64_t bytes;
};

Layout layout_of(int32_t state_format, bool master, int64_t count);
// The most elements, a multiple of LK_STATE_BLOCK, whose states fit so many bytes; at least one block.
int64_t elements_that_fit(int32_t state_format, bool master, int64_t bytes);

struct Tensor;

struct Page {
  const Tensor* tensor;
  int64_t number;        // of its tensor
  int64_t begin, count;  // elements of its tensor
  Layout layout;
  int64_t bytes;  // what it takes in memory, and one of its slots in the file: layout.bytes rounded up to kAlignment
  bool pinned;    // never leaves memory

  std::byte* memory = nullptr;  // resident; null: the states are in the file
  bool fresh = true;           // no step and no import yet: moments of zero, a master that is the parameter; never read
  bool in_file = false;        // the current slot holds the states (also while it is resident, where they are the same)
  int64_t offset = -1;         // of its two slots in the file; -1: none yet
  int current = 0;             // the slot that holds the states; the other one is written
  uint64_t checksum = 0;       // of the current slot
  uint64_t next_checksum = 0;  // of the other slot, while it is written
  int64_t undo_offset = -1;    // of its parameters in the undo log; -1: none yet
  uint64_t undo_checksum = 0;  // of them

  int64_t slot(int which) const { return offset + which * bytes; }
  int64_t parameter_bytes() const;
  lk_address parameter() const;
  // Where the states of this page begin in a part of the whole tensor, in bytes.
  int64_t part_begin(int part) const;
  // "page 3 of tensor 7 (elements 8192 ... 10239)"
  std::string name() const;
};

struct Tensor {
  Tensor(int64_t id, const lk_pager_tensor& description, int64_t page_bytes);
  // No copies: pages point at their tensor.
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;

  const int64_t id;
  const lk_pager_tensor description;
  std::vector<Page> pages;
};

// What kernels need of a page whose states are at `states`.
lk_adamw_param describe(const Page& page, lk_address states);

// The states of a page that is fresh: zeros, and the master from the parameter at `parameter` (host memory).
void initialise(const Page& page, const void* parameter, std::byte* states);

}  // namespace lk::pager
