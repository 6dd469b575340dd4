#include "frontend/cli/options.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <limits>

#include "backend/base/bad_input.h"
#include "backend/base/log.h"
#include "frontend/cli/placement.h"
#include "frontend/cli/values.h"
#include "frontend/io/json.h"

namespace vks {
namespace {

constexpr int64_t kMostDrafts = 16;

// An option whose value is one of two words; `target` becomes whether it is the second.
void add_choice(CLI::App& app, const std::string& name, const std::string& first, const std::string& second,
                const std::string& help, bool& target) {
    add_value(app, name, first + "|" + second, help, [=, &target](const std::string& text) -> Status {
        if (text != first && text != second) {
            return usage_error(name.substr(2), name, first + " or " + second, quote(text, 40));
        }
        target = text == second;
        return {};
    });
}

// What to say of a path that is no directory, if it is none.
std::optional<std::string> no_directory(std::string_view what, std::string_view option,
                                        const std::filesystem::path& dir) {
    std::error_code error;
    if (std::filesystem::is_directory(dir, error)) return {};
    std::string found = std::filesystem::exists(dir, error) ? "something else" : "nothing there";
    if (std::filesystem::is_regular_file(dir, error)) {
        char begin[64] = {};
        std::ifstream(dir, std::ios::binary).read(begin, sizeof begin - 1);
        found = other_file(begin).value_or(found);
    }
    return fmt::format("{} ({}: {}): wanted a directory, found {}", what, option, dir.string(), found);
}

// What is done about devices that fail or may be wrong.
void add_fault_options(CLI::App& app, CommonOptions& options) {
    add_number(app, "--watchdog", "Seconds until a device that doesn't answer is given up. Default 60",
               options.watchdog, 0, 86400, true);
    add_integer(app, "--check", "Compute an operator again on the CPU plugin, and compare, every so many steps",
                options.check, 1, std::numeric_limits<int64_t>::max());
    add_value(app, "--check-action", "warn|swap|stop",
              "When --check finds a device wrong: say so (default), go on without it, or end with status 5",
              [&options](const std::string& text) -> Status {
                  using conformance::CheckAction;
                  const std::map<std::string, CheckAction> known = {
                      {"warn", CheckAction::kWarn}, {"swap", CheckAction::kSwap}, {"stop", CheckAction::kStop}};
                  const auto it = known.find(text);
                  if (it == known.end()) {
                      return usage_error("check-action", "--check-action", "warn, swap or stop", quote(text, 40));
                  }
                  options.check_action = it->second;
                  return {};
              });
}

}  // namespace

void add_verbose_option(CLI::App& app, CommonOptions& options) {
    add_flag(app, "-v,--verbose", "Say more on stderr", [&options] {
        options.verbose = true;
        set_log_level(LogLevel::kInfo);
    });
}

void add_model_option(CLI::App& app, CommonOptions& options) {
    add_path(app, "-m,--model", "Model: a Hugging Face directory. Default: $VKSEEK_MODEL, else the demo model",
             options.model);
}

void add_plugin_option(CLI::App& app, CommonOptions& options) {
    add_values(app, "--plugin-dir", "DIR", "Where to look for plugin libraries first (also $VKSEEK_PLUGIN_PATH)",
               [&options](const std::string& text) -> Status {
                   if (text.empty()) return usage_error("directory", "--plugin-dir", "a path", "nothing");
                   if (const auto problem = no_directory("plugins", "--plugin-dir", text))
                       return bad_input("{}", *problem);
                   options.plugin_dirs.emplace_back(text);
                   return {};
               });
}

void add_math_option(CLI::App& app, CommonOptions& options) {
    add_choice(app, "--math", "f32", "half", "Arithmetic and latent cache: half (default) or f32", options.half);
}

void add_threads_option(CLI::App& app, CommonOptions& options) {
    constexpr int64_t kMost = 1024;  // that the plugin takes
    add_integer(app, "--threads", "Threads of the CPU plugin. Default: the cores this process may use", options.threads,
                1, kMost);
}

void add_running_options(CLI::App& app, CommonOptions& options) {
    add_model_option(app, options);
    add_placement_options(app, options.placement);
    add_values(app, "--memory", "DEV=SIZE",
               "Most memory of a device, e.g. cpu=8G or vulkan:0=6GiB (G, GB: 1000^3, GiB: 1024^3); repeatable. On the "
               "CPU, weights beyond it are "
               "read from the "
               "files when they are needed; what other devices have no room for, the CPU computes",
               [&options](const std::string& text) -> Status {
                   VKS_ASSIGN(const auto cap, parse_memory(text));
                   std::erase_if(options.memory, [&](const auto& earlier) {
                       return plain_name(earlier.first) == plain_name(cap.first);
                   });
                   options.memory[cap.first] = cap.second;
                   return {};
               });
    add_plugin_option(app, options);
    add_math_option(app, options);
    add_choice(app, "--precision", "w8a16", "w8a8", "Inputs of FP8 weights: w8a16 (default, unquantised) or w8a8",
               options.w8a8);
    add_threads_option(app, options);
    add_flag(app, "--explain", "Print where each node runs, how and why, on stderr", options.explain);
    add_path(app, "--trace-file", "Timeline of every operator, as a Chrome/Perfetto trace", options.trace_file);
    add_fault_options(app, options);
    add_verbose_option(app, options);
}

Result<std::filesystem::path> model_dir(const CommonOptions& options, const std::string& argument) {
    if (!argument.empty() && !options.model.empty()) return usage_error("model", "-m", "MODEL or -m", "both");
    std::filesystem::path dir = argument.empty() ? options.model : std::filesystem::path(argument);
    std::string_view origin = argument.empty() ? "-m" : "MODEL";
    std::error_code error;
    if (dir.empty()) {
        if (const char* given = std::getenv("VKSEEK_MODEL"); given && *given) {
            dir = given;
            origin = "$VKSEEK_MODEL";
        } else {
            const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
            dir = program.parent_path().parent_path() / "share/vkseek/models/demo";
            origin = "the demo model, as there is no -m";
        }
    }
    if (const auto problem = no_directory("model", origin, dir)) return bad_input("{}", *problem);
    return dir;
}

std::vector<std::string> plugin_path_warnings() {
    std::vector<std::filesystem::path> dirs = plugin_dirs({});
    dirs.pop_back();  // the program's own, which need not be there
    std::vector<std::string> warnings;
    for (const std::filesystem::path& dir : dirs)
        if (const auto problem = no_directory("plugins", "$VKSEEK_PLUGIN_PATH", dir))
            warnings.push_back(one_line(*problem));
    return warnings;
}

Status with_registry(const CommonOptions& options, const std::function<Status(Registry&)>& work) {
    Registry registry(plugin_dirs(options.plugin_dirs));
    VKS_TRY(work(registry));
    for (const std::string& warning : plugin_path_warnings()) log_line(LogLevel::kWarning, warning);
    return {};
}

EngineOptions engine_options(const CommonOptions& options) {
    EngineOptions engine;
    engine.placement = options.placement;
    engine.memory = options.memory;
    engine.half = options.half;
    engine.w8a8 = options.w8a8;
    engine.threads = static_cast<int>(options.threads.value_or(0));
    engine.watchdog = options.watchdog.value_or(engine.watchdog);
    engine.check = options.check.value_or(0);
    engine.check_action = options.check_action;
    return engine;
}

void add_sampling_options(CLI::App& app, SamplingArgs& args) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    add_number(app, "--temp",
               "Temperature; 0: always the likeliest token. Without it, what generation_config.json says",
               args.temperature, 0, kInfinity);
    add_integer(app, "--top-k", "Top-k: only the k likeliest tokens; 0: all", args.top_k, 0,
                std::numeric_limits<int32_t>::max());
    add_number(app, "--top-p", "Top-p: the fewest tokens that have this probability together", args.top_p, 0, 1, true);
    add_number(app, "--min-p", "Min-p: tokens with this part of the likeliest one's probability", args.min_p, 0, 1);
    add_number(app, "--repeat-penalty", "Repetition penalty: logits of tokens seen before are divided by it",
               args.repeat_penalty, 0, kInfinity, true);
    add_integer(app, "--seed", "Seed: the same seed gives the same text. Default 0", args.seed, 0,
                std::numeric_limits<int64_t>::max());
}

SamplingOptions sampling_options(const SamplingArgs& args, const GenerationDefaults& defaults) {
    SamplingOptions options;
    if (!args.temperature) {
        const bool restricted = args.top_k || args.top_p || args.min_p;
        if (defaults.do_sample.value_or(false)) {
            options.temperature = defaults.temperature.value_or(1);
        } else if (restricted) {
            options.temperature = 1;
        }
        options.top_k = defaults.top_k.value_or(0);
        options.top_p = defaults.top_p.value_or(1);
        options.min_p = defaults.min_p.value_or(0);
        options.repeat_penalty = defaults.repetition_penalty.value_or(1);
    }
    options.temperature = args.temperature.value_or(options.temperature);
    options.top_k = args.top_k.value_or(options.top_k);
    options.top_p = args.top_p.value_or(options.top_p);
    options.min_p = args.min_p.value_or(options.min_p);
    options.repeat_penalty = args.repeat_penalty.value_or(options.repeat_penalty);
    options.seed = static_cast<uint64_t>(args.seed.value_or(0));
    return options;
}

void add_mtp_options(CLI::App& app, MtpArgs& args) {
    add_value(
        app, "--mtp", "K|auto",
        "Ids to draft a step with the model's MTP modules; auto: as many as pay; 0: none. Default auto on the CPU, "
        "0 where drafts may change a bit of the logits and under --memory",
        [&args](const std::string& text) -> Status {
            args.adapt = text == "auto";
            int64_t drafts = kMostAutoDrafts;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), drafts);
            args.drafts = drafts;
            if (args.adapt ||
                (error == std::errc() && end == text.data() + text.size() && drafts >= 0 && drafts <= kMostDrafts)) {
                return {};
            }
            return usage_error("drafts", "--mtp", fmt::format("auto or an integer from 0 to {}", kMostDrafts),
                               quote(text, 40));
        });
    add_choice(app, "--mtp-accept", "same", "rejection",
               "Which drafts stand: same (default): those that sampling gives anyway; rejection: more, by rejection "
               "sampling",
               args.rejection);
}

Result<SpeculationOptions> speculation_options(const MtpArgs& args, const Checkpoint& checkpoint, bool row_bits,
                                               EngineOptions& engine) {
    SpeculationOptions options;
    const int64_t modules = checkpoint.config().num_nextn_predict_layers;
    const int64_t drafts = args.drafts.value_or(args.by_default(engine) && row_bits ? kMostAutoDrafts : 0);
    if (modules == 0 && args.drafts && drafts > 0 && !args.adapt) {
        return bad_input("drafts (--mtp): wanted a model with MTP modules, found none in {}",
                         checkpoint.dir().string());
    }
    options.most = modules > 0 ? drafts : 0;
    options.only_row_bits = !args.drafts;
    options.adapt = options.most > 0 && (args.adapt || options.only_row_bits);
    options.rule = args.rejection ? AcceptRule::kRejection : AcceptRule::kSame;
    engine.draft = options.most;
    engine.mtp = static_cast<int>(std::min(modules, options.most));
    return options;
}

}  // namespace vks
