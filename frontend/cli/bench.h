// The subcommands of `vkseek bench`, a file each, and what they share.
#pragma once
#include <string>
#include <vector>

#include "frontend/bench/table.h"
#include "frontend/cli/commands.h"

namespace vks {

void add_bench_model(CLI::App& bench, Action& action);
void add_bench_ops(CLI::App& bench, Action& action);
void add_bench_roofline(CLI::App& bench, Action& action);
void add_bench_shader(CLI::App& bench, Action& action);
void add_bench_isa(CLI::App& bench, Action& action);
void add_bench_tune(CLI::App& bench, Action& action);
void add_bench_compare(CLI::App& bench, Action& action);
void add_bench_report(CLI::App& bench, Action& action);

// -o.
void add_format_option(CLI::App& app, bench::Format& format);
// "512,1024": counts separated by commas, 0 to 2^31 - 1. The option may be given several times.
void add_counts(CLI::App& app, const std::string& names, const std::string& help, std::vector<int64_t>& target);

}  // namespace vks
