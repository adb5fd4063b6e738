// gpu compare LIBRARY [EMULATED]   every operation of the GPU against the CPU, and of the emulated GPU against the CPU
// gpu graph LIBRARY                a forward and backward as a CUDA graph, replayed
// gpu measure LIBRARY              the table of RESULTS.md
//
// A LIBRARY without a GPU to run on ends it with 3 and the reason.
#include <cstdio>
#include <cstring>

#include "bench/gpu/compare.h"
#include "bench/gpu/graph.h"
#include "bench/gpu/measure.h"

using namespace lk::bench;

namespace {

bool has_gpu(const Library& library) {
  char reason[512] = "";
  const auto probe = library.function(static_cast<decltype(&lk_backend_probe)>(nullptr), "lk_backend_probe");
  const bool found = probe(LK_BACKEND_CUDA, reason, sizeof reason) == LK_OK;
  std::printf("%s\n", reason);
  return found;
}

int run(int argc, char** argv) {
  const Library library(argv[2]);
  const bool gpu = has_gpu(library);
  if (std::strcmp(argv[1], "measure") == 0) {
    if (!gpu) return 3;
    measure(Side(library, LK_BACKEND_CUDA));
    return 0;
  }
  if (std::strcmp(argv[1], "graph") == 0) {
    if (!gpu) return 3;
    replay_graph(library);
    std::printf("graph: replayed, the same bits\n");
    return 0;
  }
  const Side cpu(library, LK_BACKEND_CPU);
  int wrong = 0;
  if (gpu) wrong += compare(cpu, Side(library, LK_BACKEND_CUDA), "the GPU");
  if (argc > 3) {
    const Library emulated(argv[3]);
    wrong += compare(cpu, Side(emulated, LK_BACKEND_CUDA), "the emulator");
  }
  return wrong > 0 ? 1 : gpu ? 0 : 3;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  if (argc < 3 || (verb != "compare" && verb != "graph" && verb != "measure")) {
    std::fprintf(stderr, "usage: gpu compare LIBRARY [EMULATED] | gpu graph LIBRARY | gpu measure LIBRARY\n");
    return 2;
  }
  try {
    return run(argc, argv);
  } catch (const Failure& failure) {
    std::fprintf(stderr, "gpu: %s\n", failure.message.c_str());
    return 1;
  }
}
