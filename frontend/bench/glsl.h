// GLSL to SPIR-V at run time, by libshaderc, opened when it is asked for, or by the program glslc; and what SPIRV-Tools
// say of it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "backend/base/result.h"

namespace vks::bench {

inline constexpr uint64_t kMaxShader = uint64_t{16} << 20;  // bytes of a file, GLSL or SPIR-V

struct GlslOptions {
    std::vector<std::filesystem::path> include_dirs;  // after the including file's own folder
    std::vector<std::string> macros;                  // defined as 1
};

struct Spirv {
    std::vector<uint32_t> words;
    std::set<std::filesystem::path> files;  // that it was made of
};

// Compiled as the build compiles its shaders, and validated. Errors: file, line and text of the first mistake; or what
// this machine or this build lacks.
Result<Spirv> compile_glsl(const std::filesystem::path& file, const GlslOptions& options);

// Of valid words.
Result<std::string> disassemble(const std::vector<uint32_t>& words);

}  // namespace vks::bench
