// The subcommands of `vkseek bench`, a file each, and what they share.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "frontend/bench/table.h"
#include "frontend/cli/commands.h"

namespace vks {

// Results on standard output as they come: they begin with the first one, so that a run that failed before it measured
// anything leaves nothing there, and are closed however the run ends.
class ResultStream {
public:
    // What stands before the first result and after the last; called at most once each.
    using Text = std::function<std::string()>;
    ResultStream(Text begin, Text end) : begin_(std::move(begin)), end_(std::move(end)) {}
    ~ResultStream();
    ResultStream(const ResultStream&) = delete;
    ResultStream& operator=(const ResultStream&) = delete;

    Status add(const std::string& result);
    // All results are there, or there are none.
    Status end();

private:
    std::string begin();
    const Text begin_, end_;
    bool begun_ = false, ended_ = false;
};

// A table in this way, row by row.
class TableWriter {
public:
    TableWriter(bench::TableLayout layout, bench::Format format) : printer_(std::move(layout), format) {}
    Status row(const nlohmann::ordered_json& row) { return stream_.add(printer_.row(row)); }
    Status end() { return stream_.end(); }

private:
    bench::TablePrinter printer_;
    ResultStream stream_{[this] { return printer_.begin(); }, [this] { return printer_.end(); }};
};

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
