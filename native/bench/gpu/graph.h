// A forward and backward of a LoRA layer as a CUDA graph.
#pragma once

#include "bench/gpu/library.h"

namespace lk::bench {

// Captures the stream of a device while a layer runs, replays it, and compares with what the same calls gave without a
// graph. Throws Failure where anything differs or is refused.
void replay_graph(const Library& library);

}  // namespace lk::bench
