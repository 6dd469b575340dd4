// vkseek bench: benchmarks, from single operators to whole models.
#include "frontend/cli/bench.h"

#include <CLI/CLI.hpp>

#include "frontend/cli/console.h"
#include "frontend/cli/values.h"

namespace vks {

ResultStream::~ResultStream() {
    // Why the run failed is more worth saying than that this can't be written.
    if (begun_ && !ended_) static_cast<void>(end());
}

std::string ResultStream::begin() {
    return std::exchange(begun_, true) ? "" : begin_();
}

Status ResultStream::add(const std::string& result) {
    return write_stdout(begin() + result);
}

Status ResultStream::end() {
    ended_ = true;
    return write_stdout(begin() + end_());
}

void add_format_option(CLI::App& app, bench::Format& format) {
    add_value(app, "-o,--output", "md|csv|json|jsonl|sql", "Format of the results. Default md",
              [&format](const std::string& text) -> Status {
                  VKS_ASSIGN(format, bench::parse_format(text, "-o"));
                  return {};
              });
}

void add_counts(CLI::App& app, const std::string& names, const std::string& help, std::vector<int64_t>& target) {
    const std::string option = names.substr(0, names.find(','));
    // The first one given takes the place of the default.
    const auto given = std::make_shared<std::vector<int64_t>>();
    add_values(app, names, "N,...", help, [option, given, &target](const std::string& text) -> Status {
        VKS_ASSIGN(const std::vector<int32_t> numbers, parse_ids(text, option, "numbers"));
        given->insert(given->end(), numbers.begin(), numbers.end());
        target = *given;
        return {};
    });
}

void add_bench(CLI::App& program, Action& action) {
    CLI::App* bench = program.add_subcommand("bench", "Measure: models, and what they are made of");
    bench->require_subcommand(0, 1);  // one is wanted: main.cpp says so
    add_bench_model(*bench, action);
    add_bench_ops(*bench, action);
    add_bench_roofline(*bench, action);
    add_bench_shader(*bench, action);
    add_bench_isa(*bench, action);
    add_bench_tune(*bench, action);
    add_bench_compare(*bench, action);
    add_bench_report(*bench, action);
}

}  // namespace vks
