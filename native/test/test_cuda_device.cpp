// The CUDA device on the emulated runtime: what it says when a GPU is missing, refuses, runs out of memory, fails or
// disappears, and what still works then.
#ifdef LK_EMULATED

#include <cstring>

#include "emulator/control.h"
#include "test/c_api.h"

using namespace lk;
using namespace lk::test;
using emulator::Call;
using emulator::fail_call;
using emulator::machine;

namespace {

// The emulated machine, as it was before and after.
struct Machine {
  Machine() { emulator::restore_machine(); }
  ~Machine() { emulator::restore_machine(); }
};

// A row of ones in the memory of a device.
struct Row {
  explicit Row(lk_device* owner) : device(owner) {
    lk_address data = 0;
    succeeds(lk_alloc(device, sizeof ones, &data));
    succeeds(lk_copy_to_device(device, data, address_of(ones), sizeof ones));
    t = {data, 1, 3, 3, LK_F32, 0};
  }
  ~Row() { lk_free(device, t.data); }
  lk_status doubled() { return lk_scale(device, &t, 2.0f, &t); }

  lk_device* device;
  float ones[3] = {1, 1, 1};
  lk_tensor t{};
};

void cannot_open(int32_t ordinal, std::initializer_list<const char*> parts) {
  lk_device* device = nullptr;
  expect(lk_device_open(LK_BACKEND_CUDA, ordinal, &device), LK_BACKEND_UNAVAILABLE, parts);
  CHECK(device == nullptr);
}

}  // namespace

LK_TEST(cuda_device_says_what_it_is) {
  const Machine scope;
  char reason[200];
  succeeds(lk_backend_probe(LK_BACKEND_CUDA, reason, sizeof reason));
  CHECK_TEXT(std::strstr(reason, "device 0 is cuda-emulated, compute capability 9.0"), reason);
  const Handle h(LK_BACKEND_CUDA);
  lk_device_info info;
  succeeds(lk_device_query(h.device, &info));
  CHECK(info.backend == LK_BACKEND_CUDA && info.threads == machine().multiprocessors);
  CHECK(info.total_bytes == static_cast<int64_t>(machine().memory_bytes) && info.available_bytes > 0);
  CHECK_TEXT(std::strcmp(info.kernels, "cuda-emulated") == 0, info.kernels);
  CHECK_TEXT(std::strstr(info.reason, "compute capability 9.0"), info.reason);
}

LK_TEST(cuda_device_says_what_is_missing) {
  const Machine scope;
  machine().driver = false;
  cannot_open(0, {"no driver", "cudaErrorInsufficientDriver", "install an NVIDIA driver"});
  char reason[300];
  CHECK(lk_backend_probe(LK_BACKEND_CUDA, reason, sizeof reason) == LK_BACKEND_UNAVAILABLE);
  CHECK_TEXT(std::strstr(reason, "install an NVIDIA driver"), reason);
  machine().driver = true;
  machine().devices = 0;
  cannot_open(0, {"no device", "cudaErrorNoDevice", "CUDA_VISIBLE_DEVICES"});
  machine().devices = 2;
  cannot_open(2, {"there are 2 CUDA devices", "2 was asked for"});
  cannot_open(-1, {"-1 was asked for"});
  machine().major = 7;
  machine().minor = 5;
  cannot_open(0, {"compute capability 7.5", "8.0", "CPU device"});
  machine().major = 9;
  fail_call(Call::kLaunch, cudaErrorNoKernelImageForDevice);
  cannot_open(0, {"does not run kernels", "cudaErrorNoKernelImageForDevice", "LK_CUDA_ARCHS"});
  fail_call(Call::kDevices, cudaErrorSystemDriverMismatch);
  cannot_open(0, {"cudaErrorSystemDriverMismatch", "restart the machine"});
  fail_call(Call::kKernel, cudaErrorLaunchFailure);
  cannot_open(0, {"does not run kernels", "cudaErrorLaunchFailure", "process"});
  cannot_open(0, {"cudaErrorLaunchFailure", "process"});  // a sticky error
}

LK_TEST(cuda_memory_is_zeroed_aligned_and_counted) {
  const Machine scope;
  const int64_t before = emulator::live_allocations();
  {
    const Handle h(LK_BACKEND_CUDA);
    lk_address a = 0, b = 0;
    succeeds(lk_alloc(h.device, 1000, &a));
    succeeds(lk_alloc(h.device, 0, &b));
    CHECK(a % 64 == 0 && b != 0 && a != b);
    std::vector<uint8_t> bytes(1000, 7), back(1000, 7);
    succeeds(lk_copy_to_host(h.device, address_of(back.data()), a, 1000));
    for (uint8_t byte : back) CHECK(byte == 0);
    succeeds(lk_copy_to_device(h.device, a, address_of(bytes.data()), 1000));
    succeeds(lk_copy_to_host(h.device, address_of(back.data()), a, 1000));
    CHECK(back == bytes);
    { const Workspace small(*h.device, 100), other(*h.device, 200); }
    { const Workspace again(*h.device, kMaxWorkspaceBytes); }
    { const Workspace large(*h.device, kMaxWorkspaceBytes + 1); }
    lk_memory_stats stats;
    succeeds(lk_device_memory(h.device, &stats));
    CHECK(stats.allocated_bytes == 1000 && stats.allocation_count == 2 && stats.workspace_count == 3);
    CHECK(h.device->idle_workspaces.size() == 3);  // none is given back before the device is closed
    succeeds(lk_free(h.device, a));
    succeeds(lk_free(h.device, b));
  }
  CHECK(emulator::live_allocations() == before);
}

LK_TEST(cuda_out_of_memory_says_how_much) {
  const Machine scope;
  const Handle h(LK_BACKEND_CUDA);
  lk_address a = 0, b = 0;
  succeeds(lk_alloc(h.device, 1000, &a));
  machine().memory_bytes = size_t{1} << 20;
  const std::string free = "free " + std::to_string(h.device->free_bytes());
  expect(lk_alloc(h.device, 2 << 20, &b), LK_OUT_OF_MEMORY,
         {"requested 2097152 bytes", free.c_str(), "peak of this device 1000"});
  CHECK(b == 0);
  std::string message;
  try {
    const Workspace workspace(*h.device, 100);
  } catch (const Error& error) {
    CHECK(error.status == LK_OUT_OF_MEMORY);
    message = error.message;
  }
  CHECK_TEXT(message.find("100 bytes of workspace requested, " + free) != std::string::npos, message);
  succeeds(lk_alloc(h.device, 1000, &b));  // nothing is lost
  succeeds(lk_free(h.device, b));
  succeeds(lk_free(h.device, a));
  // The first attempt fails, the second finds what the pool gave back.
  fail_call(Call::kAllocate, cudaErrorMemoryAllocation);
  succeeds(lk_alloc(h.device, 1000, &a));
  succeeds(lk_free(h.device, a));
}

LK_TEST(cuda_launch_that_is_refused_loses_nothing) {
  const Machine scope;
  const Handle h(LK_BACKEND_CUDA);
  Row row(h.device);
  fail_call(Call::kLaunch, cudaErrorInvalidConfiguration);
  expect(row.doubled(), LK_INTERNAL, {"launching a kernel (grid 1 x 1 x 1", "cudaErrorInvalidConfiguration"});
  fail_call(Call::kLaunch, cudaErrorStreamCaptureUnsupported);
  expect(row.doubled(), LK_UNSUPPORTED, {"cudaErrorStreamCaptureUnsupported"});
  succeeds(row.doubled());
  float back[3];
  succeeds(lk_copy_to_host(h.device, address_of(back), row.t.data, sizeof back));
  CHECK(back[0] == 2 && back[1] == 2 && back[2] == 2);
}

LK_TEST(cuda_kernel_that_fails_loses_the_device) {
  const Machine scope;
  const int64_t before = emulator::live_allocations();
  lk_device* cpu = nullptr;
  succeeds(lk_device_open(LK_BACKEND_CPU, 0, &cpu));
  {
    const Handle h(LK_BACKEND_CUDA);
    Row row(h.device), other(h.device);
    fail_call(Call::kKernel, cudaErrorIllegalAddress);
    succeeds(row.doubled());  // the launch is fine
    const char* first = "cudaErrorIllegalAddress";
    expect(lk_device_synchronize(h.device), LK_DEVICE_LOST, {"lost", first, "waiting for the device", "before it"});
    float back[3];
    lk_address memory = 0;
    lk_device_info info;
    lk_memory_stats stats;
    expect(row.doubled(), LK_DEVICE_LOST, {first, "waiting for the device"});
    expect(lk_device_synchronize(h.device), LK_DEVICE_LOST, {first});
    expect(lk_copy_to_host(h.device, address_of(back), row.t.data, sizeof back), LK_DEVICE_LOST, {first});
    expect(lk_copy_to_device(h.device, row.t.data, address_of(back), sizeof back), LK_DEVICE_LOST, {first});
    expect(lk_alloc(h.device, 10, &memory), LK_DEVICE_LOST, {first});
    expect(lk_device_query(h.device, &info), LK_DEVICE_LOST, {first});
    succeeds(lk_device_memory(h.device, &stats));
    CHECK(stats.allocated_bytes == 2 * sizeof row.ones);
    succeeds(lk_free(h.device, other.t.data));
    other.t.data = 0;
    succeeds(lk_device_memory(h.device, &stats));
    CHECK(stats.allocated_bytes == sizeof row.ones);
    cannot_open(0, {first, "process"});
    Matrix x(1, 4);
    const lk_tensor t = x.tensor();
    succeeds(lk_scale(cpu, &t, 2, &t));  // the CPU goes on
  }
  lk_device_close(cpu);
  emulator::restore_machine();
  const Handle again(LK_BACKEND_CUDA);
  Row row(again.device);
  succeeds(row.doubled());
  CHECK(emulator::live_allocations() == before + 1);  // this row: what the lost context held went with it
}

// Whatever call meets it first, the device is lost and the call says what it tried.
LK_TEST(cuda_device_that_disappears_is_lost_at_any_call) {
  const Machine scope;
  float back[3];
  lk_address memory = 0;
  for (int call = 0; call < 6; ++call) {
    {
      const Handle h(LK_BACKEND_CUDA);
      Row row(h.device);
      fail_call(Call::kAny, cudaErrorUnknown, call == 1 || call == 2 ? 1 : 0);
      const lk_status status = call == 0   ? row.doubled()
                               : call == 1 ? row.doubled()  // at the launch instead of the choice of the device
                               : call == 2 ? lk_alloc(h.device, 10, &memory)
                               : call == 3 ? lk_copy_to_host(h.device, address_of(back), row.t.data, sizeof back)
                               : call == 4 ? lk_copy_to_device(h.device, row.t.data, address_of(back), sizeof back)
                                           : lk_device_synchronize(h.device);
      expect(status, LK_DEVICE_LOST, {"cudaErrorUnknown", "reported by"});
      expect(row.doubled(), LK_DEVICE_LOST, {"cudaErrorUnknown"});
    }
    emulator::restore_machine();
  }
}

LK_TEST(cuda_works_on_a_stream_of_the_caller) {
  const Machine scope;
  cudaStream_t stream = nullptr;
  CHECK(cudaStreamCreate(&stream) == cudaSuccess);
  lk_device* device = nullptr;
  const auto raw = [](cudaStream_t s) { return static_cast<uint64_t>(reinterpret_cast<uintptr_t>(s)); };
  succeeds(lk_device_open_on_stream(LK_BACKEND_CUDA, 0, raw(stream), &device));
  { succeeds(Row(device).doubled()); }
  uint64_t handle = 0;
  succeeds(lk_device_stream(device, &handle));
  CHECK(handle == raw(stream));
  succeeds(lk_device_close(device));
  CHECK(cudaStreamSynchronize(stream) == cudaSuccess);  // still the caller's
  succeeds(lk_device_open_on_stream(LK_BACKEND_CUDA, 0, 0, &device));
  { succeeds(Row(device).doubled()); }
  succeeds(lk_device_close(device));
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
  expect(lk_device_open_on_stream(LK_BACKEND_CUDA, 0, raw(stream), &device), LK_INVALID_ARGUMENT, {"stream"});
  expect(lk_device_open_on_stream(LK_BACKEND_CUDA, 0, raw(cudaStreamPerThread), &device), LK_INVALID_ARGUMENT,
         {"per-thread"});
  expect(lk_device_open_on_stream(LK_BACKEND_CPU, 0, 0, &device), LK_UNSUPPORTED, {"CPU device has no streams"});
  CHECK(device == nullptr);
}

#endif  // LK_EMULATED
