// Results as one page of HTML that needs nothing else: a roofline plot per device, tables that sort, two runs compared.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace vks::bench {

// `before`: an earlier run to compare with; may be empty.
std::string report_page(const std::vector<nlohmann::ordered_json>& rows,
                        const std::vector<nlohmann::ordered_json>& before, const std::string& title);

// A device's operators and roofs: work against the work per byte, both logarithmic. Empty when there is no operator
// that computes.
std::string roofline_svg(const std::vector<nlohmann::ordered_json>& rows, const std::string& backend);

// Sections with a plot for each way in which models were measured to grow (growth.h), and the laws in words.
std::string growth_sections(const std::vector<nlohmann::ordered_json>& rows);

}  // namespace vks::bench
