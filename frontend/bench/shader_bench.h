// A shader from source in the place of a built-in one, through the operators that use it: right by the reference, how
// fast beside the built-in, what the driver's compiler made of it.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backend/abi/draft/shader.h"
#include "frontend/bench/glsl.h"
#include "frontend/bench/op_bench.h"

namespace vks::bench {

// What a source says of itself in its "//! op" line: "gemm/1", "fp8_gemm/1". Error: it says nothing.
Result<std::vector<std::string>> operators_of(const std::filesystem::path& file);

using Numbers = std::map<std::string, uint32_t>;  // specialization constants, and WORKGROUP

// A program of an operator on the device, and what is known of it.
struct ShaderProgram {
    std::string shader, constants;
    std::vector<std::pair<std::string, uint64_t>> statistics;  // by the driver's names; none where it tells nothing
};

struct ShaderResult {
    OpResult builtin, given;
    std::vector<ShaderProgram> programs;  // of the shader in question
};

struct ShaderBenchOptions {
    std::filesystem::path file;
    std::string shader;  // the built-in it takes the place of, without variant
    std::vector<std::filesystem::path> include_dirs;
    OpBenchOptions ops;
};

// One device. Not thread-safe.
class ShaderBench {
public:
    // `api`: the plugin's.
    ShaderBench(const vks_plugin& plugin, uint32_t index, const vks_plugin& reference, const vks_shader_api& api,
                ShaderBenchOptions options);
    const std::string& problem() const { return bench_->problem(); }

    // Compiles the file as it is now and measures it with these numbers in the operator's place; the built-in, without
    // them, the first time only. Errors: the source's; numbers that nothing takes; that no operator uses it.
    Result<std::vector<ShaderResult>> run(const std::vector<OpFamily>& families, const Numbers& numbers);
    // That the last run was compiled from.
    const std::set<std::filesystem::path>& files() const { return files_; }
    // By variant: "gemm.subgroup".
    const std::map<std::string, Spirv>& compiled() const { return compiled_; }

private:
    Result<std::vector<std::pair<OpResult, std::vector<ShaderProgram>>>> measure(const std::vector<OpFamily>& families);
    Result<bool> before(conformance::Target& target, const OpCase& c);
    Status take_place(conformance::Target& target, const std::string& shader);
    Status tune(conformance::Target& target, bool on);
    ShaderProgram describe(conformance::Target& target, const vks_op& op, uint32_t nth, const vks_program& program);

    const vks_shader_api& api_;
    const ShaderBenchOptions options_;
    std::unique_ptr<OpBench> bench_;
    std::vector<std::pair<OpResult, std::vector<ShaderProgram>>> builtin_;
    std::map<std::string, Spirv> compiled_;
    std::set<std::filesystem::path> files_;
    bool given_ = false;  // else the built-in is measured
    bool tuned_ = false;
    Numbers numbers_, set_;                // wanted; what the device was told
    std::set<std::string> taken_;          // of the numbers
    std::set<std::string> in_place_;       // shaders replaced on the device
    std::vector<ShaderProgram> programs_;  // of the case at hand
};

}  // namespace vks::bench
