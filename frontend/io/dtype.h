// Element types of tensors in files: the ones operators compute with, and the ones a file may merely contain.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace vks {

// Values below 100 are the numbers of the plugin ABI (backend/abi/plugin.h); the rest exist in files only.
enum class DType : uint32_t {
    kNone = 0,
    kF32 = 1,
    kBF16 = 2,
    kF16 = 3,
    kF8E4M3 = 4,
    kI32 = 5,
    kI64 = 6,
    kU8 = 7,
    kBool = 100,
    kI8,
    kI16,
    kU16,
    kU32,
    kU64,
    kF64,
    kC64,
    kF8E5M2,
    kF8E8M0,
    kF6E2M3,
    kF6E3M2,
    kF4,
};

struct DTypeInfo {
    DType dtype;
    std::string_view name;  // as in safetensors headers
    uint32_t bits;          // per element
};

// All element types safetensors defines.
inline constexpr DTypeInfo kDTypes[] = {
    {DType::kF32, "F32", 32},       {DType::kBF16, "BF16", 16},     {DType::kF16, "F16", 16},
    {DType::kF8E4M3, "F8_E4M3", 8}, {DType::kI32, "I32", 32},       {DType::kI64, "I64", 64},
    {DType::kU8, "U8", 8},          {DType::kBool, "BOOL", 8},      {DType::kI8, "I8", 8},
    {DType::kI16, "I16", 16},       {DType::kU16, "U16", 16},       {DType::kU32, "U32", 32},
    {DType::kU64, "U64", 64},       {DType::kF64, "F64", 64},       {DType::kC64, "C64", 64},
    {DType::kF8E5M2, "F8_E5M2", 8}, {DType::kF8E8M0, "F8_E8M0", 8}, {DType::kF6E2M3, "F6_E2M3", 6},
    {DType::kF6E3M2, "F6_E3M2", 6}, {DType::kF4, "F4", 4},
};

// 0 for kNone.
constexpr uint32_t dtype_bits(DType dtype) {
    for (const DTypeInfo& info : kDTypes) {
        if (info.dtype == dtype) return info.bits;
    }
    return 0;
}

constexpr std::string_view dtype_name(DType dtype) {
    for (const DTypeInfo& info : kDTypes) {
        if (info.dtype == dtype) return info.name;
    }
    return "none";
}

// Nothing if safetensors has no such type.
constexpr std::optional<DType> dtype_from_name(std::string_view name) {
    for (const DTypeInfo& info : kDTypes) {
        if (info.name == name) return info.dtype;
    }
    return std::nullopt;
}

}  // namespace vks
