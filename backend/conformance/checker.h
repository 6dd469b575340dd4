// Watches devices while a model runs: now and then one operator of a step is computed again on a device that is
// trusted, and compared. For faults that no status tells of.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "backend/conformance/value.h"
#include "backend/exec/probe.h"

namespace vks::conformance {

// What is done about a device that disagrees.
enum class CheckAction {
    kWarn,  // it is said, once per operator and device
    kSwap,  // the step fails and the device is marked kWrong: whoever runs the model leaves it
    kStop,  // the step fails with kMismatch
};

struct CheckOptions {
    int64_t every = 1;  // steps
    CheckAction action = CheckAction::kWarn;
};

struct Disagreement {
    std::string op, node, device, variant, driver;
    std::string problem;  // which output, which element, both values
    // One line with all of that.
    std::string text() const;
};

// Operators take turns, and so do an operator's nodes. Those that run on the trusted device's own plugin aren't looked
// at. Not thread-safe.
class Checker : public Probe {
public:
    // `trusted`: of the CPU plugin; must stay until another one is.
    Checker(Device& trusted, const CheckOptions& options) : options_(options) { trust(trusted); }
    // Between two steps: from now on this one, whose plugin may have been loaded anew. What was found stays.
    void trust(Device& trusted);

    size_t choose(const Plan& plan) override;
    Status before(const LaunchSite& site) override;
    Status after(const LaunchSite& site) override;

    int64_t checked() const { return checked_; }
    const std::vector<Disagreement>& disagreements() const { return disagreements_; }

private:
    // An argument on the host: what the launch gets or gave.
    struct Held {
        Value value;
        int64_t first = 0;  // of a state: which row the value begins with
    };
    Result<Held> read(const LaunchSite& site, size_t arg, bool written);
    Result<std::vector<Held>> recompute(const LaunchSite& site);
    std::string compare(const LaunchSite& site, const std::vector<Held>& wanted, size_t arg, const Held& got);
    Status report(const LaunchSite& site, std::string problem);

    Device* trusted_ = nullptr;
    CheckOptions options_;
    std::unique_ptr<WeightStore> weights_;
    std::unique_ptr<Lane> lane_;
    std::map<std::string, int64_t> turn_;  // by operator: when it was last looked at
    std::map<std::string, size_t> nodes_;  // by operator: how often
    std::vector<Held> held_;               // by argument: what the launch that is looked at got, then gave
    int64_t steps_ = 0, checked_ = 0;
    std::vector<Disagreement> disagreements_;
};

}  // namespace vks::conformance
