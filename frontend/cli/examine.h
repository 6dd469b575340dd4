// What `vkseek doctor` looks at: plugins, devices, their limits against a model, and what they compute.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "backend/conformance/known_answers.h"
#include "backend/registry/findings.h"
#include "backend/registry/registry.h"
#include "frontend/io/checkpoint.h"

namespace vks {

// What of a model can be too large for a device.
struct ModelSize {
    std::string name;     // for messages
    std::string largest;  // the largest tensor
    uint64_t largest_bytes = 0, bytes = 0;
};

// `checkpoint` may be null: then by the configuration, as released.
Result<ModelSize> model_size(const std::string& name, const ModelConfig& config, const Checkpoint* checkpoint);

struct DeviceReport {
    std::string id, name;
    bool usable = false;
    std::vector<Finding> findings;
    std::map<std::string, conformance::Answers> operators;
};

struct MachineReport {
    std::vector<Finding> findings;  // that concern no single device
    std::vector<DeviceReport> devices;

    bool any_usable() const;
    std::string wrong() const;  // "rms_norm/1 on vulkan:0, ..."; empty: nothing
};

// `progress` is told how many devices have been looked at, of how many. Without a model nothing is held against them.
MachineReport examine(Registry& registry, const std::optional<ModelSize>& model,
                      const std::function<void(int64_t, int64_t)>& progress);

}  // namespace vks
