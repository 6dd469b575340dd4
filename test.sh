#!/usr/bin/env bash
# Sets up whatever is missing, builds everything, and runs all tests.
# Usage: ./test.sh [--preset release|debug|asan|tsan] [ARGUMENTS OF ctest]    e.g. ./test.sh -R tokenizer
set -euo pipefail
unset CDPATH
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"

preset=release
if [[ ${1:-} == --preset && -n ${2:-} ]]; then
    preset=$2
    shift 2
fi
./setup.sh "$preset"

run=(ctest --preset "$preset" --parallel "$(nproc)")
# The sanitizers of older compilers can't live with the 32 bits of address randomisation that newer kernels use.
if [[ $preset == [at]san ]] && setarch -R true 2>/dev/null; then
    run=(setarch -R "${run[@]}")
fi
exec "${run[@]}" "$@"
