// The CUDA backend as the rest of the library sees it. Every operation family has one folder whose install function puts
// its entries into the table; an entry that is missing is LK_UNSUPPORTED.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/device.h"
#include "common/kernel_table.h"

namespace lk::cuda {

void install_adamw(KernelTable&);
void install_elementwise(KernelTable&);
void install_matmul(KernelTable&);
void install_combine(KernelTable&);
void install_merge(KernelTable&);
void install_quantize(KernelTable&);
void install_glu(KernelTable&);
void install_norm(KernelTable&);
void install_rope(KernelTable&);
void install_embedding(KernelTable&);
void install_reduce(KernelTable&);
void install_attention(KernelTable&);
void install_cross_entropy(KernelTable&);

const KernelTable& table();

// What there is: versions, and GPU 0, on which a kernel ran and answered. Throws Error(LK_BACKEND_UNAVAILABLE) with what is
// missing. Safe to call where there is no driver.
std::string probe();

// With a stream of its own, or on `*stream` (a cudaStream_t as an integer) where it is not null. Throws
// Error(LK_BACKEND_UNAVAILABLE).
std::unique_ptr<Device> open(int32_t ordinal, const uint64_t* stream);

}  // namespace lk::cuda
