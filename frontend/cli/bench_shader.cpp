// vkseek bench shader: one shader from source, checked, timed beside the built-in, and what compilers made of it.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <thread>

#include "backend/base/bad_input.h"
#include "backend/base/log.h"
#include "backend/registry/loader.h"
#include "frontend/bench/samples.h"
#include "frontend/bench/shader_bench.h"
#include "frontend/cli/bench.h"
#include "frontend/cli/bench_devices.h"
#include "frontend/cli/console.h"
#include "frontend/cli/options.h"
#include "frontend/cli/placement.h"
#include "frontend/cli/values.h"
#include "frontend/model/shapes.h"

namespace vks {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
constexpr double kWatched = 0.05;  // seconds of a case's repetitions under --watch
using Sweep = std::vector<std::pair<std::string, std::vector<uint32_t>>>;

struct BenchShaderArgs {
    CommonOptions common;
    std::string file;
    std::optional<std::string> as, shapes;
    std::vector<fs::path> include_dirs;
    bench::Numbers numbers;
    Sweep sweep;
    std::vector<int64_t> rows = {1, 64};
    std::optional<int64_t> repetitions;
    bool watch = false, disassemble = false, cold = false;
    bench::Format format = bench::Format::kMarkdown;
};

Status append_number(const std::string& text, std::string_view option, Sweep& sweep) {
    VKS_ASSIGN(const auto pair, parse_assignment(text, "number", option, "NAME=VALUE"));
    VKS_ASSIGN(const std::vector<int32_t> values, parse_ids(pair.second, option));
    if (std::any_of(values.begin(), values.end(), [](int32_t v) { return v <= 0; }))
        return usage_error("number", option, "numbers above 0", quote(text, 80));
    sweep.emplace_back(pair.first, std::vector<uint32_t>(values.begin(), values.end()));
    return {};
}

// The built-in it takes the place of.
std::string shader_of(const BenchShaderArgs& args) {
    return args.as.value_or(fs::path(args.file).stem().string());
}

// Every combination, the first name's values changing slowest.
std::vector<bench::Numbers> combinations(const BenchShaderArgs& args) {
    std::vector<bench::Numbers> all = {args.numbers};
    for (const auto& [name, values] : args.sweep) {
        std::vector<bench::Numbers> more;
        for (const bench::Numbers& numbers : all)
            for (const uint32_t value : values) {
                more.push_back(numbers);
                more.back()[name] = value;
            }
        all = std::move(more);
    }
    return all;
}

std::string text_of(const bench::Numbers& numbers) {
    std::string text;
    for (const auto& [name, value] : numbers) text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, value);
    return text;
}

// Where shaders that come with the program are.
fs::path shipped_shaders() {
    std::error_code error;
    return fs::read_symlink("/proc/self/exe", error).parent_path().parent_path() / "share/vkseek/shaders";
}

std::vector<fs::path> include_dirs(const BenchShaderArgs& args) {
    std::vector<fs::path> dirs = args.include_dirs;
    dirs.push_back(shipped_shaders());
    return dirs;
}

Json row_of(const bench::ShaderResult& result, const std::string& backend, const std::string& device,
            const bench::Numbers& numbers) {
    Json row = op_row(result.given, backend, device, nullptr);
    row.erase("roofline_share");
    row.erase("limit");
    const auto& before = result.builtin.seconds;
    const bool both = !before.empty() && !result.given.seconds.empty();
    row["numbers"] = text_of(numbers);
    row["builtin_us"] = before.empty() ? Json() : Json(bench::best(before) * 1e6);
    row["ratio"] = both ? Json(bench::best(result.given.seconds) / bench::best(before)) : Json();
    row["programs"] = Json::array();
    for (const bench::ShaderProgram& program : result.programs) {
        Json statistics = Json::object();
        for (const auto& [name, value] : program.statistics) statistics[name] = value;
        row["programs"].push_back(
            {{"shader", program.shader}, {"constants", program.constants}, {"statistics", statistics}});
    }
    return row;
}

bench::TableLayout shader_table() {
    bench::TableLayout table = bench::op_table();
    table.sql_name = "vkseek_shader";
    std::erase_if(table.columns,
                  [](const bench::Column& c) { return c.name == "roofline_share" || c.name == "limit"; });
    std::erase_if(table.headings, [](const bench::Heading& h) { return h.title == "share" || h.title == "limit"; });
    table.columns.insert(
        table.columns.end(),
        {{"numbers", bench::Type::kText}, {"builtin_us", bench::Type::kReal}, {"ratio", bench::Type::kReal}});
    const auto number = [](const char* name, const char* format) {
        return [=](const Json& row) {
            return row[name].is_null() ? std::string("-") : fmt::format(fmt::runtime(format), row[name].get<double>());
        };
    };
    table.headings.push_back({"built-in us", 11, number("builtin_us", "{:.1f}")});
    table.headings.push_back({"ratio", 6, number("ratio", "{:.2f}")});
    table.headings.push_back({"numbers", -12, [](const Json& row) { return row["numbers"].get<std::string>(); }});
    return table;
}

// A line per program, on stderr: "gemm.subgroup 32 X=2 ...: VGPRs 48, ...".
void show_statistics(const std::vector<bench::ShaderResult>& results) {
    std::vector<std::string> lines;
    for (const bench::ShaderResult& result : results)
        for (const bench::ShaderProgram& program : result.programs) {
            std::string line = fmt::format("{} {}:", program.shader, program.constants);
            for (const auto& [name, value] : program.statistics)
                if (value != 0) line += fmt::format(" {} {},", name, value);
            if (program.statistics.empty()) line += " the driver reports no statistics of pipelines,";
            line.back() = '\n';
            if (std::find(lines.begin(), lines.end(), line) == lines.end()) lines.push_back(line);
        }
    for (const std::string& line : lines) write_stderr(line);
}

// One device with its shader and cases.
class Session {
public:
    Session(const BenchShaderArgs& args, const BenchDevice& device, const vks_shader_api& api,
            const vks_plugin& reference, std::vector<bench::OpFamily> families)
        : args_(args),
          id_(device.id),
          families_(std::move(families)),
          bench_(*device.plugin, device.index, reference, api, options(args), families_) {
        vks_info info{};
        info.size = sizeof info;
        vks_error error{};
        if (device.plugin->enumerate(device.index, &info, &error) == VKS_OK)
            name_ = plugin_text(info.name, sizeof info.name);
    }

    const std::string& problem() const { return bench_.problem(); }
    const std::set<fs::path>& files() const { return bench_.files(); }

    // Every combination; of several, the fastest first. Error: kMismatch when a result is wrong, its row is there then.
    Status run(TableWriter& table) {
        struct Tried {
            double seconds = 0;
            std::vector<Json> rows;
        };
        std::vector<Tried> tried;
        std::vector<bench::ShaderResult> last;
        left_aside_.clear();
        const auto all = combinations(args_);
        for (const bench::Numbers& numbers : all) {
            VKS_ASSIGN(auto results, bench_.run(numbers));
            if (const auto name = bench_.left_aside()) {
                left_aside_.push_back(
                    fmt::format("number ({} {}={}): wanted one that {} takes on {}, found it left aside",
                                option_of(*name), *name, numbers.at(*name), shader_of(args_), id_));
                continue;
            }
            last = std::move(results);
            Tried one;
            for (const bench::ShaderResult& result : last) {
                one.seconds += result.given.seconds.empty() ? 1e9 : bench::best(result.given.seconds);
                one.rows.push_back(row_of(result, id_, name_, numbers));
            }
            if (args_.disassemble) VKS_TRY(add_disassembly(one.rows));
            tried.push_back(std::move(one));
        }
        if (tried.empty()) return Error{Code::kUsage, left_aside_.front()};
        std::stable_sort(tried.begin(), tried.end(),
                         [](const Tried& a, const Tried& b) { return a.seconds < b.seconds; });
        for (const Tried& one : tried)
            for (const Json& row : one.rows) VKS_TRY(table.row(row));
        if (all.size() == 1) show_statistics(last);
        return verdict(tried.back().rows);
    }

    // A line for each combination of the last run that the device doesn't take.
    const std::vector<std::string>& left_aside() const { return left_aside_; }

    // By variant, of the last run.
    Status disassemble(std::map<std::string, std::string>& texts) const {
        for (const auto& [shader, spirv] : bench_.compiled()) {
            if (texts.contains(shader)) continue;
            VKS_ASSIGN(texts[shader], bench::disassemble(spirv.words));
        }
        return {};
    }

private:
    // In the rows' programs, as json and jsonl have it.
    Status add_disassembly(std::vector<Json>& rows) const {
        std::map<std::string, std::string> texts;
        VKS_TRY(disassemble(texts));
        for (Json& row : rows)
            for (Json& program : row["programs"])
                if (const auto it = texts.find(program["shader"]); it != texts.end())
                    program["disassembly"] = it->second;
        return {};
    }

    static bench::ShaderBenchOptions options(const BenchShaderArgs& args) {
        bench::ShaderBenchOptions options;
        options.file = args.file;
        options.shader = shader_of(args);
        options.include_dirs = include_dirs(args);
        options.ops.rows = args.rows;
        options.ops.cold = args.cold;
        options.ops.repetitions = args.repetitions.value_or(options.ops.repetitions);
        // Whoever watches waits for the verdict: large cases are timed a little, small ones as often as ever.
        if (args.watch) options.ops.most_seconds = kWatched;
        return options;
    }

    // The slowest combination's rows: wrong ones count as the slowest.
    Status verdict(const std::vector<Json>& rows) const {
        for (const Json& row : rows) {
            if (row["verified"] == true) continue;
            std::string text = row.value("problem", "");
            if (row.contains("wrong"))
                text = fmt::format("argument {} element {}: wanted {}, found {}", row["wrong"]["argument"].dump(),
                                   row["wrong"]["index"].dump(), row["wrong"]["wanted"].dump(),
                                   row["wrong"]["found"].dump());
            const auto numbers = row["numbers"].get<std::string>();
            return Error{Code::kMismatch,
                         fmt::format("shader ({}): wanted right results, found {} {} on {}{}: {}", args_.file,
                                     row["op"].get<std::string>(), row["shape"].get<std::string>(), id_,
                                     numbers.empty() ? "" : " with " + numbers, text)};
        }
        return {};
    }

    const char* option_of(const std::string& number) const {
        const bool swept =
            std::any_of(args_.sweep.begin(), args_.sweep.end(), [&](const auto& one) { return one.first == number; });
        return swept ? "--sweep" : "--spec";
    }

    const BenchShaderArgs& args_;
    std::string id_, name_;
    std::vector<std::string> left_aside_;
    std::vector<bench::OpFamily> families_;
    bench::ShaderBench bench_;
};

// Every device's rows in one table. Error: the first; where results are wrong, after all of them.
Status run_once(const BenchShaderArgs& args, const std::vector<std::unique_ptr<Session>>& sessions) {
    TableWriter table(shader_table(), args.format);
    Status verdict;
    for (const auto& session : sessions) {
        Status status = session->run(table);
        if (!status && status.error().code != Code::kMismatch) return status;
        if (verdict) verdict = status;
    }
    VKS_TRY(table.end());
    for (const auto& session : sessions)
        for (const std::string& text : session->left_aside())
            if (verdict) log_line(LogLevel::kWarning, text);
    if (args.disassemble && args.format == bench::Format::kMarkdown) {
        std::map<std::string, std::string> texts;
        for (const auto& session : sessions) VKS_TRY(session->disassemble(texts));
        for (const auto& [shader, text] : texts) VKS_TRY(write_stdout(fmt::format("; {}\n{}", shader, text)));
    }
    return verdict;
}

using Times = std::map<fs::path, fs::file_time_type>;

Times times_of(const std::set<fs::path>& files) {
    Times times;
    std::error_code error;
    for (const fs::path& file : files) times[file] = fs::last_write_time(file, error);
    return times;
}

// Again whenever one of the shader's files was saved, until Ctrl-C.
Status watch(const BenchShaderArgs& args, std::vector<std::unique_ptr<Session>>& sessions) {
    constexpr auto kPause = std::chrono::milliseconds(50);
    const InterruptFlag interrupted;
    // All that any run has had: one that failed may not have come to every include.
    std::set<fs::path> files = {args.file};
    while (!interrupted.is_set()) {
        const Times before = times_of(files);
        Times seen;
        if (Status status = run_once(args, sessions); !status) write_stderr("vkseek: " + status.error().text + "\n");
        for (const auto& session : sessions) files.insert(session->files().begin(), session->files().end());
        seen = times_of(files);
        for (const auto& [file, time] : before) seen[file] = time;  // saved meanwhile: once more
        write_stderr(fmt::format("watching {} files\n", files.size()));
        while (!interrupted.is_set() && times_of(files) == seen) std::this_thread::sleep_for(kPause);
    }
    return {};
}

Result<std::vector<bench::OpFamily>> families_of(const BenchShaderArgs& args) {
    VKS_ASSIGN(const std::vector<std::string> operators, bench::operators_of(args.file));
    VKS_ASSIGN(const ModelConfig config, named_shape(args.shapes.value_or("demo"), "--shapes"));
    bench::OpCaseOptions options;
    options.half = args.common.half;
    options.contexts = {1024};
    std::vector<bench::OpFamily> families = op_families(config, options);
    std::erase_if(families, [&](const bench::OpFamily& family) {
        return std::find(operators.begin(), operators.end(), family.op) == operators.end();
    });
    if (families.empty())
        return bad_input("shader ({}): wanted operators of the model in its line \"//! op\", found {}", args.file,
                         fmt::join(operators, " "));
    return families;
}

Status measure_devices(const BenchShaderArgs& args, const std::vector<bench::OpFamily>& families, Registry& registry) {
    VKS_ASSIGN(const vks_plugin* reference, reference_plugin(registry));
    VKS_ASSIGN(const std::vector<BenchDevice> devices, bench_devices(registry, args.common.placement.backends));
    std::vector<std::unique_ptr<Session>> sessions;
    for (const BenchDevice& device : devices) {
        const auto* api =
            static_cast<const vks_shader_api*>(find_extension(*device.plugin, VKS_SHADER_ID, sizeof(vks_shader_api)));
        if (!api) continue;
        sessions.push_back(std::make_unique<Session>(args, device, *api, *reference, families));
        if (!sessions.back()->problem().empty())
            return Error{Code::kNoBackend, fmt::format("device ({}): {}", device.id, sessions.back()->problem())};
    }
    if (sessions.empty())
        return Error{Code::kNoBackend, "device (--backend): wanted one whose plugin takes shaders, found none"};
    if (args.watch) return watch(args, sessions);
    return run_once(args, sessions);
}

Status run_bench_shader(const BenchShaderArgs& args) {
    if (std::any_of(args.rows.begin(), args.rows.end(), [](int64_t n) { return n <= 0; }))
        return usage_error("rows", "--rows", "numbers above 0", "0");
    if (args.disassemble && (args.format == bench::Format::kCsv || args.format == bench::Format::kSql))
        return usage_error("format", "-o", "md, json or jsonl with --disassemble", "another");
    VKS_ASSIGN(const std::vector<bench::OpFamily> families, families_of(args));
    // Before anything is measured: mistakes are the most frequent result.
    VKS_TRY(bench::compile_glsl(args.file, {include_dirs(args), {}}));
    return with_registry(args.common, [&](Registry& registry) { return measure_devices(args, families, registry); });
}

}  // namespace

void add_bench_shader(CLI::App& bench, Action& action) {
    const auto args = std::make_shared<BenchShaderArgs>();
    args->common.placement.backends = {"vulkan"};
    CLI::App& app = add_command<BenchShaderArgs>(
        bench, action, "shader", "One shader from source: checked, timed beside the built-in, disassembled", args,
        run_bench_shader);
    add_argument(app, "FILE", "FILE.comp", "GLSL; its line \"//! op NAME/1\" says which operators to check it with",
                 args->file, true);
    add_text(app, "--as", "NAME", "The built-in shader it takes the place of. Default: the file's name", args->as);
    add_values(app, "-I,--include", "DIR", "Look there for included files, too; repeatable",
               [args](const std::string& text) -> Status {
                   args->include_dirs.emplace_back(text);
                   return {};
               });
    add_values(app, "--spec", "NAME=VALUE", "A specialization constant, or WORKGROUP; repeatable",
               [args](const std::string& text) -> Status {
                   Sweep one;
                   VKS_TRY(append_number(text, "--spec", one));
                   if (one[0].second.size() != 1) return usage_error("number", "--spec", "one value", quote(text, 80));
                   args->numbers[one[0].first] = one[0].second[0];
                   return {};
               });
    add_values(app, "--sweep", "NAME=A,B,...",
               "Each of these values in all combinations, the fastest first; repeatable",
               [args](const std::string& text) { return append_number(text, "--sweep", args->sweep); });
    add_flag(app, "--watch", "Again whenever a file of it is saved, until Ctrl-C", args->watch);
    add_flag(app, "--cold", "Flush caches before each repetition, as bench ops does", args->cold);
    add_flag(app, "--disassemble", "Print the SPIR-V, too: after the table, with json and jsonl under programs",
             args->disassemble);
    add_text(app, "--shapes", "NAME|FILE", "Shapes of this model: demo (default), deepseek-v3, ... or a config.json",
             args->shapes);
    add_counts(app, "--rows", "Rows: tokens in a step. Default 1,64", args->rows);
    add_integer(app, "-r,--repetitions", "Repetitions of each case. Default 5", args->repetitions, 1, 100000);
    add_backend_option(app, args->common.placement, "Devices to measure. Default: vulkan, the first usable one");
    add_math_option(app, args->common);
    add_format_option(app, args->format);
    add_plugin_option(app, args->common);
    add_verbose_option(app, args->common);
}

}  // namespace vks
