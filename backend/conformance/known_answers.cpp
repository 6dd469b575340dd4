#include "backend/conformance/known_answers.h"

#include <exception>

namespace vks::conformance {
namespace {

constexpr uint64_t kSeed = 1;

// A plugin's exception must not end the program.
Outcome run_guarded(Target& target, const Case& c) {
    Outcome outcome;
    try {
        return run(target, c);
    } catch (const std::exception& e) {
        outcome.problem = std::string("found an exception: ") + e.what();
    } catch (...) {
        outcome.problem = "found an unknown exception";
    }
    return outcome;
}

}  // namespace

KnownAnswers::KnownAnswers(const vks_plugin* reference) : cases_(make_cases(kSeed)) {
    if (reference) reference_ = std::make_unique<Target>(*reference, 0, "threads=1;variant=plain");
    if (reference_ && !reference_->ok()) reference_.reset();
}

const Outcome* KnownAnswers::wanted(size_t i) {
    if (!reference_) return nullptr;
    const auto [it, fresh] = wanted_.try_emplace(i);
    if (fresh) it->second = run_guarded(*reference_, cases_[i]);
    return &it->second;
}

DeviceAnswers KnownAnswers::ask(const vks_plugin& plugin, uint32_t index) {
    DeviceAnswers all;
    Target target(plugin, index, "");
    if (!target.ok()) {
        all.problem = "open: " + describe(target.status, target.error);
        return all;
    }
    for (size_t i = 0; i < cases_.size(); ++i) {
        const Case& c = cases_[i];
        const Outcome got = run_guarded(target, c);
        Answers& answers = all.by_op[c.op];
        if (!got.unsupported.empty()) {
            ++answers.unsupported;
            continue;
        }
        const std::string problem = judge(c, got, wanted(i));
        ++(problem.empty() ? answers.right : answers.wrong);
        if (!problem.empty() && answers.problem.empty()) answers.problem = c.name + ": " + problem;
        if (!got.problem.empty() && (target.status == VKS_DEVICE_LOST || target.status == VKS_TIMEOUT)) {
            all.problem = "after " + c.name + " the device answers no more";
            break;
        }
    }
    return all;
}

}  // namespace vks::conformance
