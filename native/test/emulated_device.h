// The CUDA backend on the emulator (native/emulator), for tests. Only in builds with LK_EMULATOR.
#pragma once

#include <functional>

#include "common/device.h"

namespace lk::test {

// Calls f with a new device of the CUDA backend; what the emulator finds wrong with its kernels fails the case. The schedule is
// drawn from the seed LK_EMULATOR_SEED (0: threads take turns in order), or else from one of the case's own.
void on_emulator(const std::function<void(Device&)>& f);

}  // namespace lk::test
