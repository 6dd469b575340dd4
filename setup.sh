#!/usr/bin/env bash
# The set-up that run.sh and test.sh share: installs the packages that are missing, configures a preset, builds it.
# Usage: ./setup.sh [PRESET [TARGET...]]   PRESET as in CMakePresets.json (release), TARGET: default all
# Everything is said on stderr. With the packages there it needs neither network nor root and never calls apt.
# VKS_SKIP_PACKAGES=1 leaves packages alone: for a toolchain and libraries that come from somewhere else.
set -euo pipefail
unset CDPATH

packages='
g++                  C++20 compiler; brings gcc, for the tests that are plain C
cmake                configures; at least 3.25
ninja-build          builds
pkg-config           finds the libraries that have no CMake package
nlohmann-json3-dev   JSON: configurations, tokenizers, safetensors headers
libcli11-dev         command line
libpcre2-dev         split patterns of the tokenizer
libutf8proc-dev      Unicode tables
libhwy-dev           portable SIMD, chosen at run time
libfmt-dev           formatting of messages
libreadline-dev      line editing and history in chat
liburing-dev         weights beyond a memory cap are read by io_uring
libgtest-dev         tests: unit tests
glslc                Vulkan: compiles the shaders
libshaderc-dev       Vulkan: compiles shaders at run time, for bench shader
spirv-tools          Vulkan: optimises and validates them
spirv-headers        Vulkan: names of the parts of SPIR-V
libvulkan-dev        Vulkan: headers; brings the loader
libvulkan-volk-dev   Vulkan: finds the loader at run time
mesa-vulkan-drivers  tests: lavapipe, a Vulkan device on the CPU
python3              embeds the shaders; tests: layout and end-to-end tests
python3-numpy        tests: comparison with the golden tensors
patch                tests: the steps of docs/adding_a_backend.md
gzip                 tests: unpacks the released tokenizer
'

say() { printf 'setup: %s\n' "$*" >&2; }

# quietly NAME COMMAND...: the output goes to build/PRESET/setup-NAME.log, and is shown in full if the command fails.
quietly() {
    local log=$build/setup-$1.log
    shift
    if ! "$@" >"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        say "that failed; it is in $log, too"
        return 1
    fi
}

# Prints the lines of $packages whose package is not installed.
missing_packages() {
    local name reason installed
    installed=$'\n'$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' 2>/dev/null)$'\n'
    while read -r name reason; do
        [[ -z $name || $installed == *$'\n'"$name installed"$'\n'* ]] || printf '  %-20s %s\n' "$name" "$reason"
    done <<<"$packages"
}

# apt_get COMMAND...: as root, asking nothing, and waiting for another apt that holds the lock.
apt_get() {
    local sudo=()
    ((EUID == 0)) || sudo=(sudo)
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
        apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

install_packages() {
    local missing names
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        [[ -f $build/build.ninja ]] || say "no apt here; the build needs what these Debian packages have:$packages"
        return
    fi
    # Debian's NumPy is there for Debian's Python only, which need not be the first in PATH.
    configuration+=(-DPython3_EXECUTABLE=/usr/bin/python3)
    missing=$(missing_packages)
    [[ -n $missing ]] || return 0
    say "these packages are missing:"$'\n'"$missing"
    mapfile -t names <<<"$(awk '{ print $1 }' <<<"$missing")"
    if ((EUID != 0)) && ! command -v sudo >/dev/null; then
        say "installing them takes root, and there is no sudo; as root: apt-get install ${names[*]}"
        return 1
    fi
    say "installing them with apt-get"
    # A third party's broken source fails an update without concerning us; the installation is what has to work.
    quietly update apt_get update || say "going on with the package lists there are"
    if ! quietly install apt_get install --no-install-recommends "${names[@]}"; then
        say "could not install what is missing; as root: apt-get install ${names[*]}"
        return 1
    fi
    installed=true
}

# Configures what is not configured yet, was configured elsewhere (a copied tree), with other presets or without packages
# that are there now; from then on the build keeps itself up to date.
configure() {
    if [[ $installed == false && -f $build/build.ninja && ! CMakePresets.json -nt $build/build.ninja ]] &&
        grep -qsxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "$build/CMakeCache.txt"; then
        return
    fi
    say "configuring $preset"
    quietly configure cmake --preset "$preset" --fresh "${configuration[@]}"
}

# One compilation per core, and per 1.5 GB of the memory that is free, the machine's or the container's.
job_count() {
    local jobs free limit
    jobs=$(nproc)
    free=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo 2>/dev/null) || free=$((jobs * 1500000))
    limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null) || limit=max
    [[ $limit == max || $((limit / 1024)) -gt $free ]] || free=$((limit / 1024))
    ((free / 1500000 >= jobs)) || jobs=$((free / 1500000))
    echo $((jobs > 0 ? jobs : 1))
}

# Reduces ninja's status lines to one for every tenth of the build; everything else (warnings, errors) passes.
progress() {
    local line tenth shown=0
    while IFS= read -r line; do
        if [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]]; then
            tenth=$((10 * BASH_REMATCH[1] / BASH_REMATCH[2]))
            ((tenth == shown)) || say "building $preset: ${tenth}0% of ${BASH_REMATCH[2]} steps"
            shown=$tenth
        elif [[ $line != 'ninja: no work to do.' ]]; then
            printf '%s\n' "$line" >&2
        fi
    done
}

build() {
    local command=(cmake --build --preset "$preset" --parallel "$(job_count)")
    (($# == 0)) || command+=(--target "$@")
    if [[ -t 2 ]]; then
        "${command[@]}" >&2  # ninja itself keeps to one line on a terminal
    else
        "${command[@]}" 2>&1 | progress
    fi
}

if [[ ${1:-} == -* ]]; then
    sed -n '2,5s/^# //p' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
cd "$(pwd -P)"
preset=${1:-release}
shift || true
build=build/$preset
configuration=()
installed=false
mkdir -p "$build"
if [[ ! -w $build ]]; then
    say "$PWD/$build belongs to another user: remove it, or build as $(stat -c %U "$build")"
    exit 1
fi
[[ -n ${VKS_SKIP_PACKAGES:-} ]] || install_packages
configure
build "$@"
