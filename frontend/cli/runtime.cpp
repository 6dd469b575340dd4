#include "frontend/cli/runtime.h"

#include <sys/resource.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <span>

#include "backend/base/log.h"
#include "frontend/cli/console.h"
#include "frontend/model/deepseek_v3.h"

namespace vks {
namespace {

struct Count {
    const char* name;
    uint64_t vks_stats::*field;
};
constexpr Count kCounts[] = {{"pipelines", &vks_stats::pipelines},
                             {"pipelines_compiled", &vks_stats::pipelines_compiled},
                             {"allocations", &vks_stats::allocations},
                             {"recordings", &vks_stats::recordings},
                             {"submits", &vks_stats::submits},
                             {"dispatches", &vks_stats::dispatches},
                             {"barriers", &vks_stats::barriers},
                             {"last_dispatches", &vks_stats::last_dispatches},
                             {"last_barriers", &vks_stats::last_barriers}};

// "81 %", of several places "68 %; by place 81, 55".
std::string percent_by_place(const SpeculationStats& mtp) {
    std::string text = fmt::format("{:.0f} %", 100 * mtp.acceptance());
    if (mtp.drafted_at.size() < 2) return text;
    for (size_t i = 0; i < mtp.drafted_at.size(); ++i) {
        const auto drafted = static_cast<double>(std::max<int64_t>(1, mtp.drafted_at[i]));
        text += fmt::format("{} {:.0f}", i == 0 ? "; by place" : ",",
                            100 * static_cast<double>(mtp.accepted_at[i]) / drafted);
    }
    return text;
}

}  // namespace

Result<std::unique_ptr<Runtime>> Runtime::open(const CommonOptions& options, TokenizerUse use) {
    std::unique_ptr<Runtime> runtime(new Runtime(options));
    VKS_ASSIGN(const std::filesystem::path dir, model_dir(options));
    VKS_ASSIGN(Checkpoint checkpoint, Checkpoint::open(dir));
    runtime->warnings_ = checkpoint.warnings();
    runtime->checkpoint_ = std::make_shared<const Checkpoint>(std::move(checkpoint));
    std::error_code ignored;
    const bool there = std::filesystem::exists(dir / "tokenizer.json", ignored);
    if (use == TokenizerUse::kRequired || (use == TokenizerUse::kIfThere && there)) {
        VKS_ASSIGN(Tokenizer tokenizer, Tokenizer::load(dir));
        runtime->tokenizer_.emplace(std::move(tokenizer));
    }
    return runtime;
}

Registry& Runtime::registry() {
    if (!registry_) {
        registry_ = std::make_unique<Registry>(plugin_dirs(options_.plugin_dirs));
        for (std::string& text : plugin_path_warnings()) warnings_.push_back(std::move(text));
    }
    return *registry_;
}

Result<bool> Runtime::row_bits(const EngineOptions& engine, int64_t rows) {
    std::vector<std::string> names = engine.placement.backends;
    if (!engine.placement.op_backend.empty()) {
        VKS_ASSIGN(const std::set<std::string> used, used_operators(engine));
        for (const auto& [op, backend] : engine.placement.op_backend)
            if (used.contains(op)) names.push_back(backend);
    }
    return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
        const auto entries = registry().select(name);
        return entries && std::all_of(entries->begin(), entries->end(), [&](const DeviceEntry* entry) {
                   return promises_row_bits(*entry->plugin->table, rows);
               });
    });
}

Status Runtime::start(const EngineOptions& wanted) {
    EngineOptions engine = wanted;
    if (!engine.placement.op_backend.empty()) VKS_TRY(drop_unused(engine));
    if (!options_.trace_file.empty()) {
        VKS_ASSIGN(OutputFile file, OutputFile::open("trace", options_.trace_file));
        trace_file_.emplace(std::move(file));
        trace_ = std::make_unique<Trace>();
    }
    VKS_ASSIGN(engine_, Engine::create(checkpoint_, registry(), engine, trace_.get()));
    if (options_.explain) write_stderr(engine_->explain());
    return {};
}

Result<std::set<std::string>> Runtime::used_operators(const EngineOptions& engine) const {
    ModelOptions model;
    model.half = engine.half;
    model.w8a8 = engine.w8a8;
    model.context = 1;
    std::set<std::string> used;
    for (const bool expanded : {false, true}) {
        if (expanded && !Engine::may_expand(engine, engine.placement)) continue;
        model.expanded = expanded;
        for (int module = 0; module <= engine.mtp; ++module) {
            VKS_ASSIGN(const ModelGraph part,
                       module == 0 ? build_main(checkpoint_, model) : build_mtp(checkpoint_, module, model));
            for (const Node& node : part.graph->nodes) used.insert(node.op_name());
        }
    }
    return used;
}

Status Runtime::drop_unused(EngineOptions& engine) {
    VKS_ASSIGN(const std::set<std::string> used, used_operators(engine));
    std::erase_if(engine.placement.op_backend, [&](const auto& choice) {
        if (used.contains(choice.first)) return false;
        warnings_.push_back(fmt::format("operator {} (--op): not used in this run", choice.first));
        return true;
    });
    return {};
}

Status Runtime::finish() {
    VKS_TRY(checkpoint_->check_unchanged());
    engine_->keep_statistics();
    if (trace_) VKS_TRY(trace_->write(std::move(*trace_file_)));
    if (options_.explain) write_stderr(stats_lines());
    return {};
}

void Runtime::print_warnings() {
    for (const std::string& text : warnings_) log_line(LogLevel::kWarning, text);
    warnings_.clear();
    for (const std::vector<std::string>& all = engine_->warnings(); warned_ < all.size(); ++warned_)
        log_line(LogLevel::kWarning, all[warned_]);
}

std::vector<int32_t> Runtime::eos_ids() const {
    std::vector<int32_t> ids = config().eos_token_ids;
    if (ids.empty() && tokenizer_ && tokenizer_->eos_id()) ids.push_back(*tokenizer_->eos_id());
    return ids;
}

Result<std::vector<int32_t>> Runtime::prompt_ids(std::string_view text, std::string_view source) const {
    VKS_ASSIGN(std::vector<int32_t> ids, tokenizer_->encode(text, true, fmt::format("prompt ({})", source)));
    if (tokenizer_->add_bos()) ids.insert(ids.begin(), *tokenizer_->bos_id());
    return ids;
}

nlohmann::ordered_json Runtime::placement_json() const {
    nlohmann::ordered_json json = nlohmann::ordered_json::object();
    for (const auto& [op, backend] : engine_->where()) json[op] = backend;
    return json;
}

nlohmann::ordered_json Runtime::peak_bytes_json() const {
    nlohmann::ordered_json json = nlohmann::ordered_json::object();
    for (const auto& [device, bytes] : engine_->peak_bytes()) json[device] = bytes;
    return json;
}

nlohmann::ordered_json Runtime::stats_json() const {
    nlohmann::ordered_json json = nlohmann::ordered_json::object();
    for (const DeviceEntry* entry : registry_->opened()) {
        const auto counts = entry->device->stats();
        if (!counts) continue;
        for (const Count& count : kCounts) json[entry->id][count.name] = (*counts).*count.field;
    }
    return json;
}

nlohmann::ordered_json Runtime::paging_json() const {
    nlohmann::ordered_json json = nlohmann::ordered_json::object();
    const auto stats = engine_->paging();
    if (!stats) return json;
    json["budget_bytes"] = stats->budget_bytes;
    json["pinned_bytes"] = stats->pinned_bytes;
    json["peak_bytes"] = stats->peak_bytes;
    json["bytes_read"] = stats->bytes_read;
    json["bytes_suggested"] = stats->bytes_suggested;
    json["io_uring"] = stats->ring;
    json["reading_seconds"] = stats->reading_seconds;
    json["waiting_seconds"] = stats->waiting_seconds;
    json["expert_uses"] = stats->cached_uses;
    json["expert_hits"] = stats->cached_hits;
    return json;
}

std::string Runtime::paging_line() const {
    const auto stats = engine_->paging();
    if (!stats) return "";
    const double rate =
        stats->reading_seconds > 0 ? static_cast<double>(stats->bytes_read) / stats->reading_seconds : 0;
    const double hits = 100 * static_cast<double>(stats->cached_hits) / std::max<double>(1, double(stats->cached_uses));
    return fmt::format(
        "read:      {} in {:.2f} s, {}/s; waited for {:.2f} s; weights in {}; {:.0f} % of experts' uses "
        "were there\n",
        human_bytes(stats->bytes_read), stats->reading_seconds, human_bytes(uint64_t(rate)), stats->waiting_seconds,
        human_bytes(stats->budget_bytes), hits);
}

nlohmann::ordered_json Runtime::slots_json() const {
    nlohmann::ordered_json json = nlohmann::ordered_json::object();
    const auto stats = engine_->slots();
    if (!stats) return json;
    json["slots"] = stats->slots;
    json["bytes"] = stats->bytes;
    json["uses"] = stats->uses;
    json["hits"] = stats->hits;
    json["fetched_at_once"] = stats->at_once;
    json["fetched"] = stats->fetched;
    json["fetch_seconds"] = stats->fetch_seconds;
    return json;
}

std::string Runtime::slots_line() const {
    const auto stats = engine_->slots();
    if (!stats || stats->slots == 0) return "";
    const double hits = 100 * static_cast<double>(stats->hits) / std::max<double>(1, double(stats->uses));
    return fmt::format(
        "slots:     {} for experts, {}; {:.0f} % of the uses of those without a home on the device were "
        "there; {} fetched, {} of them at once, {:.2f} ms each\n",
        stats->slots, human_bytes(stats->bytes), hits, stats->fetched + stats->at_once, stats->at_once,
        1e3 * stats->fetch_seconds);
}

std::string Runtime::stats_lines() const {
    std::string text;
    for (const DeviceEntry* entry : registry_->opened()) {
        const auto counts = entry->device->stats();
        if (!counts) continue;
        text += fmt::format(
            "{}: pipelines: {}, {} compiled now; {} memory allocations; {} recordings, {} submits; last recording: {} "
            "dispatches, {} barriers\n",
            entry->id, counts->pipelines, counts->pipelines_compiled, counts->allocations, counts->recordings,
            counts->submits, counts->last_dispatches, counts->last_barriers);
    }
    return text;
}

nlohmann::ordered_json Runtime::checks_json() const {
    const conformance::Checker* checker = engine_->checker();
    if (!checker) return nullptr;
    nlohmann::ordered_json found = nlohmann::ordered_json::array();
    for (const conformance::Disagreement& d : checker->disagreements())
        found.push_back({{"op", d.op},
                         {"node", d.node},
                         {"device", d.device},
                         {"variant", d.variant},
                         {"driver", d.driver},
                         {"problem", d.problem}});
    return {{"operators", checker->checked()}, {"disagreements", std::move(found)}};
}

std::string Runtime::memory_line() const {
    std::string text = "memory:    ";
    for (const auto& [device, bytes] : engine_->bytes_by_device()) {
        text += fmt::format("{} {}, ", device, human_bytes(bytes));
    }
    return text + fmt::format("process {} at most\n", human_bytes(process_peak_bytes()));
}

std::string Runtime::placement_line() const {
    std::map<std::string, std::vector<std::string>> by_backend;
    for (const auto& [op, backend] : engine_->where()) by_backend[backend].push_back(op);
    std::string text;
    for (const auto& [backend, ops] : by_backend) {
        text +=
            fmt::format("{}{} on {}", text.empty() ? "" : "; ",
                        by_backend.size() == 1 ? "every operator" : fmt::format("{}", fmt::join(ops, " ")), backend);
    }
    for (const DeviceEntry* entry : registry_->opened()) {
        if (by_backend.contains(entry->id)) text += fmt::format("; {} is {}", entry->id, entry->info.name);
    }
    return fmt::format("ran on:    {}\n", text);
}

uint64_t process_peak_bytes() {
    struct rusage usage = {};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

namespace {

// In the largest of `units`, each a thousand of the one before, the first of them a thousand.
std::string thousands(double value, std::span<const char* const> units) {
    size_t unit = 0;
    for (value /= 1000; value >= 999.95 && unit + 1 < units.size(); ++unit) value /= 1000;
    return fmt::format("{:.1f} {}", value, units[unit]);
}

}  // namespace

std::string human_bytes(uint64_t bytes) {
    static constexpr const char* kUnits[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    return bytes < 1000 ? fmt::format("{} B", bytes) : thousands(static_cast<double>(bytes), kUnits);
}

std::string human_count(int64_t n) {
    static constexpr const char* kUnits[] = {"k", "M", "B"};
    return n < 10'000 ? fmt::format("{}", n) : thousands(static_cast<double>(n), kUnits);
}

std::string three_digits(double value) {
    return value >= 999.5 ? fmt::format("{:.0f}", value) : fmt::format("{:.3g}", value);
}

std::string phases_text(const Generation& out) {
    std::string text = fmt::format("prompt:    {} tokens in {:.2f} s, {:.1f} tok/s", out.prefill.tokens,
                                   out.prefill.seconds, out.prefill.rate());
    if (out.reused > 0) text += fmt::format("; {} more were in the cache", out.reused);
    text += fmt::format("\ngenerated: {} tokens", out.ids.size());
    if (out.decode.tokens > 0) {
        text += fmt::format("; {} after the first in {:.2f} s, {:.1f} tok/s", out.decode.tokens, out.decode.seconds,
                            out.decode.rate());
    }
    text += "\n";
    if (out.mtp.drafted > 0) {
        text += fmt::format(
            "drafts:    {} of {} accepted ({}), {:.2f} tokens a step; {:.2f} s drafting, {:.2f} s verifying, {:.2f} s "
            "taking back\n",
            out.mtp.accepted, out.mtp.drafted, percent_by_place(out.mtp), out.tokens_per_step(), out.mtp.draft_seconds,
            out.mtp.verify_seconds, out.mtp.rollback_seconds);
    }
    return text;
}

}  // namespace vks
