// Configurations that are known by name, for planning and synthetic checkpoints without a model at hand.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/base/result.h"
#include "frontend/io/config.h"

namespace vks {

// "deepseek-v3" and its kin, "demo", "bench-s", "bench-m".
std::vector<std::string_view> shape_names();

// One of those, or the path of a config.json (a name that ends in .json or has a slash). FP8 unless the file says
// otherwise. Errors: of another name kUsage, with the shapes there are and the `option` that gave it; of a file
// kBadInput, with the file and field.
Result<ModelConfig> named_shape(std::string_view name_or_file, std::string_view option = "--shape");

// What `synth` and `plan` can change about a shape.
struct ShapeOverrides {
    std::optional<int64_t> layers = {};   // hidden layers
    std::optional<int64_t> dense = {};    // the first so many are dense; cut at `layers` if not given
    std::optional<int64_t> experts = {};  // routed experts a layer
    std::optional<int64_t> mtp = {};      // MTP modules; if not given, none once `layers` is given
};

// Fewer experts may not fill the shape's groups: groups are then halved until each has two experts, the groups kept
// stay in proportion, and a token gets at most the experts in them. Errors: out of range, more dense layers than
// layers.
Result<ModelConfig> override_shape(const ModelConfig& shape, const ShapeOverrides& overrides);

}  // namespace vks
