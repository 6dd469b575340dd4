#!/usr/bin/env bash
# Sets up whatever is missing, builds vkseek, and lets the demo model write a little.
# Usage: ./run.sh [ARGUMENTS OF vkseek]    e.g. ./run.sh generate -p TEXT, ./run.sh chat -m MODEL, ./run.sh --help
# chat wants a model with a chat template, which the demo model has not.
# Only what vkseek prints goes to stdout; the set-up speaks on stderr.
set -euo pipefail
unset CDPATH

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
"$root/setup.sh" release vkseek plugins/all

if (($# == 0)); then
    set -- generate -m "$root/models/demo" -p "vulkan-tools:" -n 60 --temp 0
    { printf '+ build/release/bin/vkseek' && printf ' %q' "$@" && echo; } >&2
fi
exec "$root/build/release/bin/vkseek" "$@"
