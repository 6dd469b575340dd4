// What a driver's compiler reports of a pipeline, by names that don't depend on the driver.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace vks::bench {

struct IsaFigures {
    std::optional<uint64_t> registers, shared, waves, code;
    uint64_t spilled = 0;  // registers or bytes, whatever the driver counts; 0: nothing left the registers
};

// `statistics`: by the driver's names: RADV's, NVK's, Turnip's, Honeykrisp's, ANV's.
IsaFigures isa_figures(const std::map<std::string, uint64_t>& statistics);

}  // namespace vks::bench
