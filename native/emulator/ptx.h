// The device side of the engine: what the stand-in headers and the wrappers of cuda/ptx.cuh call, one function an instruction
// or family. Only the current thread of a running launch may call these.
#pragma once

#include <cstddef>
#include <cstdint>

#include "emulator/include/vector_types.h"

// CUDA's built-in variables, of the current thread.
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace lk::emulator {

int lane_id();

// Dynamic shared memory: aligned to 1024 bytes, poisoned when a block starts. Addresses of PTX are offsets into a window.
unsigned char* shared_memory();
uint32_t shared_address(const void* pointer);  // __cvta_generic_to_shared

// Barriers. kWholeBlock: all threads of the block, else a multiple of a warp.
constexpr int kWholeBlock = -1;
void bar_sync(int id, int threads);
void bar_arrive(int id, int threads);
enum BarReduce { kCount, kAnd, kOr };
int bar_reduce(bool predicate, int operation);  // __syncthreads_count, _and, _or

// Warp collectives: every lane of `mask` calls the same with the same mask.
enum Shuffle { kIndex, kUp, kDown, kXor };
void sync_warp(uint32_t mask);
uint64_t shuffle(uint32_t mask, uint64_t value, Shuffle kind, int argument, int width);
uint32_t ballot(uint32_t mask, bool predicate);
uint32_t match_any(uint32_t mask, uint64_t value);
enum Reduce { kAdd, kMin, kMax, kAndBits, kOrBits, kXorBits, kMinSigned, kMaxSigned };
uint32_t reduce(uint32_t mask, uint32_t value, Reduce operation);  // redux.sync
uint32_t active_mask();
bool elect(uint32_t mask);

// Atomics: *address becomes function(old, operand), and the old bits are returned. bytes: 4 or 8.
uint64_t atomic_update(void* address, int bytes, uint64_t operand,
                       uint64_t (*function)(uint64_t old, uint64_t operand));
uint64_t atomic_exchange_if(void* address, int bytes, uint64_t expected, uint64_t desired);
void memory_fence();  // __threadfence and its like

// A thread that polls memory gives others their turn.
void pause();
uint64_t clock();
[[noreturn]] void trap(const char* what);

}  // namespace lk::emulator
