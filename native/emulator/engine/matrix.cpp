// ldmatrix, stmatrix and mma.sync: what the 32 registers of a warp mean as matrices (PTX ISA, "Warp Level Matrix
// Instructions").
#include <algorithm>
#include <cstring>

#include "common/half.h"
#include "emulator/control.h"
#include "emulator/engine/shared.h"
#include "emulator/engine/warp.h"
#include "emulator/ptx.h"
#include "emulator/race/race.h"

namespace lk::emulator {
namespace {

constexpr int kSide = 8;  // of the matrices that are loaded and stored
constexpr size_t kRowBytes = 16;

struct Matrices {
  uint32_t* m;
  uint32_t row;
};

void check_row(const char* operation, uint32_t row, int count, race::Kind kind) {
  if (current->lane >= kSide * count) return;
  if (row % kRowBytes != 0) {
    report_fatal("%s: the row at shared address %u is not aligned to 16 bytes", operation, row);
  }
  if (race::on) race::access(shared_at(row, kRowBytes), kRowBytes, kind);
}

// The eight rows of a matrix lie in the 32 banks by fours: one wavefront where no two different ones share them.
void count_wavefronts(Matrices** lanes, int count) {
  constexpr uint32_t kGroups = 8;
  for (int i = 0; i < count; ++i) {
    uint32_t rows[kGroups][kSide], used[kGroups] = {}, most = 1;
    for (int r = 0; r < kSide; ++r) {
      const uint32_t row = lanes[i * kSide + r]->row, group = row / kRowBytes % kGroups;
      uint32_t* const end = rows[group] + used[group];
      if (std::find(rows[group], end, row) != end) continue;
      *end = row;
      most = std::max(most, ++used[group]);
    }
    counters().shared_wavefronts += most;
    ++counters().least_shared_wavefronts;
  }
}

struct Product {
  float* d;
  const uint32_t* a;
  const uint32_t* b;
};

float element(uint32_t pair, int which, bool half) {
  const uint16_t bits = static_cast<uint16_t>(pair >> (16 * which));
  return half ? f16_to_float(bits) : bf16_to_float(bits);
}

// Products are exact in F32 for these operands; they are added in ascending k, each sum rounded to F32. The order of the
// hardware is not documented.
template <int kDepth>
void multiply(Product** lanes, bool half) {
  float a[16][kDepth], b[kDepth][8], c[16][8];
  for (int lane = 0; lane < kWarpSize; ++lane) {
    const int g = lane / 4, t = lane % 4 * 2;
    for (int h = 0; h < 2; ++h) {
      for (int e = 0; e < 2; ++e) {
        c[g + 8 * h][t + e] = lanes[lane]->d[2 * h + e];
        if (8 * h >= kDepth) continue;
        a[g][t + e + 8 * h] = element(lanes[lane]->a[2 * h], e, half);
        a[g + 8][t + e + 8 * h] = element(lanes[lane]->a[2 * h + 1], e, half);
        b[t + e + 8 * h][g] = element(lanes[lane]->b[h], e, half);
      }
    }
  }
  for (int i = 0; i < 16; ++i) {
    for (int k = 0; k < kDepth; ++k) {
      for (int j = 0; j < 8; ++j) c[i][j] += a[i][k] * b[k][j];
    }
  }
  for (int lane = 0; lane < kWarpSize; ++lane) {
    const int g = lane / 4, t = lane % 4 * 2;
    for (int h = 0; h < 2; ++h) {
      for (int e = 0; e < 2; ++e) lanes[lane]->d[2 * h + e] = c[g + 8 * h][t + e];
    }
  }
}

}  // namespace

void ldmatrix(uint32_t* m, uint32_t row, int count, bool transposed) {
  check_row("ldmatrix", row, count, race::kRead);
  Matrices arguments{m, row};
  collective(transposed ? "ldmatrix.trans" : "ldmatrix", kAllLanes, arguments, [=](Matrices** lanes, Warp&) {
    count_wavefronts(lanes, count);
    for (int i = 0; i < count; ++i) {
      uint16_t matrix[kSide][kSide];
      for (int r = 0; r < kSide; ++r) {
        std::memcpy(matrix[r], shared_at(lanes[i * kSide + r]->row, kRowBytes), kRowBytes);
      }
      for (int lane = 0; lane < kWarpSize; ++lane) {
        const int r = lane / 4, c = lane % 4 * 2;
        const uint32_t low = transposed ? matrix[c][r] : matrix[r][c];
        const uint32_t high = transposed ? matrix[c + 1][r] : matrix[r][c + 1];
        lanes[lane]->m[i] = low | high << 16;
      }
    }
  });
}

void stmatrix(const uint32_t* m, uint32_t row, int count, bool transposed) {
  check_row("stmatrix", row, count, race::kWrite);
  Matrices arguments{const_cast<uint32_t*>(m), row};
  collective(transposed ? "stmatrix.trans" : "stmatrix", kAllLanes, arguments, [=](Matrices** lanes, Warp&) {
    count_wavefronts(lanes, count);
    for (int i = 0; i < count; ++i) {
      uint16_t matrix[kSide][kSide];
      for (int lane = 0; lane < kWarpSize; ++lane) {
        for (int e = 0; e < 2; ++e) {
          const int r = lane / 4, c = lane % 4 * 2 + e;
          (transposed ? matrix[c][r] : matrix[r][c]) = static_cast<uint16_t>(lanes[lane]->m[i] >> (16 * e));
        }
      }
      for (int r = 0; r < kSide; ++r) {
        std::memcpy(shared_at(lanes[i * kSide + r]->row, kRowBytes), matrix[r], kRowBytes);
      }
    }
  });
}

void mma_m16n8k16(float* d, const uint32_t* a, uint32_t b0, uint32_t b1, bool half) {
  const uint32_t b[2] = {b0, b1};
  Product arguments{d, a, b};
  collective(half ? "mma.m16n8k16.f16" : "mma.m16n8k16.bf16", kAllLanes, arguments,
             [half](Product** lanes, Warp&) { multiply<16>(lanes, half); });
}

void mma_m16n8k8(float* d, const uint32_t* a, uint32_t b, bool half) {
  Product arguments{d, a, &b};
  collective(half ? "mma.m16n8k8.f16" : "mma.m16n8k8.bf16", kAllLanes, arguments,
             [half](Product** lanes, Warp&) { multiply<8>(lanes, half); });
}

}  // namespace lk::emulator
