#!/usr/bin/env bash
# Packs what a machine with an NVIDIA driver, nvcc and g++ needs to test and measure the CUDA backend:
#
#   bench/gpu/bundle.sh [FILE]     lora-kernels-gpu.tar.xz by default
#
# A Java runtime made with jlink, classes, tests and their jars, sources of the library, and the commands that compile them, so
# that no JDK, Maven or CMake is needed there. Unpack it there, and start ./run.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
file="$(realpath -m "${1:-lora-kernels-gpu.tar.xz}")"

nvcc="$(command -v nvcc || true)"
[ -n "$nvcc" ] || [ -n "${CUDACXX:-}" ] || {
  echo "bundle: nvcc not found: the commands that compile the CUDA sources come from CMake, which asks for it" >&2
  exit 1
}
javac="$(realpath "$(command -v "${JAVA_HOME:+$JAVA_HOME/bin/}javac")")"
jdk="${javac%/bin/javac}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
out="$work/lora-kernels-gpu"
mkdir -p "$out/lib" "$out/natives"

LK_CUDA=OFF ./mvnw -B -ntp -q -DskipTests -Dspotless.check.skip=true -pl tests -am package \
  org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DincludeScope=test "-DoutputDirectory=$out/lib"
rm -f "$out"/lib/archunit*.jar
cp -r tests/target/test-classes "$out/tests"
unzip -q -j "$(ls java-api/kernels/target/lora-kernels-*-linux-x86_64.jar)" '*.so' -d "$out/natives"

./cppbuild.sh emulator
cp native/cppbuild/build-emulated/liblora_kernels.so "$out/emulated.so"
strip "$out/emulated.so"
tar --exclude=native/cppbuild -cf - native | tar -xf - -C "$out"
cp bench/gpu/run.sh "$out/"
git rev-parse HEAD >"$out/commit"

# The commands of CMake, with the architecture and the compilers left open: @ARCH@, @NVCC@, @CXX@.
cmake -S native -B "$work/build" -DLK_CUDA=ON -DLK_CUDA_ARCHS=80-real -DCMAKE_CXX_COMPILER_LAUNCHER= >/dev/null
cxx="$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$work/build/CMakeCache.txt")"
cuda="$(sed -n 's/^CMAKE_CUDA_COMPILER:[A-Z]*=//p' "$work/build/CMakeCache.txt")"
sed -n 's/^ *"command": "\(.*\)",\{0,1\}$/\1/p' "$work/build/compile_commands.json" |
  sed -e 's/\\"/"/g' -e 's/\\\\/\\/g' -e "s#^$cxx #@CXX@ #; s#^$cuda #@NVCC@ #" -e "s#$PWD/##g" \
    -e 's#--options-file [^ ]*\.rsp#-Inative/include -Inative#' -e 's#[^ "]*compute_80[^ ]*#@ARCH@#' -e 's#-o [^ ]*/\([^ ]*\.o\)#-o @OBJECT@#' >"$out/commands"
grep -q '@ARCH@' "$out/commands" || { echo "bundle: found no CUDA architecture in CMake's commands" >&2; exit 1; }

"$jdk/bin/jlink" --add-modules java.base,java.logging,java.management,java.compiler,java.desktop,java.naming,java.xml,java.sql,jdk.unsupported \
  --strip-debug --no-header-files --no-man-pages --compress=0 --output "$out/jre"
tar -C "$work" -cf - lora-kernels-gpu | xz -T0 -6 >"$file"
echo "bundle: $file, $(($(stat -c %s "$file") / 1000000)) MB"
