// Where operators run and when that changes: --backend, --op, --prefill, --swap, --reload and chat's commands of those
// names, and what is said about it afterwards.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "frontend/gen/swaps.h"

namespace CLI {
class App;
}

namespace vks {

// Names that --op may use, in alphabetical order.
std::vector<std::string> operator_names();

// --backend by itself.
void add_backend_option(CLI::App& app, Placement& placement, const std::string& help);
// --backend and --op.
void add_placement_options(CLI::App& app, Placement& placement);
// --prefill.
void add_prefill_option(CLI::App& app, Placement& placement);
// --swap and --reload.
void add_swap_options(CLI::App& app, std::vector<PlannedSwap>& swaps);

// What chat's "/backend", "/op" or "/reload" with this argument asks for. Error: one line for the user.
Result<Change> parse_change(const std::string& command, const std::string& argument);

// Those that took place, and those that did not with the reason.
nlohmann::ordered_json swaps_json(const std::vector<SwapEvent>& events);
nlohmann::ordered_json refused_swaps_json(const std::vector<SwapEvent>& events);
// "cpu to vulkan in 0.003 s (plans in 0.21 s), 12.3 kB of latent cache moved, 7 tokens computed again"
std::string swap_text(const SwapEvent& event);
// A line for each that took place.
std::string swaps_text(const std::vector<SwapEvent>& events);

}  // namespace vks
