// cp.async, ldmatrix, stmatrix and mma.sync against their definitions.
#include <random>

#include "emulator/test/schedules.cuh"

namespace lk::test {
namespace {

using namespace emulator;

// Four matrices at 16-byte rows 0 ... 31: loaded as they are, transposed, and stored again both ways.
__global__ void move_matrices(const uint16_t* in, uint32_t* loaded, uint32_t* transposed, uint16_t* stored,
                              uint16_t* stored_transposed) {
  uint16_t* shared = reinterpret_cast<uint16_t*>(shared_memory());
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = 0; i < 8; ++i) shared[lane * 8 + i] = in[lane * 8 + i];
  __syncwarp();
  uint32_t m[4], t[4];
  const uint32_t row = shared_address(shared + lane * 8);
  ldmatrix(m, row, 4, false);
  ldmatrix(t, row, 4, true);
  for (int i = 0; i < 4; ++i) {
    loaded[i * 32 + lane] = m[i];
    transposed[i * 32 + lane] = t[i];
  }
  __syncwarp();
  stmatrix(m, row, 4, false);
  __syncwarp();
  for (int i = 0; i < 8; ++i) stored[lane * 8 + i] = shared[lane * 8 + i];
  __syncwarp();
  stmatrix(t, row, 4, true);
  __syncwarp();
  for (int i = 0; i < 8; ++i) stored_transposed[lane * 8 + i] = shared[lane * 8 + i];
}

// d [16, 8] = c + a [16, depth] * b [depth, 8], all row-major in global memory
template <int kDepth>
__global__ void product(const uint16_t* a, const uint16_t* b, const float* c, float* d, bool half) {
  const int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4 * 2;
  const auto pair = [](uint16_t low, uint16_t high) { return uint32_t{low} | uint32_t{high} << 16; };
  uint32_t ra[4] = {}, rb[2] = {};
  for (int h = 0; h < kDepth / 8; ++h) {
    const int k = t + 8 * h;
    ra[2 * h] = pair(a[g * kDepth + k], a[g * kDepth + k + 1]);
    ra[2 * h + 1] = pair(a[(g + 8) * kDepth + k], a[(g + 8) * kDepth + k + 1]);
    rb[h] = pair(b[k * 8 + g], b[(k + 1) * 8 + g]);
  }
  float rd[4] = {c[g * 8 + t], c[g * 8 + t + 1], c[(g + 8) * 8 + t], c[(g + 8) * 8 + t + 1]};
  if (kDepth == 16) {
    mma_m16n8k16(rd, ra, rb[0], rb[1], half);
  } else {
    mma_m16n8k8(rd, ra, rb[0], half);
  }
  for (int i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + t + i % 2] = rd[i];
}

template <int kDepth>
void check_product(bool half) {
  std::mt19937 generator(7);
  // Small integers and halves of them, so that float64 and every order of F32 sums agree exactly; one subnormal of F16.
  std::vector<uint16_t> a(16 * kDepth), b(kDepth * 8);
  const auto fill = [&](std::vector<uint16_t>& v) {
    for (uint16_t& e : v) {
      const float value = static_cast<float>(static_cast<int>(generator() % 33) - 16) * 0.5f;
      e = half ? float_to_f16(value) : float_to_bf16(value);
    }
  };
  fill(a);
  fill(b);
  if (half) a[3] = 0x0001;  // 2^-24
  const auto widen = [&](uint16_t e) { return double{half ? f16_to_float(e) : bf16_to_float(e)}; };
  std::vector<float> c(16 * 8), d(16 * 8);
  for (float& e : c) e = static_cast<float>(generator() % 64);
  CHECK(run_kernel(product<kDepth>, dim3(1), dim3(32), 0, a.data(), b.data(), c.data(), d.data(), half) == cudaSuccess);
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 8; ++j) {
      double expected = c[i * 8 + j];
      for (int k = 0; k < kDepth; ++k) expected += widen(a[i * kDepth + k]) * widen(b[k * 8 + j]);
      // Row 0 holds the subnormal: sums there are rounded to F32 once an addend, at most 2^9 in size.
      const double allowed = half && i == 0 ? kDepth * 512 * 0x1p-24 : 0;
      CHECK(std::fabs(d[i * 8 + j] - expected) <= allowed);
    }
  }
}

// out = in by way of shared memory, kStages copies ahead; each thread reads what its neighbour copied.
constexpr int kStages = 4;

__global__ void copy_through_stages(const float4* in, float4* out, int tiles, int valid_bytes) {
  float4* shared = reinterpret_cast<float4*>(shared_memory());
  const int threads = static_cast<int>(blockDim.x), me = static_cast<int>(threadIdx.x);
  const auto fetch = [&](int tile) {
    if (tile < tiles) {
      cp_async(shared_address(shared + tile % kStages * threads + me), in + tile * threads + me, 16,
               static_cast<uint32_t>(valid_bytes));
    }
    cp_async_commit();
  };
  for (int tile = 0; tile < kStages - 1; ++tile) fetch(tile);
  for (int tile = 0; tile < tiles; ++tile) {
    cp_async_wait(kStages - 2);
    __syncthreads();
    const int neighbour = (me + 33) % threads;
    out[tile * threads + neighbour] = shared[tile % kStages * threads + neighbour];
    fetch(tile + kStages - 1);
  }
  cp_async_wait(0);
}

__global__ void copy_without_waiting(const float4* in) {
  cp_async(shared_address(shared_memory()) + 16 * threadIdx.x, in + threadIdx.x, 16, 16);
  cp_async_commit();
}

}  // namespace

LK_TEST(emulator_moves_matrices_as_the_manual_says) {
  under_all_schedules([] {
    std::vector<uint16_t> in(256), stored(256), stored_transposed(256);
    for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<uint16_t>(i * 257 + 11);
    std::vector<uint32_t> loaded(128), transposed(128);
    CHECK(run_kernel(move_matrices, dim3(1), dim3(32), 512, in.data(), loaded.data(), transposed.data(), stored.data(),
                     stored_transposed.data()) == cudaSuccess);
    for (int m = 0; m < 4; ++m) {
      for (int lane = 0; lane < 32; ++lane) {
        for (int e = 0; e < 2; ++e) {
          const int r = lane / 4, c = lane % 4 * 2 + e;
          CHECK((loaded[m * 32 + lane] >> (16 * e) & 0xffffu) == in[m * 64 + r * 8 + c]);
          CHECK((transposed[m * 32 + lane] >> (16 * e) & 0xffffu) == in[m * 64 + c * 8 + r]);
        }
      }
    }
    CHECK(stored == in && stored_transposed == in);
  });
}

LK_TEST(emulator_multiplies_matrices) {
  under_all_schedules([] {
    check_product<16>(false);
    check_product<16>(true);
    check_product<8>(false);
    check_product<8>(true);
  });
}

LK_TEST(emulator_copies_land_when_they_are_waited_for) {
  under_all_schedules([] {
    for (int tiles : {0, 1, 3, 4, 9}) {
      for (int bytes : {16, 4, 0}) {
        std::vector<float4> in(static_cast<size_t>(tiles) * 96), out(in.size());
        for (size_t i = 0; i < in.size(); ++i) in[i] = make_float4(static_cast<float>(i), 1, 2, 3);
        CHECK(run_kernel(copy_through_stages, dim3(1), dim3(96), kStages * 96 * 16, in.data(), out.data(), tiles,
                         bytes) == cudaSuccess);
        for (size_t i = 0; i < in.size(); ++i) {
          CHECK(out[i].x == (bytes >= 4 ? in[i].x : 0) && out[i].w == (bytes == 16 ? 3 : 0));
        }
      }
    }
  });
}

LK_TEST(emulator_finds_copies_that_nobody_waited_for) {
  std::vector<float4> in(32);
  must_find("did not wait", [&] { run_kernel(copy_without_waiting, dim3(1), dim3(32), 512, in.data()); });
}

}  // namespace lk::test
