#include "emulator/race/traffic.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include "emulator/control.h"
#include "emulator/engine/scheduler.h"

namespace lk::emulator::traffic {
namespace {

constexpr uintptr_t kWordBytes = 4, kBanks = 32, kSectorBytes = 32;

struct Request {
  size_t bytes = 0;  // of each access
  bool shared = false;
  std::vector<std::pair<int, uintptr_t>> accesses;  // lane, address
};

// warp, instruction, how many times the lane had come by it
using Key = std::tuple<int, const void*, uint32_t>;
std::map<Key, Request> requests;
std::map<std::pair<int, const void*>, uint32_t> times;  // by thread and instruction

// Lanes share a wavefront as long as it has at most one word a bank: all 32 of them for words, 16 for pairs, 8 for fours.
void count_shared(const Request& request) {
  const int lanes =
      static_cast<int>(std::min<size_t>(kWarpSize, kWordBytes * kBanks / std::max(request.bytes, kWordBytes)));
  for (int first = 0; first < kWarpSize; first += lanes) {
    std::vector<uintptr_t> words;
    for (const auto& [lane, address] : request.accesses) {
      if (lane < first || lane >= first + lanes) continue;
      for (uintptr_t word = address / kWordBytes; word * kWordBytes < address + request.bytes; ++word)
        words.push_back(word);
    }
    if (words.empty()) continue;
    std::sort(words.begin(), words.end());
    words.erase(std::unique(words.begin(), words.end()), words.end());
    uint64_t in_bank[kBanks] = {};
    for (uintptr_t word : words) ++in_bank[word % kBanks];
    counters().shared_wavefronts += *std::max_element(in_bank, in_bank + kBanks);
    ++counters().least_shared_wavefronts;
  }
}

void count_global(const Request& request) {
  std::vector<uintptr_t> sectors, addresses;
  for (const auto& access : request.accesses) {
    addresses.push_back(access.second);
    for (uintptr_t s = access.second / kSectorBytes; s * kSectorBytes < access.second + request.bytes; ++s)
      sectors.push_back(s);
  }
  for (auto* list : {&sectors, &addresses}) {
    std::sort(list->begin(), list->end());
    list->erase(std::unique(list->begin(), list->end()), list->end());
  }
  counters().global_sectors += sectors.size();
  counters().least_global_sectors += (addresses.size() * request.bytes + kSectorBytes - 1) / kSectorBytes;
}

}  // namespace

void note(const void* pointer, size_t bytes, const void* instruction) {
  const uint32_t time = times[{current->index, instruction}]++;
  Request& request = requests[{current->index / kWarpSize, instruction, time}];
  const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
  request.bytes = bytes;
  request.shared = address - reinterpret_cast<uintptr_t>(current->block->shared) < shared_size;
  request.accesses.emplace_back(current->lane, address);
}

void end_block() {
  for (const auto& entry : requests) {
    if (entry.second.shared) {
      count_shared(entry.second);
    } else {
      count_global(entry.second);
    }
  }
  requests.clear();
  times.clear();
}

}  // namespace lk::emulator::traffic
