#include "bench/gpu/graph.h"

#include <dlfcn.h>

#include <string>

#include "bench/gpu/layer.h"

namespace lk::bench {
namespace {

// The functions of the driver that capture a stream; CUstream, CUgraph and CUgraphExec are pointers.
struct Driver {
  Driver() : handle(dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL)) {
    if (!handle) fail(std::string("cannot load the driver: ") + dlerror());
  }
  template <typename... Arguments>
  void call(const char* name, Arguments... arguments) const {
    const auto function = reinterpret_cast<int (*)(Arguments...)>(dlsym(handle, name));
    if (!function) fail(std::string("the driver lacks ") + name);
    const int status = function(arguments...);
    if (status != 0) fail(std::string(name) + " failed with status " + std::to_string(status));
  }
  void* handle;
};

constexpr unsigned kNonBlocking = 1;
constexpr int kThreadLocal = 1;  // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL

void step(const Side& s, Layer& l) {
  LK_CALL(s.library, lk_lora_forward, s.device(), &l.x->tensor(), &l.nf4.weight(), nullptr, &l.lora, &l.y.tensor());
  LK_CALL(s.library, lk_lora_backward, s.device(), &l.x->tensor(), &l.dy->tensor(), &l.nf4.weight(), &l.lora,
          &l.dx.tensor());
}

}  // namespace

void replay_graph(const Library& library) {
  const Side first(library, LK_BACKEND_CUDA);  // its context is this thread's
  first.synchronize();
  const Driver driver;
  void *stream = nullptr, *graph = nullptr, *executable = nullptr;
  driver.call("cuStreamCreate", &stream, kNonBlocking);
  {
    const Side side(library, reinterpret_cast<uintptr_t>(stream));
    Layer eager(side, 130, 200, 328, 16, LK_BF16), captured(side, 130, 200, 328, 16, LK_BF16);
    for (int i = 0; i < 3; ++i) step(side, eager);
    step(side, captured);  // takes the workspaces
    side.synchronize();
    driver.call("cuStreamBeginCapture_v2", stream, kThreadLocal);
    step(side, captured);
    driver.call("cuStreamEndCapture", stream, &graph);
    driver.call("cuGraphInstantiateWithFlags", &executable, graph, 0ull);
    for (int i = 0; i < 2; ++i) driver.call("cuGraphLaunch", executable, stream);
    side.synchronize();
    // Gradients were added three times in both.
    if (eager.y.values() != captured.y.values()) fail("graph: y differs");
    if (eager.dx.values() != captured.dx.values()) fail("graph: dx differs");
    if (eager.grad_a.values() != captured.grad_a.values()) fail("graph: the gradient of A differs");
    if (eager.grad_b.values() != captured.grad_b.values()) fail("graph: the gradient of B differs");
    driver.call("cuGraphExecDestroy", executable);
    driver.call("cuGraphDestroy", graph);
  }
  driver.call("cuStreamDestroy_v2", stream);
}

}  // namespace lk::bench
