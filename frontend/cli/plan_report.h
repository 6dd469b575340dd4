// What `plan` prints, as text and as JSON.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "frontend/gen/estimate.h"
#include "frontend/model/inspect.h"

namespace vks {

// A bandwidth or rate that the estimate rests on, and where it is from: "given", "measured", "reported", "assumed".
struct Assumption {
    std::string name;  // "vulkan:0 memory", "disk"
    double gb_s = 0;
    std::string origin;
};

// What a gigabyte more of one memory would change.
struct Gain {
    std::string memory;
    double tok_s = 0;
};

struct PlanReport {
    const ModelConfig* config = nullptr;
    ModelStats stats;
    Workload work;
    Machine machine;
    Estimate estimate;
    std::vector<Assumption> assumptions;
    std::vector<Gain> gains;
};

nlohmann::ordered_json plan_json(const PlanReport& report);
std::string plan_text(const PlanReport& report);

}  // namespace vks
