// The options that subcommands have in common, and what they mean for paths and the engine.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "backend/base/result.h"
#include "frontend/gen/engine.h"
#include "frontend/gen/sampler.h"
#include "frontend/gen/speculative.h"
#include "frontend/io/config.h"

namespace CLI {
class App;
}

namespace vks {

struct CommonOptions {
    std::filesystem::path model;  // empty: not given
    Placement placement;
    std::map<std::string, uint64_t> memory;
    std::vector<std::filesystem::path> plugin_dirs;
    bool half = true, w8a8 = false;
    std::optional<int64_t> threads;
    bool explain = false;
    std::filesystem::path trace_file;
    std::optional<double> watchdog;
    std::optional<int64_t> check;
    conformance::CheckAction check_action = conformance::CheckAction::kWarn;
    bool verbose = false;
};

// -v. The others include it. `options` must outlive the parsing.
void add_verbose_option(CLI::App& app, CommonOptions& options);
// -m.
void add_model_option(CLI::App& app, CommonOptions& options);
// --plugin-dir.
void add_plugin_option(CLI::App& app, CommonOptions& options);
// --math, --threads.
void add_math_option(CLI::App& app, CommonOptions& options);
void add_threads_option(CLI::App& app, CommonOptions& options);
// All of them, for subcommands that run the model.
void add_running_options(CLI::App& app, CommonOptions& options);

// -m, else $VKSEEK_MODEL, else the demo model installed with the program. `argument` is the subcommand's MODEL, which
// stands for -m. Errors: not a directory; both were given.
Result<std::filesystem::path> model_dir(const CommonOptions& options, const std::string& argument = {});
// A line for each folder of $VKSEEK_PLUGIN_PATH that isn't there: a warning, as it goes for every command.
std::vector<std::string> plugin_path_warnings();
// `work` on the plugins of --plugin-dir, $VKSEEK_PLUGIN_PATH and the program; where it succeeds, those warnings. For
// commands that use devices without a Runtime.
Status with_registry(const CommonOptions& options, const std::function<Status(Registry&)>& work);
// What the options say to the engine; context, chunk and outputs are the subcommand's.
EngineOptions engine_options(const CommonOptions& options);

// --temp and its kin.
struct SamplingArgs {
    std::optional<double> temperature, top_p, min_p, repeat_penalty;
    std::optional<int64_t> top_k, seed;
};
void add_sampling_options(CLI::App& app, SamplingArgs& args);
// With --temp, what isn't given is off. Without, it is what the checkpoint's generation_config.json says.
SamplingOptions sampling_options(const SamplingArgs& args, const GenerationDefaults& defaults);

// --mtp and --mtp-accept.
struct MtpArgs {
    std::optional<int64_t> drafts;
    bool adapt = false, rejection = false;
    // Nothing is said: as many as pay, where that changes no bit. Caps of --memory are for the model alone.
    bool by_default(const EngineOptions& engine) const { return !drafts && !rejection && engine.memory.empty(); }
};
void add_mtp_options(CLI::App& app, MtpArgs& args);
// The most drafts a step where nobody asked for a number.
inline constexpr int64_t kMostAutoDrafts = 4;

// What they mean for this model, on devices with or without vks.row_bits/1; `engine` gets the modules it takes.
// Error: drafts without a module to make them.
Result<SpeculationOptions> speculation_options(const MtpArgs& args, const Checkpoint& checkpoint, bool row_bits,
                                               EngineOptions& engine);

}  // namespace vks
