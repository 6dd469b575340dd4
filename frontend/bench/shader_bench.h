// A shader from source in the place of a built-in one, through the operators that use it: right by the reference, how
// fast beside the built-in, what the driver's compiler made of it.
#pragma once
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "frontend/bench/glsl.h"
#include "frontend/bench/op_bench.h"
#include "frontend/bench/shaders.h"

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

// One device. Not thread-safe. What doesn't change with the shader stays from one run to the next as far as memory
// allows: constants, results of the reference, the built-in's programs.
class ShaderBench {
public:
    // `api`: the plugin's. `families` must outlive it.
    ShaderBench(const vks_plugin& plugin, uint32_t index, const vks_plugin& reference, const vks_shader_api& api,
                ShaderBenchOptions options, const std::vector<OpFamily>& families);
    const std::string& problem() const { return bench_->problem(); }

    // Compiles the file as it is now and measures it with these numbers in the operators' place, in turn with the
    // built-in without them. Errors: the source's; that no operator uses it.
    Result<std::vector<ShaderResult>> run(const Numbers& numbers);
    // Of the last run's numbers the first that no program took: the results are of others then.
    std::optional<std::string> left_aside() const;
    // That the last run was compiled from.
    const std::set<std::filesystem::path>& files() const { return files_; }
    // By variant: "gemm.subgroup".
    const std::map<std::string, Spirv>& compiled() const { return compiled_; }

private:
    // A case that runs the shader, with the built-in's kernel.
    struct Case {
        OpCase c;
        std::optional<Expected> expected;
        std::unique_ptr<OpRun> builtin;
    };
    // A family on the device.
    struct Placed {
        Placed(OpBench& bench, OpCase made)
            : whole(std::move(made)),
              here(bench.target(), whole.arguments),
              there(bench.reference(), whole.arguments) {}
        OpCase whole;
        PlacedConstants here, there;
        std::vector<std::unique_ptr<Case>> cases;
    };
    Result<Placed*> place(const OpFamily& family);
    Result<ShaderResult> measure(Placed& placed, Case& one);
    void begin(const Numbers& numbers);
    Status restore();
    Status take_place(const std::string& shader);
    Status tune(const Numbers& numbers);

    const ShaderBenchOptions options_;
    const std::vector<OpFamily>& families_;
    std::unique_ptr<OpBench> bench_;
    Shaders shaders_;
    std::map<const OpFamily*, std::unique_ptr<Placed>> placed_;
    double placed_bytes_ = 0;                                  // of constants that stay
    std::map<std::string, std::future<Result<Spirv>>> ahead_;  // compiled while the device is busy
    std::map<std::string, Spirv> compiled_;
    std::set<std::string> variants_;  // that were ever needed
    std::set<std::filesystem::path> files_;
    Numbers numbers_, set_;           // wanted; what the device was told
    std::set<std::string> taken_;     // of the numbers
    std::set<std::string> in_place_;  // shaders replaced on the device
};

}  // namespace vks::bench
