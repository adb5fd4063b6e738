#include "emulator/engine/warp.h"

#include <algorithm>

#include "emulator/ptx.h"
#include "emulator/race/race.h"

namespace lk::emulator {

bool enter_collective(const char* operation, uint32_t mask, void* arguments) {
  Warp& warp = *current->warp;
  const int lane = current->lane;
  if (!(mask >> lane & 1)) report_fatal("%s: lane %d is not in its own mask %08x", operation, lane, mask);
  if (mask & ~warp.alive) {
    report_fatal("%s: mask %08x names lanes that have ended (alive: %08x)", operation, mask, warp.alive);
  }
  warp.arguments[lane] = arguments;
  warp.masks[lane] = mask;
  warp.operations[lane] = operation;
  warp.arrived |= 1u << lane;
  if ((warp.arrived & mask) != mask) {
    wait(operation);
    return false;
  }
  for (int i = 0; i < kWarpSize; ++i) {
    if (!(mask >> i & 1)) continue;
    if (warp.masks[i] != mask || warp.operations[i] != operation) {
      report_fatal("divergence: lane %d is at %s (mask %08x), lane %d at %s (mask %08x)", lane, operation, mask, i,
                   warp.operations[i], warp.masks[i]);
    }
  }
  warp.arrived &= ~mask;
  return true;
}

void leave_collective(uint32_t mask) {
  Warp& warp = *current->warp;
  for (int i = 0; i < kWarpSize; ++i) {
    if ((mask >> i & 1) && warp.threads[i] != current) make_ready(warp.threads[i]);
  }
  may_yield();
}

namespace {

struct Exchange {
  uint64_t value, result;
  int source;
};

constexpr uint64_t kUndefined = ~uint64_t{0};

uint32_t combine(uint32_t a, uint32_t b, Reduce operation) {
  switch (operation) {
    case kAdd:
      return a + b;
    case kMin:
      return std::min(a, b);
    case kMax:
      return std::max(a, b);
    case kAndBits:
      return a & b;
    case kOrBits:
      return a | b;
    case kXorBits:
      return a ^ b;
    case kMinSigned:
      return static_cast<uint32_t>(std::min(static_cast<int32_t>(a), static_cast<int32_t>(b)));
    case kMaxSigned:
      return static_cast<uint32_t>(std::max(static_cast<int32_t>(a), static_cast<int32_t>(b)));
  }
  return a;
}

}  // namespace

void sync_warp(uint32_t mask) {
  int nothing = 0;
  collective("__syncwarp", mask, nothing, [mask](int**, Warp& warp) {
    if (race::on) race::meet(warp, mask);
  });
}

// The rules of PTX' shfl.sync: lanes of a segment of `width`; a source outside it gives the own value, one outside the mask an
// undefined one.
uint64_t shuffle(uint32_t mask, uint64_t value, Shuffle kind, int argument, int width) {
  const int lane = current->lane, first = lane & ~(width - 1), last = first + width - 1;
  int source = lane;
  switch (kind) {
    case kIndex:
      source = first + (argument & (width - 1));
      break;
    case kUp:
      source = lane - argument < first ? lane : lane - argument;
      break;
    case kDown:
      source = lane + argument > last ? lane : lane + argument;
      break;
    case kXor:
      source = (lane ^ argument) > last ? lane : lane ^ argument;
      break;
  }
  Exchange exchange{value, 0, source};
  collective("__shfl_sync", mask, exchange, [mask](Exchange** lanes, Warp&) {
    for (int i = 0; i < kWarpSize; ++i) {
      if (!(mask >> i & 1)) continue;
      lanes[i]->result = (mask >> lanes[i]->source & 1) ? lanes[lanes[i]->source]->value : kUndefined;
    }
  });
  return exchange.result;
}

uint32_t ballot(uint32_t mask, bool predicate) {
  Exchange exchange{predicate, 0, 0};
  collective("__ballot_sync", mask, exchange, [mask](Exchange** lanes, Warp&) {
    uint32_t bits = 0;
    for (int i = 0; i < kWarpSize; ++i) {
      if (mask >> i & 1) bits |= static_cast<uint32_t>(lanes[i]->value) << i;
    }
    for (int i = 0; i < kWarpSize; ++i) {
      if (mask >> i & 1) lanes[i]->result = bits;
    }
  });
  return static_cast<uint32_t>(exchange.result);
}

uint32_t match_any(uint32_t mask, uint64_t value) {
  Exchange exchange{value, 0, 0};
  collective("__match_any_sync", mask, exchange, [mask](Exchange** lanes, Warp&) {
    for (int i = 0; i < kWarpSize; ++i) {
      if (!(mask >> i & 1)) continue;
      uint32_t bits = 0;
      for (int j = 0; j < kWarpSize; ++j) {
        if ((mask >> j & 1) && lanes[j]->value == lanes[i]->value) bits |= 1u << j;
      }
      lanes[i]->result = bits;
    }
  });
  return static_cast<uint32_t>(exchange.result);
}

uint32_t reduce(uint32_t mask, uint32_t value, Reduce operation) {
  Exchange exchange{value, 0, 0};
  collective("__reduce_sync", mask, exchange, [mask, operation](Exchange** lanes, Warp&) {
    uint32_t all = 0;
    bool first = true;
    for (int i = 0; i < kWarpSize; ++i) {
      if (!(mask >> i & 1)) continue;
      const uint32_t v = static_cast<uint32_t>(lanes[i]->value);
      all = first ? v : combine(all, v, operation);
      first = false;
    }
    for (int i = 0; i < kWarpSize; ++i) {
      if (mask >> i & 1) lanes[i]->result = all;
    }
  });
  return static_cast<uint32_t>(exchange.result);
}

uint32_t active_mask() {
  return current->warp->alive;
}

bool elect(uint32_t mask) {
  int nothing = 0;
  collective("elect.sync", mask, nothing, [](int**, Warp&) {});
  return current->lane == __builtin_ctz(mask);
}

int lane_id() {
  return current->lane;
}

}  // namespace lk::emulator
