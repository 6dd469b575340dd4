#include "frontend/bench/tuner.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "backend/base/bad_input.h"
#include "frontend/bench/samples.h"

namespace vks::bench {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

// "gemm" of "gemm.subgroup" and of "gemm.few4.ROWS"
std::string base(const std::string& name) {
    return name.substr(0, name.find('.'));
}

bool same(const std::vector<vks_program>& a, const std::vector<vks_program>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const vks_program& x, const vks_program& y) {
        return std::strcmp(x.shader, y.shader) == 0 && std::strcmp(x.constants, y.constants) == 0;
    });
}

}  // namespace

uint64_t choose(const std::map<uint64_t, double>& seconds) {
    const auto best = std::min_element(seconds.begin(), seconds.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    const auto usual = seconds.find(0);
    if (best == seconds.end() || usual == seconds.end()) return 0;
    return best->second < usual->second * (1 - kLeastGain) ? best->first : 0;
}

Tuner::Tuner(const vks_plugin& plugin, uint32_t index, const vks_plugin& reference, const vks_shader_api& shaders,
             const vks_tuning_api& tuning, const OpBenchOptions& options)
    : tuning_(tuning),
      bench_(std::make_unique<OpBench>(plugin, index, reference, hooked(options))),
      shaders_(bench_->target(), shaders) {}

OpBenchOptions Tuner::hooked(OpBenchOptions options) {
    options.device_options += ";numbers=0";  // what earlier runs chose is no usual choice
    options.before = [this](conformance::Target&, const OpCase& c) { return before(c); };
    return options;
}

// Whether any of the values makes other programs of the case. Leaves the one that is being tried.
Result<bool> Tuner::changes(const OpCase& c) {
    VKS_TRY(shaders_.tune(tried_.name, 0));
    const std::vector<vks_program> usual = shaders_.programs(c.arguments);
    bool different = false;
    for (uint64_t i = 0; i < tried_.count && !different; ++i) {
        VKS_TRY(shaders_.tune(tried_.name, tried_.values[i]));
        different = !same(usual, shaders_.programs(c.arguments));
    }
    VKS_TRY(shaders_.tune(tried_.name, value_));
    return different;
}

Result<bool> Tuner::before(const OpCase& c) {
    if (tried_.count > 0) return changes(c);
    for (const vks_program& program : shaders_.programs(c.arguments)) uses_[family_].insert(base(program.shader));
    return false;
}

Status Tuner::find_users(const std::vector<OpFamily>& families) {
    tried_ = {};
    for (const OpFamily& family : families) {
        family_ = &family;
        VKS_TRY(bench_->run(family, [](const OpResult&) { return Status{}; }));
    }
    return {};
}

Result<std::vector<vks_tunable>> Tuner::tunables() {
    std::vector<vks_tunable> all;
    if (uses_.empty()) return Error{Code::kNoBackend, "operators: wanted some to tune, found none"};
    for (;;) {
        vks_tunable one{};
        one.size = sizeof one;
        vks_error error{};
        if (abi::guard(&error, [&] {
                return tuning_.tunable(bench_->target().device, uint32_t(all.size()), &one, &error);
            }) != VKS_OK)
            return all;
        one.name[sizeof one.name - 1] = 0;
        one.count = std::min<uint64_t>(one.count, std::size(one.values));
        all.push_back(one);
    }
}

Result<double> Tuner::measure(uint64_t value, const std::vector<OpFamily>& families, size_t& cases) {
    value_ = value;
    double seconds = 0;
    cases = 0;
    for (const OpFamily& family : families) {
        if (!uses_[&family].contains(base(tried_.name))) continue;
        VKS_TRY(bench_->run(family, [&](const OpResult& result) -> Status {
            if (!result.skipped.empty()) return {};
            ++cases;
            seconds +=
                result.seconds.empty() ? kNever : best(result.seconds);  // of repetitions that nobody interrupted
            return {};
        }));
    }
    return seconds;
}

Result<TunedNumber> Tuner::tune(const vks_tunable& tunable, const std::vector<OpFamily>& families) {
    tried_ = tunable;
    TunedNumber number{.name = tunable.name};
    std::map<uint64_t, double> seconds;
    VKS_ASSIGN(number.usual_seconds, measure(0, families, number.cases));
    seconds[0] = number.usual_seconds;
    for (uint64_t i = 0; i < tunable.count && number.cases > 0; ++i) {
        size_t cases = 0;
        VKS_ASSIGN(seconds[tunable.values[i]], measure(tunable.values[i], families, cases));
    }
    number.chosen = choose(seconds);
    number.seconds = seconds[number.chosen];
    VKS_TRY(shaders_.tune(tunable.name, number.chosen));
    return number;
}

// Numbers are tried on top of those chosen before them, so that what is kept was measured together.
Status Tuner::run(const std::vector<OpFamily>& families, const std::function<Status(const TunedNumber&)>& done) {
    VKS_TRY(find_users(families));
    VKS_ASSIGN(const std::vector<vks_tunable> all, tunables());
    for (const vks_tunable& tunable : all) {
        VKS_ASSIGN(const TunedNumber number, tune(tunable, families));
        if (number.chosen != 0) chosen_[number.name] = number.chosen;
        if (number.cases > 0) VKS_TRY(done(number));
    }
    return {};
}

Status Tuner::keep() {
    std::vector<vks_number> numbers;
    for (const auto& [name, value] : chosen_) {
        vks_number& number = numbers.emplace_back();
        std::strncpy(number.name, name.c_str(), sizeof number.name - 1);
        number.value = value;
    }
    vks_error error{};
    const vks_status status = abi::guard(
        &error, [&] { return tuning_.keep(bench_->target().device, numbers.data(), numbers.size(), &error); });
    if (status == VKS_OK) return {};
    return Error{Code::kNoBackend,
                 fmt::format("numbers ({}): {}", bench_->target().info.name, conformance::describe(status, error))};
}

}  // namespace vks::bench
