// Every operator of a device on every case, against a reference device that is trusted.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/conformance/trial.h"

namespace vks::conformance {

struct Answers {
    int right = 0, wrong = 0, unsupported = 0;  // cases
    std::string problem;                        // of the first wrong one, its name in front
};

struct DeviceAnswers {
    std::string problem;                   // why not every case was tried
    std::map<std::string, Answers> by_op;  // "rms_norm/1"
};

// Not thread-safe.
class KnownAnswers {
public:
    // `reference`: the CPU plugin, whose plain version is the meaning; null: numbers need only be numbers. It must
    // stay.
    explicit KnownAnswers(const vks_plugin* reference);

    // Opens a device of its own. Gives up on one that is lost or doesn't answer.
    DeviceAnswers ask(const vks_plugin& plugin, uint32_t index);
    bool has_reference() const { return reference_ != nullptr; }

private:
    const Outcome* wanted(size_t i);

    std::vector<Case> cases_;
    std::unique_ptr<Target> reference_;
    std::map<size_t, Outcome> wanted_;  // by case; as they are needed
};

}  // namespace vks::conformance
