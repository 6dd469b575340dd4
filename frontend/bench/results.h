// Results read back: files that -o json wrote, whichever subcommand it was, and two of them compared.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "backend/base/result.h"
#include "frontend/bench/table.h"

namespace vks::bench {

// kOps: rows of bench shader, too.
enum class Kind { kOps, kModel, kRoofline, kIsa, kTune };

// Of a row, by the fields it has.
std::optional<Kind> kind_of(const nlohmann::json& row);

// The rows of a file: an array, all of whose elements are results. Errors name the file.
Result<std::vector<nlohmann::ordered_json>> read_results(const std::filesystem::path& path);

// A row for each figure of either run: {"what", "unit", "a", "b", "speed"}, where speed is b's over a's: above 1 is
// faster. Nulls where one of them lacks it, or has not measured it. What is met by: what was measured and on which
// backend; of a model how it was run only where that varies within a run, so that two that differ in it can be
// compared. Figures of one name meet in their order.
std::vector<nlohmann::ordered_json> compare(const std::vector<nlohmann::ordered_json>& a,
                                            const std::vector<nlohmann::ordered_json>& b);
TableLayout compare_table();
// Whether anything was compared at all.
bool any_in_both(const std::vector<nlohmann::ordered_json>& compared);
// Those that got slower by more than `percent`, or that only the first run has.
std::vector<std::string> slower(const std::vector<nlohmann::ordered_json>& compared, double percent);

}  // namespace vks::bench
