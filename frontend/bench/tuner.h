// Chooses the numbers of a device's operators by measurement: each by itself, then all that won together.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "backend/abi/draft/tuning.h"
#include "frontend/bench/op_bench.h"
#include "frontend/bench/shaders.h"

namespace vks::bench {

struct TunedNumber {
    std::string name;                       // "gemm.few4.ROWS"
    uint64_t chosen = 0;                    // 0: the plugin's own choice
    double usual_seconds = 0, seconds = 0;  // of all cases that it changes; of the best value
    size_t cases = 0;
};

// A value has to be better by so much, or the plugin's own choice stays: less is noise.
constexpr double kLeastGain = 0.03;

// The best of `seconds` by value; 0, whose time is the usual one, unless another is faster by kLeastGain.
uint64_t choose(const std::map<uint64_t, double>& seconds);

// One device. Not thread-safe.
class Tuner {
public:
    Tuner(const vks_plugin& plugin, uint32_t index, const vks_plugin& reference, const vks_shader_api& shaders,
          const vks_tuning_api& tuning, const OpBenchOptions& options);
    const std::string& problem() const { return bench_->problem(); }

    // `done` gets each number as it is chosen. A value with a wrong result is never chosen.
    Status run(const std::vector<OpFamily>& families, const std::function<Status(const TunedNumber&)>& done);
    // What was chosen counts from the next start on.
    Status keep();

private:
    OpBenchOptions hooked(OpBenchOptions options);
    Result<bool> before(const OpCase& c);
    Status find_users(const std::vector<OpFamily>& families);
    Result<std::vector<vks_tunable>> tunables();
    Result<TunedNumber> tune(const vks_tunable& tunable, const std::vector<OpFamily>& families);
    // Of all cases whose programs the number changes; infinite if one is wrong.
    Result<double> measure(uint64_t value, const std::vector<OpFamily>& families, size_t& cases);
    Result<bool> changes(const OpCase& c);

    const vks_tuning_api& tuning_;
    std::unique_ptr<OpBench> bench_;
    Shaders shaders_;
    std::map<const OpFamily*, std::set<std::string>> uses_;  // shaders without variant
    const OpFamily* family_ = nullptr;                       // at hand
    vks_tunable tried_{};                                    // its count 0: who uses what is being found
    uint64_t value_ = 0;                                     // of what is tried
    std::map<std::string, uint64_t> chosen_;
};

}  // namespace vks::bench
