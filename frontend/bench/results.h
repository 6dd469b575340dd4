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

enum class Kind { kOps, kModel, kRoofline, kIsa };

// Of a row, by the fields it has.
std::optional<Kind> kind_of(const nlohmann::json& row);

// The rows of a file: an array, all of whose elements are results. Errors name the file.
Result<std::vector<nlohmann::ordered_json>> read_results(const std::filesystem::path& path);

// What a row measured, the same in every run, and how fast that was.
struct Figure {
    std::string what;  // "cpu fp8_gemm T 8 up_proj 18432 x 7168"
    double value = 0;
    std::string unit;           // "us", "t/s", "GB/s"
    bool less_is_more = false;  // a time
};
// Nothing for what was not measured: skipped, wrong, or only compiled (tests/isa/baseline.py compares those).
std::optional<Figure> figure_of(const nlohmann::json& row);

// A row for each figure of either run: {"what", "unit", "a", "b", "speed"}, where speed is b's over a's: above 1 is
// faster. Nulls where one of them lacks it.
std::vector<nlohmann::ordered_json> compare(const std::vector<nlohmann::ordered_json>& a,
                                            const std::vector<nlohmann::ordered_json>& b);
TableLayout compare_table();
// Those that got slower by more than `percent`, or that only the first run has.
std::vector<std::string> slower(const std::vector<nlohmann::ordered_json>& compared, double percent);

}  // namespace vks::bench
