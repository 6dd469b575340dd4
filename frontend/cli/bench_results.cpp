// vkseek bench compare and bench report: results that -o json wrote, read back.
#include <memory>

#include "backend/base/bad_input.h"
#include "backend/base/output_file.h"
#include "frontend/bench/report.h"
#include "frontend/bench/results.h"
#include "frontend/cli/bench.h"
#include "frontend/cli/console.h"
#include "frontend/cli/values.h"

namespace vks {
namespace {

struct CompareArgs {
    std::string a, b;
    std::optional<double> fail_over;
    bench::Format format = bench::Format::kMarkdown;
};

Status run_compare(const CompareArgs& args) {
    VKS_ASSIGN(const auto a, bench::read_results(args.a));
    VKS_ASSIGN(const auto b, bench::read_results(args.b));
    const auto rows = bench::compare(a, b);
    if (!bench::any_in_both(rows))
        return bad_input("comparison ({}, {}): wanted a row that both have, found none", args.a, args.b);
    bench::TablePrinter printer(bench::compare_table(), args.format);
    std::string text = printer.begin();
    for (const auto& row : rows) text += printer.row(row);
    VKS_TRY(write_stdout(text + printer.end()));
    if (!args.fail_over) return {};
    const std::vector<std::string> slow = bench::slower(rows, *args.fail_over);
    if (slow.empty()) return {};
    return Error{
        Code::kMismatch,
        fmt::format("comparison (--fail-over): wanted nothing slower by more than {} %, found {} of {}, first {}",
                    *args.fail_over, slow.size(), rows.size(), quote(slow.front(), 200))};
}

struct ReportArgs {
    std::vector<std::string> results;
    std::filesystem::path out, before;
    std::optional<std::string> title;
};

Status run_report(const ReportArgs& args) {
    if (args.out.empty()) return usage_error("output", "-o", "a file to write", "none");
    VKS_ASSIGN(OutputFile file, OutputFile::open("report", args.out));
    std::vector<nlohmann::ordered_json> rows, before;
    for (const std::string& path : args.results) {
        VKS_ASSIGN(const auto more, bench::read_results(path));
        rows.insert(rows.end(), more.begin(), more.end());
    }
    if (!args.before.empty()) {
        VKS_ASSIGN(before, bench::read_results(args.before));
    }
    return file.write(bench::report_page(rows, before, args.title.value_or("vkseek benchmarks")));
}

}  // namespace

void add_bench_compare(CLI::App& bench, Action& action) {
    const auto args = std::make_shared<CompareArgs>();
    CLI::App& app = add_command<CompareArgs>(bench, action, "compare", "Two runs row by row: how much faster is B?",
                                             args, run_compare);
    add_argument(app, "A", "A.json", "Results of the first run, as -o json wrote them", args->a, true);
    add_argument(app, "B", "B.json", "Results of the second run", args->b, true);
    add_number(app, "--fail-over", "Percent: exit 5 when B is slower by more in any row", args->fail_over, 0, 100);
    add_format_option(app, args->format);
}

void add_bench_report(CLI::App& bench, Action& action) {
    const auto args = std::make_shared<ReportArgs>();
    CLI::App& app = add_command<ReportArgs>(bench, action, "report", "Results as one page of HTML", args, run_report);
    add_arguments(app, "RESULTS", "RESULTS.json ...", "Files that -o json wrote, of any subcommands, together",
                  args->results);
    add_path(app, "-o,--output", "Output: the HTML file to write", args->out);
    add_path(app, "--before", "Results of an earlier run to compare with", args->before);
    add_text(app, "--title", "TEXT", "Title of the page", args->title);
}

}  // namespace vks
