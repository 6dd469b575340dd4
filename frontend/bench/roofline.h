// What a device can do at best: bandwidths by size, multiplication rates, what a launch costs. Measured once per device
// and driver, kept in the user's cache; the share of it that an operator reaches is what counts.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "backend/abi/draft/probe.h"
#include "backend/conformance/target.h"
#include "frontend/bench/table.h"

namespace vks::bench {

// The least time that work can take, and what it is that can't be faster.
struct Bound {
    double seconds = 0;
    std::string limit;  // "memory", "f32", "bf16", "launch"
};

struct Rate {
    uint64_t bytes = 0;
    double bytes_per_s = 0;
};

struct Roofline {
    std::string device, driver;
    std::vector<Rate> read, copy;         // by size, ascending; copies count what they read and what they write
    std::map<std::string, double> rates;  // "f32", "bf16", "i8": operations a second, a multiply-add being two
    double submit_s = 0, launch_s = 0;    // of nothing; of the smallest operator, submitted and waited for
    double dispatch_s = 0;                // that operator by the device's clock; 0: it has none

    // Of the largest size: of memory, not of caches. 0: not known.
    double memory_bytes_per_s() const;
    // `device_clock`: of times that are the device's.
    Bound bound(double bytes, double flops, bool device_clock = false) const;
};

// Wants a device that nothing else uses. Errors: the device's.
Result<Roofline> measure_roofline(conformance::Target& target);

// What was kept for this device and driver; nothing if it wasn't, or can't be read.
std::optional<Roofline> kept_roofline(const std::string& device, const std::string& driver);
// Error: there is no place for it, or none that can be written; then nothing is.
Status keep_roofline(const Roofline& roofline);
// Below cache_dir(); empty where there is none.
std::filesystem::path roofline_path(const std::string& device, const std::string& driver);

// The kept one, or else one measured now and kept if that is possible.
Result<Roofline> roofline_of(conformance::Target& target);

nlohmann::ordered_json roofline_json(const Roofline& roofline);
std::optional<Roofline> roofline_from_json(const nlohmann::json& json);
// Rows of the table: {"device", "what", "bytes", "value", "unit"}.
std::vector<nlohmann::ordered_json> roofline_rows(const Roofline& roofline, const std::string& backend);
TableLayout roofline_table();

}  // namespace vks::bench
