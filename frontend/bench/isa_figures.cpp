#include "frontend/bench/isa_figures.h"

#include <initializer_list>

namespace vks::bench {
namespace {

std::optional<uint64_t> first_of(const std::map<std::string, uint64_t>& all, std::initializer_list<const char*> names) {
    for (const char* name : names)
        if (const auto found = all.find(name); found != all.end()) return found->second;
    return std::nullopt;
}

}  // namespace

IsaFigures isa_figures(const std::map<std::string, uint64_t>& statistics) {
    IsaFigures figures;
    figures.registers =
        first_of(statistics, {"VGPRs", "Number of GPRs", "Registers used", "GPRs", "Max Live Registers"});
    figures.shared = first_of(statistics, {"LDS size", "Workgroup Memory Size"});
    figures.waves = first_of(statistics, {"Subgroups per SIMD", "Max warps/SM", "Max Waves Per Core"});
    figures.code = first_of(statistics, {"Code size", "Code Size", "Instruction Count"});
    for (const char* name : {"Spilled SGPRs", "Spilled VGPRs", "Scratch size", "Spills to mem", "Fills from mem",
                             "SLM Size", "Spill count", "Fill count", "Scratch Memory Size", "STP Count", "LDP Count",
                             "Spills to memory", "Fills from memory", "SLM size", "Spills", "Fills", "Scratch"})
        figures.spilled += first_of(statistics, {name}).value_or(0);
    return figures;
}

}  // namespace vks::bench
