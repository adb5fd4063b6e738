// Kernels with one mistake each, which tests must notice: with wrong results under some schedule in the plain build, as findings
// under the race checker and AddressSanitizer. If a mistake goes unnoticed here, it would in a real kernel.
#include <sys/wait.h>
#include <unistd.h>

#include "emulator/test/schedules.cuh"

namespace lk::test {
namespace {

using namespace emulator;

enum Bug {
  kNone,
  kNoBarrierAfterWait,
  kWaitTooWeak,
  kStageFreedEarly,
  kNoBarrierInReduction,
  kSwappedOperands,
  kScaleOffByOne
};
const char* const kNames[] = {"none",
                              "no barrier after the wait",
                              "wait too weak",
                              "freed early",
                              "no barrier in a reduction",
                              "swapped operands",
                              "scale of the next block"};

constexpr int kThreads = 128, kTiles = 13, kStages = 4, kScaleBlock = 64;

struct Inputs {
  std::vector<uint16_t> x = std::vector<uint16_t>(kTiles * kThreads * 8);
  std::vector<float> scales = std::vector<float>(kTiles * kThreads * 8 / kScaleBlock + 1);
};

// out[t] = what mma makes of the tiles that all threads copied, scaled, plus the sum of the block's first elements: stages of
// cp.async as a matmul has them, and a reduction over shared memory.
template <Bug kBug>
__global__ void pipeline(const uint16_t* x, const float* scales, float* out) {
  uint16_t* stages = reinterpret_cast<uint16_t*>(shared_memory());
  float* sums = reinterpret_cast<float*>(stages + kStages * kThreads * 8);
  const int me = static_cast<int>(threadIdx.x), warp = me / 32, lane = me % 32;
  const auto fetch = [&](int tile) {
    if (tile < kTiles) {
      cp_async(shared_address(stages + (tile % kStages * kThreads + me) * 8), x + (tile * kThreads + me) * 8, 16, 16);
    }
    cp_async_commit();
  };
  for (int tile = 0; tile < kStages - 1; ++tile) fetch(tile);
  float d[4] = {}, sum = 0;
  for (int tile = 0; tile < kTiles; ++tile) {
    cp_async_wait(kBug == kWaitTooWeak ? kStages - 1 : kStages - 2);
    // The barrier also says that all have read the stage that is filled next.
    if (kBug == kStageFreedEarly) fetch(tile + kStages - 1);
    if (kBug != kNoBarrierAfterWait) __syncthreads();
    if (kBug != kStageFreedEarly) fetch(tile + kStages - 1);
    const uint16_t* stage = stages + tile % kStages * kThreads * 8;
    // Every warp reads what another one copied.
    uint32_t m[4];
    ldmatrix(m, shared_address(stage + ((warp + 1) % 4 * 32 + lane) * 8), 4, false);
    if (kBug == kSwappedOperands) {
      mma_m16n8k16(d, m, m[2], m[1], false);
    } else {
      mma_m16n8k16(d, m, m[1], m[2], false);
    }
    const int element = (tile * kThreads + me) * 8, block = element / kScaleBlock;
    sum += bf16_to_float(stage[me * 8]) * scales[block + (kBug == kScaleOffByOne ? 1 : 0)];
  }
  cp_async_wait(0);
  sums[me] = sum;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (me < half) sums[me] += sums[me + half];
    if (kBug != kNoBarrierInReduction) __syncthreads();
  }
  out[me] = d[0] + d[3] + sums[0];
}

template <Bug kBug>
std::vector<float> run_pipeline(const Inputs& inputs) {
  std::vector<float> out(kThreads, -1.0f);
  run_kernel(pipeline<kBug>, dim3(1), dim3(kThreads), kStages * kThreads * 16 + kThreads * 4, inputs.x.data(),
             inputs.scales.data(), out.data());
  return out;
}

Inputs make_inputs() {
  Inputs inputs;
  for (size_t i = 0; i < inputs.x.size(); ++i) {
    inputs.x[i] = float_to_bf16(static_cast<float>(static_cast<int>(i * 7 % 31) - 15));
  }
  for (size_t i = 0; i < inputs.scales.size(); ++i) inputs.scales[i] = static_cast<float>(i % 5 + 1);
  return inputs;
}

// NaN equals nothing, so that poison counts as a difference.
bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin());
}

template <Bug kBug>
void must_notice(const Inputs& inputs, const std::vector<float>& expected) {
  bool noticed = false;
  for (uint64_t seed = 0; seed < 8 && !noticed; ++seed) {
    settings().seed = seed;
    noticed = !same(run_pipeline<kBug>(inputs), expected);
    noticed |= !take_findings().empty();
    restore_machine();
  }
  settings().seed = 0;
  CHECK_TEXT(noticed, std::string("nobody noticed: ") + kNames[kBug]);
}

#ifdef __SANITIZE_ADDRESS__
__global__ void read_at(const float* in, int64_t i, float* out) {
  *out = in[i];
}

__global__ void read_shared_at(int i, float* out) {
  *out = reinterpret_cast<float*>(shared_memory())[i];
}

// The sanitizer ends the process: body runs in a child, and what that says must contain `expected`.
template <typename F>
void must_die_of(const char* expected, F body) {
  int channel[2];
  CHECK(pipe(channel) == 0);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    dup2(channel[1], STDERR_FILENO);
    body();
    _exit(0);
  }
  close(channel[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(channel[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(n));
  close(channel[0]);
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_TEXT(!(WIFEXITED(status) && WEXITSTATUS(status) == 0) && text.find(expected) != std::string::npos,
             std::string("expected ") + expected + ", got: " + text.substr(0, 400));
}
#endif

}  // namespace

#ifdef __SANITIZE_ADDRESS__
LK_TEST(emulator_sanitized_notices_accesses_out_of_bounds) {
  float* memory = nullptr;
  float out = 0;
  CHECK(cudaMalloc(reinterpret_cast<void**>(&memory), 100 * sizeof *memory) == cudaSuccess);
  CHECK(run_kernel(read_at, dim3(1), dim3(1), 0, memory, int64_t{99}, &out) == cudaSuccess);
  must_die_of("heap-buffer-overflow", [&] { run_kernel(read_at, dim3(1), dim3(1), 0, memory, int64_t{100}, &out); });
  must_die_of("heap-buffer-overflow", [&] { run_kernel(read_at, dim3(1), dim3(1), 0, memory, int64_t{-1}, &out); });
  CHECK(run_kernel(read_shared_at, dim3(1), dim3(1), 400, 99, &out) == cudaSuccess);
  must_die_of("heap-buffer-overflow", [&] { run_kernel(read_shared_at, dim3(1), dim3(1), 400, 100, &out); });
  CHECK(cudaFree(memory) == cudaSuccess);
  must_die_of("heap-use-after-free", [&] { run_kernel(read_at, dim3(1), dim3(1), 0, memory, int64_t{0}, &out); });
}
#endif

LK_TEST(emulator_notices_planted_bugs) {
  const Inputs inputs = make_inputs();
  const std::vector<float> expected = run_pipeline<kNone>(inputs);
  under_all_schedules([&] { CHECK(same(run_pipeline<kNone>(inputs), expected)); });
  must_notice<kNoBarrierAfterWait>(inputs, expected);
  must_notice<kWaitTooWeak>(inputs, expected);
  must_notice<kStageFreedEarly>(inputs, expected);
  must_notice<kNoBarrierInReduction>(inputs, expected);
  must_notice<kSwappedOperands>(inputs, expected);
  must_notice<kScaleOffByOne>(inputs, expected);
}

#ifdef LK_RACE_CHECKED
LK_TEST(emulator_race_checker_notices_planted_bugs) {
  const Inputs inputs = make_inputs();
  under_all_schedules([&] { run_pipeline<kNone>(inputs); });
  must_find("under way", [&] { run_pipeline<kWaitTooWeak>(inputs); });
  must_find("is not ordered", [&] { run_pipeline<kStageFreedEarly>(inputs); });
  must_find("is not ordered", [&] { run_pipeline<kNoBarrierInReduction>(inputs); });
  // One thread's copy, another's read: not ordered, or even before the former has waited.
  must_find("shared memory", [&] { run_pipeline<kNoBarrierAfterWait>(inputs); });
}
#endif

}  // namespace lk::test
