// What subcommands that run the model share: opening it, starting the engine, ending a run, and reporting.
#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "backend/base/output_file.h"
#include "backend/registry/registry.h"
#include "frontend/cli/options.h"
#include "frontend/gen/engine.h"
#include "frontend/gen/generator.h"
#include "frontend/text/tokenizer.h"

namespace vks {

enum class TokenizerUse { kNone, kIfThere, kRequired };

// Not thread-safe. open(), row_bits(), start(), engine(), finish(), print_warnings(), in this order.
class Runtime {
public:
    // Opens the checkpoint and the tokenizer. `options` is borrowed.
    static Result<std::unique_ptr<Runtime>> open(const CommonOptions& options, TokenizerUse use);

    // Whether all devices that are named for what the main model computes promise vks.row_bits/1 for launches of up to
    // `rows`. Loads plugins.
    Result<bool> row_bits(const EngineOptions& engine, int64_t rows);
    // Opens the trace's file, loads plugins and makes the engine; prints the plans under --explain. Context, chunk and
    // outputs are the caller's, in `engine`.
    Status start(const EngineOptions& wanted);
    // After a run, before it reports success: the files are still what they were, the trace is written, devices' counts
    // are printed under --explain.
    Status finish();

    const std::shared_ptr<const Checkpoint>& checkpoint() const { return checkpoint_; }
    const ModelConfig& config() const { return checkpoint_->config(); }
    const Tokenizer* tokenizer() const { return tokenizer_ ? &*tokenizer_ : nullptr; }
    Engine& engine() const { return *engine_; }
    // Devices in use, in the order of opening.
    const std::vector<DeviceEntry*>& devices() const { return registry_->opened(); }

    // Ids that end a text.
    std::vector<int32_t> eos_ids() const;
    // `text` as a prompt: its ids, with a BOS in front if the tokenizer says so. Wants a tokenizer. `source` is what
    // errors call the text's origin.
    Result<std::vector<int32_t>> prompt_ids(std::string_view text, std::string_view source) const;

    // Warnings wait until a run has succeeded: a failing one has only its error to say. Those that it hasn't said yet.
    void print_warnings();

    // {"<op>": "<backend>"} and {"<device>": bytes, most so far}.
    nlohmann::ordered_json placement_json() const;
    nlohmann::ordered_json peak_bytes_json() const;
    // {"<device>": {"pipelines": n, ...}} of devices that count such things (vks.stats/1).
    nlohmann::ordered_json stats_json() const;
    // {"operators": n, "disagreements": [{"op": ..., "problem": ...}]} under --check, else null.
    nlohmann::ordered_json checks_json() const;
    // What a cap of --memory made the run read; empty where all weights fit.
    nlohmann::ordered_json paging_json() const;
    std::string paging_line() const;
    nlohmann::ordered_json slots_json() const;
    std::string slots_line() const;
    // One line each: device bytes, and what ran where.
    std::string memory_line() const;
    std::string placement_line() const;

private:
    // A line per device that counts.
    std::string stats_lines() const;
    explicit Runtime(const CommonOptions& options) : options_(options) {}
    Registry& registry();
    // Takes operators that no graph of the run has out of --op, with a warning each: their backend need not exist.
    Result<std::set<std::string>> used_operators(const EngineOptions& engine) const;
    Status drop_unused(EngineOptions& engine);

    const CommonOptions& options_;
    std::vector<std::string> warnings_;
    size_t warned_ = 0;  // of the engine's
    std::shared_ptr<const Checkpoint> checkpoint_;
    std::optional<Tokenizer> tokenizer_;
    std::unique_ptr<Registry> registry_;  // outlives the engine
    std::unique_ptr<Trace> trace_;
    std::optional<OutputFile> trace_file_;
    std::unique_ptr<Engine> engine_;
};

// Most bytes of memory the process ever held, mapped files included.
uint64_t process_peak_bytes();
// "12.3 MB", decimal.
std::string human_bytes(uint64_t bytes);
// "671.0 B", "2.9 M".
std::string human_count(int64_t n);
// "0.0123", "12.3", "1870": three digits that count, or all before the point.
std::string three_digits(double value);
// Tokens and speed of the prompt and of what was generated, a line each, and of drafts if there were any.
std::string phases_text(const Generation& out);

}  // namespace vks
