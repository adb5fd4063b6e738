#!/usr/bin/env bash
# In the unpacked bundle, on a machine with an NVIDIA driver, nvcc and g++: builds the library for the GPU that is here, runs the
# tests, compares every operation with the CPU backend and the emulator, and measures.
#
#   ./run.sh            everything; the table goes to results.md, all output to work/
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stop() {
  echo "gpu: $*" >&2
  exit 3
}

command -v nvidia-smi >/dev/null || [ -e /proc/driver/nvidia/version ] || stop "no NVIDIA driver here: nvidia-smi and /proc/driver/nvidia are absent"
nvcc="${CUDACXX:-$(command -v nvcc || echo "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc")}"
[ -x "$nvcc" ] || stop "nvcc not found: install the CUDA toolkit 13, or name nvcc in CUDACXX"
command -v g++ >/dev/null || stop "g++ not found, which nvcc needs: apt-get install g++"

work=work
mkdir -p "$work/objects"
capability="$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d '. ')"
[ -n "$capability" ] || stop "nvidia-smi names no compute capability"
[ "$capability" = 90 ] && capability=90a
arch="--generate-code=arch=compute_$capability,code=sm_$capability"
echo "gpu: $(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1), sm_$capability; $("$nvcc" --version | tail -n 1)"

# Each line of `commands` compiles one source; what it needs in place of the placeholders is this machine's.
build() {
  local number=0 line
  while IFS= read -r line; do
    number=$((number + 1))
    line="${line//@ARCH@/$arch}"
    line="${line//@NVCC@/$nvcc}"
    line="${line//@CXX@/g++}"
    printf '%s\0' "${line//@OBJECT@/$work/objects/$number.o}"
  done <commands | xargs -0 -P "$(nproc)" -I{} bash -c '{}'
  "$nvcc" -shared -cudart static -o natives/liblora_kernels.so "$work"/objects/*.o -Xcompiler -pthread \
    -Xlinker --version-script=native/lora_kernels.map -Xlinker -soname=liblora_kernels.so
  g++ -std=c++17 -O2 -Inative -Inative/include native/bench/gpu/*.cpp -o "$work/gpu" -ldl
}
echo "gpu: building (output in $work/build.log)"
build >"$work/build.log" 2>&1 || {
  tail -n 20 "$work/build.log" >&2
  stop "the build failed; the whole output is in $work/build.log"
}

library="$PWD/natives/liblora_kernels.so"
failed=()
step() { # step NAME COMMAND ...
  local name="$1"
  shift
  echo "gpu: $name"
  "$@" 2>&1 | tee "$work/$name.log" || failed+=("$name")
}
step compare "$work/gpu" compare "$library" "$PWD/emulated.so"
step graph "$work/gpu" graph "$library"
step tests jre/bin/java -Dlk.test.device=cuda "-Djava.library.path=$PWD/natives" -Dorg.bytedeco.javacpp.pathsfirst=true \
  "-Dorg.bytedeco.javacpp.cachedir=$PWD/$work/javacpp" -cp "tests:lib/*" org.lorakernels.oracle.DeviceTests
step measure "$work/gpu" measure "$library"
{
  echo "$(date -u +%F), commit $(cat commit), bench/gpu/run.sh"
  echo
  cat "$work/measure.log"
} >results.md
[ ${#failed[@]} -eq 0 ] || stop "failed: ${failed[*]}"
echo "gpu: all passed; the table is in results.md"
