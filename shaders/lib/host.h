// For push constant headers, which are legal GLSL and legal C++ at once.
#ifdef __cplusplus
#pragma once
#include <cstdint>
namespace vks::shaders {
using uint = uint32_t;
}
#define VKS_PUSH namespace vks::shaders {
#define VKS_PUSH_END }
#else
#define VKS_PUSH
#define VKS_PUSH_END
#endif
