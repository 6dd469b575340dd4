#include "backend/conformance/checker.h"

#include <algorithm>

#include "backend/base/log.h"
#include "backend/conformance/compare.h"

namespace vks::conformance {
namespace {

// Rows of output `arg` that mean something, `count` where all do: lists end where the last expert's part ends.
int64_t valid_rows(const Node& node, size_t arg, const Value& first_output, const Value& offsets, int64_t count) {
    const std::string op = node.op_name();
    if (op == "moe_dispatch" && arg == node.inputs + 1) return first_output.integer(first_output.count() - 1);
    if (op == "grouped_gemm") return offsets.integer(offsets.count() - 1);
    return count;
}

Value rows(const Value& value, int64_t count) {
    return count < value.rows() ? slice(value, 0, count) : value;
}

// Which of plan.args an argument of a node is.
const vks_tensor* launch_argument(const LaunchSite& site, ValueId id) {
    const size_t first = site.plan.launches[site.node].first_arg;
    for (size_t i = 0; i < site.args.size(); ++i)
        if (site.plan.arg_value[first + i] == id) return &site.args[i];
    return nullptr;
}

bool is_quantised(const Graph& graph, const Node& node) {
    return std::any_of(node.args.begin() + node.inputs, node.args.end(),
                       [&](ValueId id) { return id != kAbsent && graph.values[id].dtype == VKS_F8_E4M3; });
}

// As the cases of the operator have it.
double tolerance_of(const Graph& graph, const Node& node) {
    if (node.op_name() == "swiglu_quant" && is_quantised(graph, node)) return kScale;
    const bool half = std::any_of(node.args.begin(), node.args.end(), [&](ValueId id) {
        return id != kAbsent && graph.values[id].kind != Kind::kWeight && graph.values[id].dtype == VKS_BF16;
    });
    return tolerance(half ? VKS_BF16 : VKS_F32);
}

Compare how(uint32_t dtype) {
    if (dtype == VKS_F8_E4M3) return Compare::kCodes;
    return dtype == VKS_I32 ? Compare::kExact : Compare::kClose;
}

}  // namespace

std::string Disagreement::text() const {
    return fmt::format("check {} {} ({}, variant {}; {}): {}", op, node, device, variant, driver, problem);
}

void Checker::trust(Device& trusted) {
    if (trusted_ == &trusted) return;
    lane_.reset();
    weights_ = std::make_unique<WeightStore>(trusted);
    trusted_ = &trusted;
}

size_t Checker::choose(const Plan& plan) {
    if (steps_++ % options_.every != 0) return kNoNode;
    std::map<std::string, std::vector<size_t>> by_op;
    for (size_t i = 0; i < plan.graph->nodes.size(); ++i)
        if (&plan.devices[plan.report[i].device].device->plugin() != &trusted_->plugin())
            by_op[plan.graph->nodes[i].op_name()].push_back(i);
    if (by_op.empty()) return kNoNode;
    const auto turn = std::min_element(by_op.begin(), by_op.end(),
                                       [&](const auto& a, const auto& b) { return turn_[a.first] < turn_[b.first]; });
    turn_[turn->first] = steps_;
    return turn->second[nodes_[turn->first]++ % turn->second.size()];
}

// `written`: of a state, only the rows of this step; else all that are there.
Result<Checker::Held> Checker::read(const LaunchSite& site, size_t arg, bool written) {
    const Graph& graph = *site.plan.graph;
    const ValueId id = graph.nodes[site.node].args[arg];
    const vks::Value& declared = graph.values[id];
    const DevicePlan& here = site.plan.devices[site.plan.report[site.node].device];
    Location from = here.location[id];
    Held held;
    held.value.dtype = declared.dtype;
    for (const Dim& d : declared.shape) held.value.dim.push_back(d.bind(site.step.bind));
    if (declared.kind == Kind::kState) {
        held.first = written ? site.step.state_first : 0;
        const int64_t row = graph.bytes(declared, site.step.bind) / held.value.rows();
        held.value.dim[0] = site.step.state_first + site.step.state_count - held.first;
        from.offset += uint64_t(row * held.first);
        if (from.mapped) from.mapped += row * held.first;
    }
    held.value.bytes.resize(size_t(held.value.count() * abi::element_bytes(declared.dtype)));
    VKS_TRY(site.lane.download(from, held.value.bytes.data(), held.value.bytes.size()));
    return held;
}

Status Checker::before(const LaunchSite& site) {
    const Node& node = site.plan.graph->nodes[site.node];
    held_.assign(node.args.size(), {});
    for (size_t a = 0; a < node.inputs; ++a) {
        if (node.args[a] == kAbsent || site.plan.graph->values[node.args[a]].kind == Kind::kWeight) continue;
        VKS_ASSIGN(held_[a], read(site, a, false));
    }
    return {};
}

// The outputs, by argument, as the trusted device computes them.
Result<std::vector<Checker::Held>> Checker::recompute(const LaunchSite& site) {
    const Graph& graph = *site.plan.graph;
    const Node& node = graph.nodes[site.node];
    if (!lane_) {
        VKS_ASSIGN(lane_, Lane::create(*trusted_));
    }
    std::vector<vks_tensor> declared;
    const vks_op op = describe(graph, node, declared);
    const Support support = trusted_->query(op);
    if (!support.ok) return Error{Code::kNoBackend, support.reason};
    std::vector<Buffer> buffers;
    std::vector<vks_tensor> given;
    const auto place = [&](uint64_t bytes) -> Result<Location> {
        VKS_ASSIGN(Buffer buffer, trusted_->buffer(bytes, VKS_BUFFER_DEVICE, nullptr, "memory for a check"));
        const Location at = {buffer.get(), 0, static_cast<std::byte*>(trusted_->map(buffer))};
        buffers.push_back(std::move(buffer));
        return at;
    };
    std::vector<Location> at(node.args.size());
    for (size_t a = 0; a < node.args.size(); ++a) {
        if (node.args[a] == kAbsent) continue;
        const vks::Value& value = graph.values[node.args[a]];
        if (value.kind == Kind::kWeight) {
            VKS_ASSIGN(declared[a], weights_->get(graph, value, support.arg_layout[a]));
            continue;
        }
        VKS_ASSIGN(at[a], place(uint64_t(graph.bytes(value, site.step.bind))));
        if (a < node.inputs) VKS_TRY(lane_->upload(held_[a].value.bytes.data(), at[a], held_[a].value.bytes.size()));
        const vks_tensor* launched = launch_argument(site, node.args[a]);
        CHECK(launched, "{} of {} isn't launched", value.name, node.name);
        given.push_back(*launched);
        given.back().buffer = at[a].buffer;
        given.back().offset = 0;
    }
    VKS_ASSIGN(const Location scratch_at, place(std::max<uint64_t>(1, support.scratch_bytes)));
    vks_tensor scratch = abi::tensor(VKS_U8, {int64_t(support.scratch_bytes)});
    scratch.buffer = scratch_at.buffer;
    const std::string& what = site.plan.report[site.node].what;
    VKS_ASSIGN(const Kernel kernel, trusted_->prepare(op, what));
    VKS_TRY(trusted_->launch(lane_->stream(), kernel, given, support.scratch_bytes > 0 ? &scratch : nullptr, what));
    lane_->touched(what);
    VKS_TRY(lane_->finish());

    std::vector<Held> outputs(node.args.size());
    for (size_t a = node.inputs; a < node.args.size(); ++a) {
        if (node.args[a] == kAbsent) continue;
        Location from = at[a];
        outputs[a] = held_[a];  // the place of what the device gave
        Value& value = outputs[a].value;
        const auto skipped = uint64_t(outputs[a].first) * (value.bytes.size() / size_t(value.rows()));
        from.offset += skipped;
        if (from.mapped) from.mapped += skipped;
        VKS_TRY(lane_->download(from, value.bytes.data(), value.bytes.size()));
    }
    return outputs;
}

// Empty, or which output is wrong and how.
std::string Checker::compare(const LaunchSite& site, const std::vector<Held>& wanted, size_t arg, const Held& got) {
    const Graph& graph = *site.plan.graph;
    const Node& node = graph.nodes[site.node];
    const size_t offsets = node.op_name() == "grouped_gemm" ? 2 : arg;
    const int64_t valid =
        valid_rows(node, arg, wanted[node.inputs].value, held_[offsets].value, wanted[arg].value.rows());
    if (valid == 0) return {};
    const Value ours = rows(wanted[arg].value, valid), theirs = rows(got.value, valid);
    const std::string problem = conformance::compare(how(ours.dtype), theirs, ours, tolerance_of(graph, node));
    if (problem.empty()) return {};
    const int64_t at = worst_element(theirs, ours);
    return fmt::format("{}; argument {}, row {}, column {}: {}, on {} {}", problem, arg,
                       got.first + at / ours.columns(), at % ours.columns(), theirs.at(at), trusted_->id(),
                       ours.at(at));
}

Status Checker::after(const LaunchSite& site) {
    const Node& node = site.plan.graph->nodes[site.node];
    for (size_t a = node.inputs; a < node.args.size(); ++a) {
        if (node.args[a] == kAbsent) continue;
        VKS_ASSIGN(held_[a], read(site, a, true));
    }
    const auto wanted = recompute(site);
    if (!wanted) {
        log_line(LogLevel::kWarning,
                 fmt::format("check {}: {}", site.plan.report[site.node].what, wanted.error().text));
        return {};
    }
    ++checked_;
    for (size_t a = node.inputs; a < node.args.size(); ++a) {
        if (node.args[a] == kAbsent) continue;
        std::string problem = compare(site, *wanted, a, held_[a]);
        if (!problem.empty()) return report(site, std::move(problem));
    }
    return {};
}

Status Checker::report(const LaunchSite& site, std::string problem) {
    const Node& node = site.plan.graph->nodes[site.node];
    const NodeReport& report = site.plan.report[site.node];
    Device& device = *site.plan.devices[report.device].device;
    Disagreement found = {node.op_name(), node.name,          device.id(),
                          report.variant, device.info().name, std::move(problem)};
    if (device.info().detail[0]) found.driver += std::string(", ") + device.info().detail;
    const bool known = std::any_of(disagreements_.begin(), disagreements_.end(),
                                   [&](const Disagreement& d) { return d.op == found.op && d.device == found.device; });
    const std::string text = found.text();
    disagreements_.push_back(std::move(found));
    switch (options_.action) {
        case CheckAction::kSwap:
            device.mark(Health::kWrong, text);
            return Error{Code::kNoBackend, text};
        case CheckAction::kStop:
            return Error{Code::kMismatch, text};
        case CheckAction::kWarn:
            break;
    }
    if (!known) log_line(LogLevel::kWarning, text);
    return {};
}

}  // namespace vks::conformance
