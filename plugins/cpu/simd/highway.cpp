// The name of the Highway target that runs here.
#include "plugins/cpu/simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "plugins/cpu/simd/highway.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace vks::cpu::simd::HWY_NAMESPACE {
namespace {

const char* name() {
#if !VKS_SIMD
    return nullptr;
#elif HWY_TARGET == HWY_AVX2
    return "avx2";
#elif HWY_TARGET == HWY_AVX3
    return "avx512";
#else
    return "neon";
#endif
}

}  // namespace
}  // namespace vks::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vks::cpu::simd {

HWY_EXPORT(name);

const char* target() {
    return HWY_DYNAMIC_DISPATCH(name)();
}
bool has_target(const Signature&) {
    return target() != nullptr;
}

}  // namespace vks::cpu::simd
#endif  // HWY_ONCE
