// What compilers make of every pipeline of DeepSeek-V3's operators, on devices that are there; and on GPUs that aren't,
// whose kernel devices mesa-drm-shim fakes: in a process of their own, as a library fakes them for a whole process.
#pragma once
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "backend/abi/draft/shader.h"
#include "backend/base/result.h"
#include "frontend/bench/table.h"

namespace vks::bench {

// A row for each pipeline, once. Error: the device's; it reports no statistics.
Status compile_all(const vks_plugin& plugin, uint32_t index, const std::string& backend, const vks_shader_api& api,
                   const std::function<Status(const nlohmann::ordered_json&)>& done);
TableLayout isa_table();

// The environment in which this target is the only device: "navi31", "gfx1201" (AMD), "nvidia-172", "adreno-740",
// "apple". Error: what would fake it isn't installed.
Result<std::vector<std::string>> faked(const std::string& target);

// This program with these arguments in that environment and no other: what it writes to stdout. Error: it failed, and
// said why on stderr.
Result<std::string> run_myself(const std::vector<std::string>& arguments, const std::vector<std::string>& environment);

}  // namespace vks::bench
