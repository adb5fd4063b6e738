#!/usr/bin/env bash
# Builds native/ with CMake. Maven calls it; it works alone as well.
#
#   cppbuild.sh [install]        the shared library, into native/cppbuild/<platform>/{lib,include}
#   cppbuild.sh test [FILTER]    builds and runs the native tests
#   cppbuild.sh sanitize [FILTER]  the same under AddressSanitizer and UndefinedBehaviorSanitizer
#   cppbuild.sh emulator         the library on the emulator, for tests of Java, into native/cppbuild/build-emulated
#   cppbuild.sh emulate [FILTER]  the native tests of the CUDA backend on the emulator (native/emulator/README.md)
#   cppbuild.sh emulate-sanitize [FILTER], emulate-race [FILTER]  the same under the sanitizers, with the race checker
#   cppbuild.sh cuda             the library with CUDA, into native/cppbuild/build-cuda, for a check by nvcc alone
#   cppbuild.sh cuda-archs [ARCH ...]  compiles the CUDA sources for every architecture, and prints times and sizes
#   cppbuild.sh ceilings [SECONDS]  measures what the machine can do at most and prints it as JSON
#   cppbuild.sh tools            says which tool is missing and what package has it, or nothing
#   cppbuild.sh format           formats native/ with clang-format 14;  format-check only says what is not formatted
#   cppbuild.sh clean
#
# Environment: LK_CUDA=AUTO|ON|OFF (AUTO: where nvcc and an NVIDIA driver are found), LK_CUDA_ARCHS (as CMake names them), CUDACXX or CUDA_HOME.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

platform=linux-x86_64
out="$PWD/native/cppbuild/$platform"
verb="${1:-install}"
filter="${2:-}"

die() {
  echo "cppbuild: $*" >&2
  exit 1
}

need() { # need COMMAND PACKAGE
  command -v "$1" >/dev/null || die "$1 not found: install it with: apt-get install $2"
}

find_nvcc() {
  local candidate
  for candidate in "${CUDACXX:-}" "${CUDA_HOME:+$CUDA_HOME/bin/nvcc}" "$(command -v nvcc || true)"; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then
      echo "$candidate"
      return
    fi
  done
}

has_driver() {
  [ -e /proc/driver/nvidia/version ] || command -v nvidia-smi >/dev/null || ldconfig -p 2>/dev/null | grep -q 'libcuda\.so\.1'
}

need_tools() {
  need g++ g++
  need cmake cmake
  command -v ninja >/dev/null || need make make
}

# build NAME [CMake argument ...]: configures and builds native/cppbuild/build-NAME, or the one target in $target; output
# only where it fails.
target=all
build() {
  local dir="native/cppbuild/build-$1"
  shift
  need_tools
  local generator=(-G "Unix Makefiles")
  if command -v ninja >/dev/null; then
    generator=(-G Ninja)
  fi
  mkdir -p "$dir"
  local log="$dir/build.log"
  if ! cmake -S native -B "$dir" "${generator[@]}" "$@" >"$log" 2>&1 ||
    ! cmake --build "$dir" --target "$target" --parallel "$(nproc)" >>"$log" 2>&1; then
    cat "$log" >&2
    die "the build in $dir failed; the output is above"
  fi
  # Notes of ptxas on what it had to give up (C7510: wgmma is serialised) are no warnings to it, but are to us.
  if grep -E 'C75[0-9][0-9]' "$log" >&2; then
    cmake --build "$dir" --target clean >/dev/null
    die "ptxas found a performance loss in a kernel; its notes are above"
  fi
}

# One build serves the tests of both backends.
with_emulator=(-DLK_CUDA=OFF -DLK_TESTS=ON -DLK_EMULATOR=ON)
build_emulated() {
  build emulated "${with_emulator[@]}"
}

# The library must load anywhere: it exports lk_* alone, and has the C++ and CUDA run times in itself.
check_library() { # check_library FILE
  local exported needed
  exported="$(nm -D --defined-only "$1" | awk '$2 != "A" && $3 !~ /^lk_/ { print $3 }')"
  [ -z "$exported" ] || die "$1 exports more than lk_*:" $exported
  needed="$(readelf -d "$1" | grep -oE 'lib(stdc\+\+|gcc_s|cuda|cudart)\.so[^]]*' || true)"
  [ -z "$needed" ] || die "$1 must not need" $needed
}

cuda_arguments() {
  if [ "${LK_CUDA:-AUTO}" = OFF ]; then
    cuda=(-DLK_CUDA=OFF)
    echo "cppbuild: LK_CUDA=OFF: building for the CPU alone"
    return
  fi
  local nvcc
  nvcc="$(find_nvcc)"
  if [ -n "$nvcc" ] && [ "${LK_CUDA:-AUTO}" = AUTO ] && ! has_driver; then
    # The kernels take minutes to compile, and nothing here could run them.
    cuda=(-DLK_CUDA=OFF)
    echo "cppbuild: no NVIDIA driver: building for the CPU alone (LK_CUDA=ON builds for CUDA too)"
  elif [ -n "$nvcc" ]; then
    export CUDACXX="$nvcc"
    cuda=(-DLK_CUDA=ON)
    [ -n "${LK_CUDA_ARCHS:-}" ] && cuda+=("-DLK_CUDA_ARCHS=$LK_CUDA_ARCHS")
    echo "cppbuild: building for CPU and CUDA with $nvcc"
  elif [ "${LK_CUDA:-AUTO}" = ON ]; then
    die "LK_CUDA=ON, but nvcc was not found: install the CUDA toolkit, or name nvcc in CUDACXX"
  else
    cuda=(-DLK_CUDA=OFF)
    echo "cppbuild: nvcc not found: building for the CPU alone"
  fi
}

sources() {
  find native -path native/cppbuild -prune -o \
    \( -name '*.h' -o -name '*.cpp' -o -name '*.inl' -o -name '*.cu' -o -name '*.cuh' \) -print
}

declare -A tables=([test]=cpu [sanitize]=cpu [emulate]=cuda [emulate-sanitize]=cuda)

case "$verb" in
  install)
    cuda_arguments
    build "$platform" "${cuda[@]}" "-DCMAKE_INSTALL_PREFIX=$out"
    cmake --install "native/cppbuild/build-$platform" >/dev/null
    check_library "$out/lib/liblora_kernels.so"
    ;;
  test | emulate)
    build_emulated
    LK_TEST_TABLES="${tables[$verb]}" native/cppbuild/build-emulated/lora_kernels_tests ${filter:+"$filter"}
    ;;
  sanitize | emulate-sanitize)
    build sanitize "${with_emulator[@]}" -DLK_SANITIZE=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo
    LK_TEST_TABLES="${tables[$verb]}" native/cppbuild/build-sanitize/lora_kernels_tests ${filter:+"$filter"}
    ;;
  emulator)
    build_emulated
    ;;
  emulate-race)
    target=lora_kernels_race_tests
    build_emulated
    LK_TEST_TABLES=cuda native/cppbuild/build-emulated/lora_kernels_race_tests ${filter:+"$filter"}
    ;;
  cuda)
    if [ -z "$(find_nvcc)" ]; then
      echo "cppbuild: SKIPPED cuda: nvcc not found, so the CUDA sources were not compiled by it"
      exit 0
    fi
    LK_CUDA=ON cuda_arguments
    target=lora_kernels
    build cuda "${cuda[@]}"
    check_library native/cppbuild/build-cuda/liblora_kernels.so
    ;;
  cuda-archs)
    LK_CUDA=ON cuda_arguments
    shift
    [ $# -gt 0 ] || set -- 80 86 89 90 90a 100 120
    target=lora_kernels_cuda
    printf '%6s %8s %10s\n' sm seconds bytes
    for arch in "$@"; do
      rm -rf "native/cppbuild/build-cuda-$arch"
      start=$(date +%s)
      build "cuda-$arch" "${cuda[@]}" "-DLK_CUDA_ARCHS=$arch-real"
      printf '%6s %8d %10d\n' "$arch" $(($(date +%s) - start)) \
        "$(find "native/cppbuild/build-cuda-$arch" -name '*.cu.o' -printf '%s\n' | awk '{ n += $1 } END { print n }')"
    done
    ;;
  ceilings)
    build bench -DLK_CUDA=OFF -DLK_BENCH=ON
    native/cppbuild/build-bench/ceilings ${filter:+"$filter"}
    ;;
  tools)
    need_tools
    ;;
  format | format-check)
    if ! command -v clang-format-14 >/dev/null; then
      echo "cppbuild: SKIPPED $verb: clang-format-14 not found (apt-get install clang-format-14)"
      exit 0
    fi
    if [ "$verb" = format ]; then
      sources | xargs clang-format-14 -i
    else
      sources | xargs clang-format-14 --dry-run --Werror || die "not formatted; run: ./cppbuild.sh format"
    fi
    ;;
  clean)
    rm -rf native/cppbuild
    ;;
  *)
    echo "usage: cppbuild.sh [install | test [FILTER] | sanitize [FILTER] | emulator | emulate [FILTER] | emulate-sanitize [FILTER] | emulate-race [FILTER] | cuda | cuda-archs [ARCH ...] | ceilings [SECONDS] | tools | format | format-check | clean]" >&2
    exit 2
    ;;
esac
