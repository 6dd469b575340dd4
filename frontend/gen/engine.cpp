#include "frontend/gen/engine.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <numeric>
#include <set>

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
    engine->state_ = std::make_unique<State>();
    engine->executor_ = std::make_unique<Executor>(trace);
    VKS_TRY(engine->prepare(registry));
    return engine;
}

Result<Preference> Engine::preference(Registry& registry, const std::string& first_op) {
    Preference p;
    const std::string open_options = options_.threads > 0 ? fmt::format("threads={}", options_.threads) : "";
    const auto add = [&](const std::string& name) -> Result<Device*> {
        auto entries = registry.select(name);
        if (!entries)
            return Error{entries.error().code,
                         fmt::format("operator {}: wanted a backend, found none: {}", first_op, entries.error().text)};
        Device* first = nullptr;
        for (DeviceEntry* entry : *entries) {
            VKS_ASSIGN(Device * device, registry.open(*entry, open_options));
            if (!first) first = device;
            if (std::find(p.order.begin(), p.order.end(), device) == p.order.end()) p.order.push_back(device);
        }
        return first;
    };
    for (const std::string& name : options_.backends) VKS_TRY(add(name));
    p.general = p.order.size();
    p.cheapest = options_.backends == std::vector<std::string>{"auto"};
    for (const auto& [op, backend] : options_.op_backend) {
        VKS_ASSIGN(p.per_op[op], add(backend));
    }
    return p;
}

Result<Engine::Part> Engine::make_part(int module, int64_t max_tokens, int64_t max_rows, const Preference& preference) {
    ModelOptions m;
    m.half = options_.half;
    m.w8a8 = options_.w8a8;
    m.context = options_.context;
    m.max_tokens = max_tokens;
    m.max_rows = options_.all_rows ? max_tokens : max_rows;
    m.trace = options_.trace;
    // The last module's own output is for drafts beyond the number of modules.
    m.hidden_out = module < options_.mtp || (module > 0 && options_.draft > options_.mtp);
    VKS_ASSIGN(ModelGraph model, module == 0 ? build_main(checkpoint_, m) : build_mtp(checkpoint_, module, m));
    Part part;
    part.inputs = model.inputs;
    part.max_tokens = max_tokens;
    VKS_ASSIGN(part.plan, make_plan(model.graph, preference, weights_, *state_));
    return part;
}

Status Engine::prepare(Registry& registry) {
    VKS_ASSIGN(const Preference preference, preference(registry, "embed"));
    for (int module = 0; module <= options_.mtp; ++module) {
        Module m;
        VKS_ASSIGN(m.single, make_part(module, 1, 1, preference));
        if (options_.chunk > 1) {
            VKS_ASSIGN(m.chunk, make_part(module, options_.chunk, 1, preference));
        }
        if (options_.draft > 0) {
            const int64_t few = std::min(options_.draft + 1, options_.context);
            VKS_ASSIGN(m.few, make_part(module, few, module == 0 ? few : 1, preference));
        }
        modules_.push_back(std::move(m));
    }
    return {};
}

std::vector<const Engine::Part*> Engine::Module::parts() const {
    std::vector<const Part*> there;
    for (const Part* part : {&chunk, &few, &single})
        if (part->plan) there.push_back(part);
    return there;
}

Status Engine::run(int module, Part& part, std::span<const int32_t> ids, int64_t position, const std::byte* hidden) {
    const size_t n = ids.size();
    CHECK(n > 0 && int64_t(n) <= part.max_tokens, "a step of {} tokens, module {}", n, module);
    CHECK(position >= 0 && position + int64_t(n) <= options_.context, "position {} + {}", position, n);
    std::vector<int32_t> slot(n), span(2 * n);
    std::iota(slot.begin(), slot.end(), int32_t(position));
    for (size_t i = 0; i < n; ++i) span[2 * i + 1] = int32_t(position) + int32_t(i) + 1;
    std::vector<float> rope(n * size_t(config().qk_rope_head_dim));
    rope_table(inv_freq_, rope_cos_sin_multiplier(config()), slot, rope.data());
    Module& m = modules_[size_t(module)];
    const bool every = options_.all_rows || (module == 0 && &part == &m.few);
    std::vector<int32_t> rows(every ? n : 1);
    std::iota(rows.begin(), rows.end(), every ? 0 : int32_t(n) - 1);

    const StepInputs& in = part.inputs;
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
    VKS_TRY(executor_->run(*part.plan, step));
    m.last = &part;
    m.tokens = int64_t(n);
    m.rows = int64_t(rows.size());

    const Graph& graph = *part.plan->graph;
    const ValueId norm = graph.find("final_norm");
    if (norm == kAbsent) {
        hidden_.clear();
        return {};
    }
    hidden_.resize(size_t(graph.bytes(graph.values[norm], step.bind)));
    return executor_->read(*part.plan, norm, hidden_.data());
}

Status Engine::step(std::span<const int32_t> ids, int64_t position) {
    position_ = position;
    return run(0, ids.size() == 1 ? modules_[0].single : modules_[0].chunk, ids, position, nullptr);
}

Status Engine::verify(std::span<const int32_t> ids, int64_t position) {
    position_ = position;
    return run(0, ids.size() == 1 ? modules_[0].single : modules_[0].few, ids, position, nullptr);
}

Status Engine::mtp_step(int k, std::span<const int32_t> next_ids) {
    CHECK(int64_t(next_ids.size()) == modules_[0].tokens, "MTP module {} with {} tokens", k, next_ids.size());
    const std::vector<std::byte> hidden = std::move(hidden_);
    return mtp_step(k, next_ids, position_, hidden.data());
}

Status Engine::mtp_step(int k, std::span<const int32_t> next_ids, int64_t position, const std::byte* hidden) {
    CHECK(k >= 1 && k <= options_.mtp, "MTP module {} of {}", k, options_.mtp);
    Module& m = modules_[size_t(k)];
    Part& several = int64_t(next_ids.size()) <= m.few.max_tokens ? m.few : m.chunk;
    return run(k, next_ids.size() == 1 ? m.single : several, next_ids, position, hidden);
}

Result<std::vector<float>> Engine::read_floats(const Module& module, const std::string& name) {
    const Plan& plan = *module.last->plan;
    const ValueId id = plan.graph->find(name);
    CHECK(id != kAbsent, "no value {}", name);
    const Value& value = plan.graph->values[id];
    std::vector<std::byte> raw(size_t(plan.graph->bytes(value, {module.tokens, module.rows})));
    VKS_TRY(executor_->read(plan, id, raw.data()));
    std::vector<float> values;
    append_floats(raw, value.dtype, values);
    return values;
}

Result<std::vector<float>> Engine::logits() {
    return read_floats(modules_[0], "logits");
}

Result<std::vector<float>> Engine::mtp_logits(int k) {
    return read_floats(modules_[size_t(k)], "logits");
}

template <>
Result<std::vector<float>> Engine::traced<float>(const std::string& name) {
    return read_floats(modules_[0], name);
}

template <>
Result<std::vector<int32_t>> Engine::traced<int32_t>(const std::string& name) {
    const Plan& plan = *modules_[0].last->plan;
    const ValueId id = plan.graph->find(name);
    CHECK(id != kAbsent && plan.graph->values[id].dtype == VKS_I32, "no integer value {}", name);
    std::vector<int32_t> values(size_t(plan.graph->bytes(plan.graph->values[id], {modules_[0].tokens, 1})) /
                                sizeof(int32_t));
    VKS_TRY(executor_->read(plan, id, values.data()));
    return values;
}

Result<std::vector<float>> Engine::cache(int64_t layer, int64_t first, int64_t count) {
    const int64_t module = std::max<int64_t>(0, layer - config().num_hidden_layers + 1);
    const Plan& plan = *modules_[size_t(module)].single.plan;
    const ValueId id = plan.graph->find(fmt::format("kv.{}", layer));
    CHECK(id != kAbsent, "layer {} has no cache here", layer);
    const Value& value = plan.graph->values[id];
    std::vector<std::byte> raw(size_t(count * config().kv_cache_width() * abi::element_bytes(value.dtype)));
    VKS_TRY(executor_->read_state(plan, id, first, count, raw.data()));
    std::vector<float> values;
    append_floats(raw, value.dtype, values);
    return values;
}

std::map<std::string, std::string> Engine::placement() const {
    std::map<std::string, std::set<std::string>> where;
    for (const Module& m : modules_)
        for (const Part* part : m.parts())
            for (size_t i = 0; i < part->plan->report.size(); ++i)
                where[part->plan->graph->nodes[i].op_name()].insert(
                    part->plan->devices[part->plan->report[i].device].device->id());
    std::map<std::string, std::string> joined;
    for (const auto& [op, ids] : where)
        for (const std::string& id : ids) joined[op] += (joined[op].empty() ? "" : ",") + id;
    return joined;
}

std::string Engine::explain() const {
    std::string text;
    for (const Module& m : modules_)
        for (const Part* part : m.parts())
            text += fmt::format("plan {}, up to {} tokens a step\n{}", part->plan->graph->name, part->max_tokens,
                                part->plan->explain());
    return text;
}

std::map<std::string, uint64_t> Engine::bytes_by_device() const {
    std::map<std::string, uint64_t> bytes;
    for (const auto& [device, store] : weights_)
        bytes[device->id()] += store->imported_bytes() + store->owned_bytes() + state_->bytes(*device);
    for (const Module& m : modules_)
        for (const Part* part : m.parts())
            for (const DevicePlan& d : part->plan->devices)
                if (d.arena_bytes > 0) bytes[d.device->id()] += d.arena_bytes;
    return bytes;
}

}  // namespace vks
