// Stand-in for CUDA's built-in variables, barriers, warp functions and atomics.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "emulator/ptx.h"

inline constexpr int warpSize = 32;

namespace lk::emulator {

template <class T>
uint64_t bits_of(T value) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>, "at most 8 bytes travel between lanes");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

template <class T>
T from_bits(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <class T>
T shuffle_value(unsigned mask, T value, Shuffle kind, int argument, int width) {
  return from_bits<T>(shuffle(mask, bits_of(value), kind, argument, width));
}

template <class T, T (*kFunction)(T, T)>
T atomic(T* address, T operand) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "atomics are of 4 or 8 bytes");
  const auto on_bits = [](uint64_t old, uint64_t value) {
    return bits_of(kFunction(from_bits<T>(old), from_bits<T>(value)));
  };
  return from_bits<T>(atomic_update(address, sizeof(T), bits_of(operand), on_bits));
}

template <class T>
T add_values(T a, T b) {
  return a + b;
}
template <class T>
T min_value(T a, T b) {
  return b < a ? b : a;
}
template <class T>
T max_value(T a, T b) {
  return a < b ? b : a;
}
template <class T>
T and_values(T a, T b) {
  return a & b;
}
template <class T>
T or_values(T a, T b) {
  return a | b;
}
template <class T>
T xor_values(T a, T b) {
  return a ^ b;
}
template <class T>
T second_value(T, T b) {
  return b;
}

}  // namespace lk::emulator

inline void __syncthreads() {
  lk::emulator::bar_sync(0, lk::emulator::kWholeBlock);
}
inline int __syncthreads_count(int p) {
  return lk::emulator::bar_reduce(p != 0, lk::emulator::kCount);
}
inline int __syncthreads_and(int p) {
  return lk::emulator::bar_reduce(p != 0, lk::emulator::kAnd);
}
inline int __syncthreads_or(int p) {
  return lk::emulator::bar_reduce(p != 0, lk::emulator::kOr);
}

inline void __syncwarp(unsigned mask = 0xffffffffu) {
  lk::emulator::sync_warp(mask);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {
  return lk::emulator::shuffle_value(mask, value, lk::emulator::kIndex, lane, width);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32) {
  return lk::emulator::shuffle_value(mask, value, lk::emulator::kUp, static_cast<int>(distance), width);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32) {
  return lk::emulator::shuffle_value(mask, value, lk::emulator::kDown, static_cast<int>(distance), width);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
  return lk::emulator::shuffle_value(mask, value, lk::emulator::kXor, lanes, width);
}
inline unsigned __ballot_sync(unsigned mask, int p) {
  return lk::emulator::ballot(mask, p != 0);
}
inline int __any_sync(unsigned mask, int p) {
  return lk::emulator::ballot(mask, p != 0) != 0;
}
inline int __all_sync(unsigned mask, int p) {
  return lk::emulator::ballot(mask, p != 0) == mask;
}
inline unsigned __activemask() {
  return lk::emulator::active_mask();
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value) {
  return lk::emulator::match_any(mask, lk::emulator::bits_of(value));
}
inline unsigned __reduce_add_sync(unsigned m, unsigned v) {
  return lk::emulator::reduce(m, v, lk::emulator::kAdd);
}
inline unsigned __reduce_min_sync(unsigned m, unsigned v) {
  return lk::emulator::reduce(m, v, lk::emulator::kMin);
}
inline unsigned __reduce_max_sync(unsigned m, unsigned v) {
  return lk::emulator::reduce(m, v, lk::emulator::kMax);
}
inline unsigned __reduce_and_sync(unsigned m, unsigned v) {
  return lk::emulator::reduce(m, v, lk::emulator::kAndBits);
}
inline unsigned __reduce_or_sync(unsigned m, unsigned v) {
  return lk::emulator::reduce(m, v, lk::emulator::kOrBits);
}
inline unsigned __reduce_xor_sync(unsigned m, unsigned v) {
  return lk::emulator::reduce(m, v, lk::emulator::kXorBits);
}
inline int __reduce_add_sync(unsigned m, int v) {
  return static_cast<int>(lk::emulator::reduce(m, static_cast<unsigned>(v), lk::emulator::kAdd));
}
inline int __reduce_min_sync(unsigned m, int v) {
  return static_cast<int>(lk::emulator::reduce(m, static_cast<unsigned>(v), lk::emulator::kMinSigned));
}
inline int __reduce_max_sync(unsigned m, int v) {
  return static_cast<int>(lk::emulator::reduce(m, static_cast<unsigned>(v), lk::emulator::kMaxSigned));
}

inline void __threadfence() {
  lk::emulator::memory_fence();
}
inline void __threadfence_block() {
  lk::emulator::memory_fence();
}
inline void __threadfence_system() {
  lk::emulator::memory_fence();
}
inline void __nanosleep(unsigned) {
  lk::emulator::pause();
}
inline long long clock64() {
  return static_cast<long long>(lk::emulator::clock());
}
inline void __trap() {
  lk::emulator::trap("__trap()");
}
inline size_t __cvta_generic_to_shared(const void* p) {
  return lk::emulator::shared_address(p);
}

template <class T>
T atomicAdd(T* p, std::common_type_t<T> v) {
  return lk::emulator::atomic<T, lk::emulator::add_values<T>>(p, v);
}
template <class T>
T atomicMin(T* p, std::common_type_t<T> v) {
  return lk::emulator::atomic<T, lk::emulator::min_value<T>>(p, v);
}
template <class T>
T atomicMax(T* p, std::common_type_t<T> v) {
  return lk::emulator::atomic<T, lk::emulator::max_value<T>>(p, v);
}
template <class T>
T atomicAnd(T* p, std::common_type_t<T> v) {
  return lk::emulator::atomic<T, lk::emulator::and_values<T>>(p, v);
}
template <class T>
T atomicOr(T* p, std::common_type_t<T> v) {
  return lk::emulator::atomic<T, lk::emulator::or_values<T>>(p, v);
}
template <class T>
T atomicXor(T* p, std::common_type_t<T> v) {
  return lk::emulator::atomic<T, lk::emulator::xor_values<T>>(p, v);
}
template <class T>
T atomicExch(T* p, std::common_type_t<T> v) {
  return lk::emulator::atomic<T, lk::emulator::second_value<T>>(p, v);
}
template <class T>
T atomicCAS(T* p, std::common_type_t<T> expected, std::common_type_t<T> v) {
  return lk::emulator::from_bits<T>(
      lk::emulator::atomic_exchange_if(p, sizeof(T), lk::emulator::bits_of<T>(expected), lk::emulator::bits_of<T>(v)));
}

template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
template <class T>
void __stcs(T* p, T v) {
  *p = v;
}
template <class T>
void __stcg(T* p, T v) {
  *p = v;
}
