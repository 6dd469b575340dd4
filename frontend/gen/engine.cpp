#include "frontend/gen/engine.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <numeric>

#include "frontend/model/attention_form.h"
#include "frontend/model/rope.h"

namespace vks {
namespace {

// bf16 is the upper half of an f32.
void append_floats(std::span<const std::byte> raw, uint32_t dtype, std::vector<float>& out) {
    if (dtype == VKS_BF16) {
        for (size_t i = 0; i + 2 <= raw.size(); i += 2) {
            uint16_t bits = 0;
            std::memcpy(&bits, &raw[i], sizeof bits);
            out.push_back(std::bit_cast<float>(uint32_t{bits} << 16));
        }
        return;
    }
    CHECK(dtype == VKS_F32, "floats of dtype {}", dtype);
    const size_t at = out.size();
    out.resize(at + raw.size() / sizeof(float));
    std::memcpy(out.data() + at, raw.data(), raw.size());
}

}  // namespace

std::vector<std::filesystem::path> plugin_dirs(const std::vector<std::filesystem::path>& extra) {
    std::vector<std::filesystem::path> dirs = extra;
    if (const char* env = std::getenv("VKSEEK_PLUGIN_PATH")) {
        std::string_view list = env;
        while (!list.empty()) {
            const size_t colon = std::min(list.find(':'), list.size());
            if (colon > 0) dirs.emplace_back(list.substr(0, colon));
            list.remove_prefix(std::min(colon + 1, list.size()));
        }
    }
    std::error_code ignored;
    const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
    dirs.push_back(program.parent_path().parent_path() / "lib/vkseek/plugins");
    return dirs;
}

Result<std::unique_ptr<Engine>> Engine::create(std::shared_ptr<const Checkpoint> checkpoint, Registry& registry,
                                               const EngineOptions& options, Trace* trace) {
    std::unique_ptr<Engine> engine(new Engine);
    engine->checkpoint_ = std::move(checkpoint);
    engine->options_ = options;
    const ModelConfig& config = engine->config();
    if (engine->options_.context == 0) engine->options_.context = config.max_position_embeddings;
    engine->options_.chunk = std::min(options.chunk, engine->options_.context);
    if (options.mtp > config.num_nextn_predict_layers)
        return Error{Code::kBadInput,
                     fmt::format("MTP ({}): wanted {} modules, found {}", engine->checkpoint_->dir().string(),
                                 options.mtp, config.num_nextn_predict_layers)};
    engine->inv_freq_ = rope_inv_freq(config);
    engine->registry_ = &registry;
    engine->placement_ = engine->options_.placement;
    VKS_TRY(engine->check_caps());
    VKS_TRY(engine->make_checker());
    engine->executor_ = std::make_unique<Executor>(trace, engine->checker_.get());
    VKS_TRY(engine->make_parts());
    engine->found_room_ = std::make_unique<FoundRoom>(engine->checkpoint_, options.mtp, options.check == 0);
    VKS_ASSIGN(std::vector<PlanRequest> requests, engine->requests(engine->placement_));
    VKS_ASSIGN(engine->plans_, make_plans(nullptr, std::move(requests), engine->replan()));
    engine->note_found_room();
    engine->row_bits_ = engine->find_row_bits();
    // What the host has, or its control group.
    const auto host = registry.select("cpu");
    if (host && engine->options_.memory.empty())
        engine->checkpoint_->prefer_large_pages(host->front()->info.bytes_total);
    engine->limit_memory();
    engine->slots_ = engine->slots_wanted_;
    engine->use_slots();
    engine->note_peak(engine->bytes_by_device());
    return engine;
}

std::string Engine::open_options() const {
    return options_.threads > 0 ? fmt::format("threads={}", options_.threads) : "";
}

// What checks compare with.
Result<Device*> Engine::trusted_device() {
    auto cpu = registry_->select("cpu");
    if (!cpu)
        return Error{Code::kNoBackend, fmt::format("check: wanted the CPU plugin, found none: {}", cpu.error().text)};
    return registry_->open(*cpu->front(), open_options());
}

Status Engine::make_checker() {
    if (options_.check == 0) return {};
    VKS_ASSIGN(Device * trusted, trusted_device());
    const conformance::CheckOptions options = {options_.check, options_.check_action};
    checker_ = std::make_unique<conformance::Checker>(*trusted, options);
    return {};
}

Result<Engine::Part> Engine::make_part(int module, int64_t max_tokens, int64_t max_rows, bool expanded) {
    ModelOptions m;
    m.half = options_.half;
    m.w8a8 = options_.w8a8;
    m.context = options_.context;
    m.max_tokens = max_tokens;
    m.max_rows = options_.all_rows ? max_tokens : max_rows;
    m.trace = options_.trace;
    m.expanded = expanded;
    // The last module's own output is for drafts beyond the number of modules.
    m.hidden_out = module < options_.mtp || (module > 0 && options_.draft > options_.mtp);
    Part part;
    part.max_tokens = max_tokens;
    part.expanded = expanded;
    VKS_ASSIGN(part.model, module == 0 ? build_main(checkpoint_, m) : build_mtp(checkpoint_, module, m));
    part.final_norm = part.model.graph->find("final_norm");
    return part;
}

Status Engine::make_parts() {
    for (int module = 0; module <= options_.mtp; ++module) {
        Module m;
        VKS_ASSIGN(m.parts[kSingle], make_part(module, 1, 1));
        // A prompt that is run elsewhere needs a plan of its own, whatever its size.
        if (options_.chunk > 1 || !placement_.prefill.empty()) {
            VKS_ASSIGN(m.parts[kChunk], make_part(module, options_.chunk, 1));
            if (options_.half) {
                VKS_ASSIGN(m.parts[kExpanded], make_part(module, options_.chunk, 1, true));
            }
        }
        if (options_.draft > 0) {
            const int64_t few = std::min(options_.draft + 1, options_.context);
            VKS_ASSIGN(m.parts[kFew], make_part(module, few, module == 0 ? few : 1));
        }
        modules_.push_back(std::move(m));
    }
    return {};
}

Result<std::vector<PlanRequest>> Engine::requests(const Placement& placement) {
    std::vector<std::string> left_out;
    // Later placements come from --swap and the like, which say so themselves.
    const auto preferring = [&](const std::vector<std::string>& wanted, const char* option) {
        auto preference = resolve(*registry_, with_fallback(wanted), placement.op_backend, open_options(), "embed",
                                  plans_ ? "" : option, left_out);
        if (preference)
            for (Device* device : preference->order) device->set_watchdog(uint64_t(options_.watchdog * 1e9));
        return preference;
    };
    VKS_ASSIGN(const Preference general, preferring(placement.backends, "--backend"));
    Preference prompt = general;
    if (!placement.prefill.empty()) {
        VKS_ASSIGN(prompt, preferring(placement.prefill, "--prefill"));
    }
    for (std::string& text : left_out) warn(std::move(text));
    const bool expanded = expands(placement, prompt);
    std::vector<PlanRequest> requests;
    for (const Module& m : modules_) {
        for (const Size size : {kChunk, kExpanded, kFew, kSingle}) {
            const bool wanted = size != kExpanded || expanded;
            requests.push_back(
                {wanted ? m.parts[size].model.graph : nullptr, size == kChunk || size == kExpanded ? prompt : general});
        }
    }
    VKS_TRY(keep_within_caps(requests));
    found_room_->keep(requests, plans_.get());
    return requests;
}

bool Engine::may_expand(const EngineOptions& options, const Placement& placement) {
    if (!options.half || !options.memory.empty()) return false;
    if (options.chunk <= 1 && options.placement.prefill.empty()) return false;  // no plan for more than a token
    return !placement.op_backend.contains("head_gemm") && !placement.op_backend.contains("mla_attention");
}

// Whether a prompt's steps take the expanded form: it was placed by name, or the device they prefer has it.
bool Engine::expands(const Placement& placement, const Preference& prompt) const {
    if (!may_expand(options_, placement)) return false;
    if (placement.op_backend.contains("mla_expanded")) return true;
    const char* const* offered = prompt.order.front()->plugin().ops;
    while (*offered && std::string_view(*offered) != "mla_expanded/1") ++offered;
    return *offered != nullptr;
}

Engine::Size Engine::size_for(int module, size_t tokens, int64_t position) const {
    const std::array<Part, kSizes>& parts = modules_[size_t(module)].parts;
    const auto chunk = [&] {
        const AttentionWork work = attention_work(config(), position, int64_t(tokens));
        return plan(size_t(module), kExpanded) && work.expanded < work.absorbed ? kExpanded : kChunk;
    };
    if (prompt_ && !placement_.prefill.empty() && int64_t(tokens) <= parts[kChunk].max_tokens) return chunk();
    if (tokens == 1) return kSingle;
    // Only verify() wants every row of the main model.
    if (prompt_ && module == 0) return chunk();
    return int64_t(tokens) <= parts[kFew].max_tokens ? kFew : chunk();
}

Status Engine::run(int module, Size size, std::span<const int32_t> ids, int64_t position, const std::byte* hidden) {
    Module& m = modules_[size_t(module)];
    const Part& part = m.parts[size];
    const size_t n = ids.size();
    CHECK(n > 0 && int64_t(n) <= part.max_tokens, "a step of {} tokens, module {}", n, module);
    CHECK(position >= 0 && position + int64_t(n) <= options_.context, "position {} + {}", position, n);
    std::vector<int32_t> slot(n), span(2 * n);
    std::iota(slot.begin(), slot.end(), int32_t(position));
    for (size_t i = 0; i < n; ++i) span[2 * i + 1] = int32_t(position) + int32_t(i) + 1;
    std::vector<float> rope(n * size_t(config().qk_rope_head_dim));
    rope_table(inv_freq_, rope_cos_sin_multiplier(config()), slot, rope.data());
    const bool every = options_.all_rows || (module == 0 && size == kFew);
    std::vector<int32_t> rows(every ? n : 1);
    std::iota(rows.begin(), rows.end(), every ? 0 : int32_t(n) - 1);

    const StepInputs& in = part.model.inputs;
    std::vector<std::pair<ValueId, const void*>> inputs = {{in.ids, ids.data()},
                                                           {in.rope, rope.data()},
                                                           {in.slot, slot.data()},
                                                           {in.span, span.data()},
                                                           {in.rows, rows.data()}};
    if (hidden) inputs.emplace_back(in.hidden, hidden);
    Step step;
    step.bind = {int64_t(n), int64_t(rows.size())};
    step.inputs = inputs;
    step.state_first = position;
    step.state_count = int64_t(n);
    m.read = false;
    VKS_TRY(executor_->run(*plan(size_t(module), size), step));
    m.last = size;
    m.read = true;
    m.tokens = int64_t(n);
    m.rows = int64_t(rows.size());

    if (part.final_norm == kAbsent) {
        hidden_.clear();
        return {};
    }
    const Graph& graph = *part.model.graph;
    hidden_.resize(size_t(graph.bytes(graph.values[part.final_norm], step.bind)));
    return executor_->read(*plan(size_t(module), size), part.final_norm, hidden_.data());
}

Status Engine::step(std::span<const int32_t> ids, int64_t position) {
    position_ = position;
    prompt_ = true;
    return run(0, size_for(0, ids.size(), position), ids, position, nullptr);
}

Status Engine::verify(std::span<const int32_t> ids, int64_t position) {
    position_ = position;
    prompt_ = false;
    CHECK(std::ssize(ids) <= options_.draft + 1, "{} ids to verify, {} drafts at most", ids.size(), options_.draft);
    return run(0, size_for(0, ids.size(), position), ids, position, nullptr);
}

Status Engine::mtp_step(int k, std::span<const int32_t> next_ids) {
    CHECK(int64_t(next_ids.size()) == modules_[0].tokens, "MTP module {} with {} tokens", k, next_ids.size());
    const std::vector<std::byte> hidden = std::move(hidden_);
    return mtp_step(k, next_ids, position_, hidden.data());
}

Status Engine::mtp_step(int k, std::span<const int32_t> next_ids, int64_t position, const std::byte* hidden) {
    CHECK(k >= 1 && k <= options_.mtp, "MTP module {} of {}", k, options_.mtp);
    return run(k, size_for(k, next_ids.size(), position), next_ids, position, hidden);
}

const Plan& Engine::last_plan(int module) const {
    const Module& m = modules_[size_t(module)];
    CHECK(m.read, "module {} has run no step since its plans were made", module);
    return *plan(size_t(module), m.last);
}

Result<std::vector<float>> Engine::read_floats(int module, const std::string& name) {
    const Plan& plan = last_plan(module);
    const Module& m = modules_[size_t(module)];
    const ValueId id = plan.graph->find(name);
    CHECK(id != kAbsent, "no value {}", name);
    const Value& value = plan.graph->values[id];
    std::vector<std::byte> raw(size_t(plan.graph->bytes(value, {m.tokens, m.rows})));
    VKS_TRY(executor_->read(plan, id, raw.data()));
    std::vector<float> values;
    append_floats(raw, value.dtype, values);
    return values;
}

Result<std::vector<float>> Engine::logits() {
    return read_floats(0, "logits");
}

Result<std::vector<float>> Engine::mtp_logits(int k) {
    return read_floats(k, "logits");
}

template <>
Result<std::vector<float>> Engine::traced<float>(const std::string& name) {
    return read_floats(0, name);
}

template <>
Result<std::vector<int32_t>> Engine::traced<int32_t>(const std::string& name) {
    const Plan& plan = last_plan(0);
    const ValueId id = plan.graph->find(name);
    CHECK(id != kAbsent && plan.graph->values[id].dtype == VKS_I32, "no integer value {}", name);
    std::vector<int32_t> values(size_t(plan.graph->bytes(plan.graph->values[id], {modules_[0].tokens, 1})) /
                                sizeof(int32_t));
    VKS_TRY(executor_->read(plan, id, values.data()));
    return values;
}

Result<std::vector<float>> Engine::cache(int64_t layer, int64_t first, int64_t count) {
    const int64_t module = std::max<int64_t>(0, layer - config().num_hidden_layers + 1);
    const Plan& any = *plan(size_t(module), kSingle);
    const ValueId id = any.graph->find(fmt::format("kv.{}", layer));
    CHECK(id != kAbsent, "layer {} has no cache here", layer);
    const Value& value = any.graph->values[id];
    std::vector<std::byte> raw(size_t(count * config().kv_cache_width() * abi::element_bytes(value.dtype)));
    VKS_TRY(executor_->read_state(any, id, first, count, raw.data()));
    std::vector<float> values;
    append_floats(raw, value.dtype, values);
    return values;
}

bool Engine::find_row_bits() const {
    const Plan *few = plan(0, kFew), *single = plan(0, kSingle);
    if (!few || few->report.size() != single->report.size()) return false;
    std::set<const Device*> used;
    for (size_t i = 0; i < few->report.size(); ++i) {
        const Device* device = few->devices[few->report[i].device].device;
        if (device != single->devices[single->report[i].device].device) return false;
        used.insert(device);
    }
    return std::all_of(used.begin(), used.end(), [&](const Device* d) {
        return promises_row_bits(d->plugin(), modules_[0].parts[kFew].max_tokens);
    });
}

std::map<std::string, std::string> Engine::where() const {
    std::map<std::string, std::set<std::string>> where;
    each_plan([&](const Plan& plan, const Part&) {
        for (size_t i = 0; i < plan.report.size(); ++i)
            where[plan.graph->nodes[i].op_name()].insert(plan.devices[plan.report[i].device].device->id());
    });
    std::map<std::string, std::string> joined;
    for (const auto& [op, ids] : where)
        for (const std::string& id : ids) joined[op] += (joined[op].empty() ? "" : ",") + id;
    return joined;
}

std::string Engine::explain() const {
    std::string text;
    each_plan([&](const Plan& plan, const Part& part) {
        text += fmt::format("plan {}, up to {} tokens a step{}\n{}", plan.graph->name, part.max_tokens,
                            part.expanded ? ", " + attention_rule(config()) : "", plan.explain());
    });
    return text;
}

}  // namespace vks
