#!/usr/bin/env bash
# Runs the benchmarks against the ceilings of this machine: bench/run.sh [--quick] [JMH arguments]
#
#   bench/run.sh --quick                     4096x4096, a few minutes
#   bench/run.sh                             every shape and M: about an hour
#   bench/run.sh LayerBenchmark.fused -p m=1 -p shape=1024x4096
#
# Results: bench/results/results.{json,md}. LK_ROUNDS=N sets the number of rounds (2).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Whatever an environment fixed, OpenBLAS shall choose for this processor, as it would for a user.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE

arguments=()
if [ "${1:-}" = --quick ]; then
  shift
  # shellcheck disable=SC2054 # the commas are JMH's
  arguments=(-p shape=4096x4096 -p m=1,16,128 -p dtype=F32)
fi

./mvnw -B -ntp -q -DskipTests -Dspotless.check.skip=true -pl bench -am package
./cppbuild.sh ceilings 0.05 >/dev/null

java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
flags=()
if [ "$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)" -ge 24 ]; then
  flags=(--enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow)
fi
exec "$java" "${flags[@]}" "-Dlk.ceilings=$PWD/native/cppbuild/build-bench/ceilings" "-Dlk.out=$PWD/bench/results" \
  "-Dlk.rounds=${LK_ROUNDS:-2}" -cp "bench/target/classes:bench/target/lib/*" org.lorakernels.bench.Main \
  "${arguments[@]}" "$@"
