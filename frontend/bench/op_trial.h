// A case of an operator on a device, ready to be launched again and again: arguments placed as the core places them,
// constants shared by the cases of a family.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend/conformance/cases.h"
#include "backend/conformance/target.h"
#include "backend/registry/stream_clock.h"

namespace vks::bench {

// A family's constants on one device, by argument and layout. Target and case must outlive it, and the case's constants
// stay where they are.
class PlacedConstants {
public:
    PlacedConstants(conformance::Target& target, const conformance::Case& family) : target_(target), family_(family) {}
    ~PlacedConstants();
    PlacedConstants(const PlacedConstants&) = delete;
    PlacedConstants& operator=(const PlacedConstants&) = delete;

    // Imported where the plugin takes host memory, copied or packed where not. Null: see the target's error.
    vks_buffer* get(size_t argument, const vks_tensor& tensor);

private:
    vks_buffer* place(const vks_tensor& tensor, const conformance::Value& value);
    conformance::Target& target_;
    const conformance::Case& family_;
    std::map<std::pair<size_t, uint32_t>, vks_buffer*> placed_;
};

// Not thread-safe. The arguments must outlive it; its constants are the family's, whatever `arguments` has in their
// place.
class OpTrial {
public:
    OpTrial(conformance::Target& target, PlacedConstants& constants, const conformance::Case& arguments)
        : t_(target), constants_(constants), case_(arguments) {}
    ~OpTrial();
    OpTrial(const OpTrial&) = delete;
    OpTrial& operator=(const OpTrial&) = delete;

    // Asks, places and prepares. False: unsupported() or problem() says why.
    bool prepare();
    // Launches and waits. Seconds by the host's clock; nothing when it failed.
    std::optional<double> launch();
    // The same by a clock of the target's own stream.
    std::optional<double> launch(const StreamClock& clock);
    // In-out and output arguments, in order, as the last launch left them.
    std::optional<std::vector<conformance::Value>> outputs();

    const std::string& unsupported() const { return unsupported_; }
    const std::string& problem() const { return problem_; }
    const std::string& variant() const { return variant_; }

private:
    bool query();
    bool place();
    bool fail(const std::string& what);

    conformance::Target& t_;
    PlacedConstants& constants_;
    const conformance::Case& case_;
    std::vector<vks_tensor> tensors_, given_;
    std::vector<uint32_t> layouts_;
    std::vector<vks_buffer*> buffers_;  // by argument; constants' are not ours
    vks_tensor scratch_{};
    uint64_t scratch_bytes_ = 0;
    vks_kernel* kernel_ = nullptr;
    std::string unsupported_, problem_, variant_;
};

}  // namespace vks::bench
