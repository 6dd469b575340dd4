#!/usr/bin/env bash
# Every pipeline the Vulkan plugin makes for DeepSeek-V3, through the compilers of GPUs that aren't there: mesa-drm-shim
# fakes their kernel devices. Nothing runs on them. One that fails, spills or lacks a capability fails the whole.
# usage: tests/isa/run.sh PROGRAM OUTPUT [ROOT [TARGET...]]
#   PROGRAM  vks_isa of a build       OUTPUT  folder for table.md and TARGET.json
#   ROOT     a Debian with mesa-drm-shim and mesa-vulkan-drivers 26 or newer: /, or a folder to chroot into
set -euo pipefail

(($# >= 2)) || {
    sed -n '2,6s/^# //p' "${BASH_SOURCE[0]}" >&2
    exit 2
}
program=$1 output=$2 root=${3:-/}
targets=("${@:4}")
((${#targets[@]} > 0)) || targets=(navi21 navi31 gfx1201 vega20 nvidia-172 adreno-740 apple)

# run TARGET OPTIONS: the table on standard output.
run() {
    local shim icd variable
    case $1 in
        nvidia-*) shim=nouveau icd=nouveau variable=NOUVEAU_CHIPSET=${1#nvidia-} ;;
        adreno-*) shim=freedreno icd=freedreno variable=FD_GPU_ID=${1#adreno-} ;;
        apple) shim=asahi icd=asahi variable=ASAHI= ;;
        *) shim=amdgpu icd=radeon variable=AMDGPU_GPU_ID=$1 ;;
    esac
    local enter=()
    [[ $root == / ]] || enter=(chroot "$root")
    # No cache: neither the driver's nor the plugin's.
    "${enter[@]}" env -i PATH=/usr/bin:/bin MESA_SHADER_CACHE_DISABLE=true "$variable" \
        LD_PRELOAD="/usr/lib/x86_64-linux-gnu/lib${shim}_noop_drm_shim.so" \
        VK_DRIVER_FILES="/usr/share/vulkan/icd.d/${icd}_icd.json" \
        timeout 600 "$folder/vks_isa" "$2" "$folder/$1${2:+-tier0}.json"
}

mkdir -p "$output"
folder=/tmp/vks-isa.$$
mkdir "${root%/}$folder"
trap 'rm -rf "${root%/}$folder"' EXIT
cp "$program" "${root%/}$folder/vks_isa"
failed=()
: >"$output/table.md"
for target in "${targets[@]}"; do
    # Both tiers side by side: a compiler is one thread.
    run "$target" tier=0 >"${root%/}$folder/tier0.md" &
    printf 'isa: == %s\n' "$target" >&2
    run "$target" '' >>"$output/table.md" || failed+=("$target")
    wait $! || failed+=("$target tier=0")
    { printf '\n' && cat "${root%/}$folder/tier0.md" && printf '\n'; } >>"$output/table.md"
    for options in '' -tier0; do
        mv "${root%/}$folder/$target$options.json" "$output/" || true
    done
done
cat "$output/table.md"
((${#failed[@]} == 0)) || {
    printf 'isa: FAILED: %s\n' "${failed[@]}" >&2
    exit 1
}
