// query and prepare: everything a caller might get wrong is found here, the operators trust their arguments.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "plugins/vulkan/device.h"

vks_kernel::~vks_kernel() {
    if (table.block) device->heap->release(table);
}

namespace vks::vulkan {
namespace {

const Op* find(const char* id) {
    for (const Op* op : op_list())
        if (std::strcmp(op->id, id) == 0) return op;
    return nullptr;
}

struct Resolved {
    const Op* op = nullptr;
    std::vector<Arg> args;
    Signature signature;
    Recipe recipe;
};

// Numbers that operators leave to shaders may be given as well.
void add_numbers(const vks_device& device, Program& program) {
    if (device.caps().tuning.empty()) return;
    const Reflection shader = reflect(device.pipelines->code(program.shader));
    for (const auto& [name, value] : device.caps().tuning.all(program.shader)) {
        const auto same = [&wanted = name](const auto& constant) { return constant.first == wanted; };
        if (shader.constants.contains(name) && std::none_of(program.constants.begin(), program.constants.end(), same))
            program.constants.emplace_back(name, value);
    }
}

// Vulkan promises no more than four; most devices take more than any shader has, and reading shaders takes long.
std::string too_many_buffers(const vks_device& device, const std::string& shader) {
    constexpr uint32_t kUsual = 16;
    const uint32_t most = device.caps().max_buffers;
    if (most >= kUsual) return {};
    const size_t found = reflect(device.pipelines->code(shader)).bindings.size();
    if (found <= most) return {};
    return "shader " + shader + ": wanted at most " + std::to_string(most) + " buffers, found " + std::to_string(found);
}

// Fills `out`; or says why not: UNSUPPORTED and the reason.
std::string resolve(const vks_device& device, const vks_op& op, Resolved& out) {
    if (op.size < sizeof(vks_op) || !op.op || (op.arg_count != 0 && !op.args) || (op.params_size != 0 && !op.params))
        throw Failure(VKS_INVALID, "vks_op: wanted a name, arguments and params, found a null pointer or size " +
                                       std::to_string(op.size));
    out.op = find(op.op);
    const std::string id(op.op, strnlen(op.op, 64));
    if (!out.op) return "unknown operator " + id;
    std::string text = args::read_question(op, out.op->params_size, out.op->outputs, out.args);
    if (!text.empty()) return text;
    // Shaders count elements in 32 bits.
    for (size_t i = 0; i < out.args.size(); ++i)
        if (out.args[i] && abi::element_count(op.args[i]) >= int64_t{1} << 32)
            return id + " argument " + std::to_string(i) + ": more than 2^32 elements";
    out.signature = {out.args, op.params, op.params_size};
    text = out.op->check(out.signature);
    if (!text.empty()) return id + " " + text;
    out.recipe = out.op->recipe(device.caps(), out.signature);
    for (Program& program : out.recipe.programs) {
        if (out.recipe.refusal.empty() && !has_shader(program.shader))
            out.recipe.refusal = "shader " + program.shader + " is not in this build";
        if (out.recipe.refusal.empty()) out.recipe.refusal = too_many_buffers(device, program.shader);
        if (out.recipe.refusal.empty()) add_numbers(device, program);
    }
    return out.recipe.refusal.empty() ? "" : id + ": " + out.recipe.refusal;
}

// Pairs of words, low first, in the order of the arguments; 0 for an absent one.
void fill_table(vks_device& device, const vks_op& op, vks_kernel& kernel, std::pair<size_t, size_t> range) {
    std::vector<uint64_t> addresses;
    for (size_t i = range.first; i < range.second; ++i) {
        const vks_tensor& t = op.args[i];
        addresses.push_back(t.dtype == VKS_NONE ? 0 : t.buffer->range.address + t.offset);
    }
    if (addresses.empty()) return;
    kernel.table = device.heap->allocate(addresses.size() * sizeof(uint64_t), Memory::kHost);
    std::memcpy(kernel.table.mapped, addresses.data(), addresses.size() * sizeof(uint64_t));
}

vks_status finish(vks_device* device, vks_kernel* kernel, vks_error* error) noexcept {
    return guarded(error, [&] {
        if (!device || !kernel) throw Failure(VKS_INVALID, "found a null argument");
        for (const Pipeline* pipeline : kernel->pipelines) pipeline->handle.get();
        return vks_status{VKS_OK};
    });
}

}  // namespace

extern constinit const vks_compile_api kCompileApi = {.size = sizeof(vks_compile_api), .finish = finish};

std::vector<Program> programs_of(const vks_device& device, const vks_op& op) {
    Resolved resolved;
    const std::string refusal = resolve(device, op, resolved);
    if (!refusal.empty()) throw Failure(VKS_UNSUPPORTED, refusal);
    return std::move(resolved.recipe.programs);
}

vks_status query(vks_device& device, const vks_op& op, vks_support& support, vks_error* error) {
    Resolved resolved;
    const std::string refusal = resolve(device, op, resolved);
    support.verdict = refusal.empty() ? VKS_OK : VKS_UNSUPPORTED;
    support.scratch_bytes = resolved.recipe.scratch_bytes;
    support.est_ns = 0;
    if (!refusal.empty()) {
        abi::fail(error, VKS_UNSUPPORTED, "%s", refusal.c_str());
        return VKS_OK;
    }
    if (support.arg_layout) std::fill_n(support.arg_layout, op.arg_count, uint32_t{VKS_ROW_MAJOR});
    std::snprintf(support.variant, sizeof support.variant, "%s", resolved.recipe.variant.c_str());
    return VKS_OK;
}

std::unique_ptr<vks_kernel> prepare(vks_device& device, const vks_op& op) {
    Resolved resolved;
    const std::string refusal = resolve(device, op, resolved);
    if (!refusal.empty()) throw Failure(VKS_UNSUPPORTED, refusal);
    auto made = std::make_unique<vks_kernel>();
    made->device = &device;
    made->id = device.next_id();
    made->op = resolved.op;
    made->recipe = std::move(resolved.recipe);
    made->args = std::move(resolved.args);
    made->declared.assign(op.args, op.args + op.arg_count);
    if (op.params_size > made->params.size()) throw Failure(VKS_INTERNAL, std::string(op.op) + ": params too large");
    if (op.params_size != 0) std::memcpy(made->params.data(), op.params, op.params_size);
    for (uint32_t i = 0; i < op.arg_count; ++i) {
        if (op.args[i].dtype == VKS_NONE) continue;
        if (op.args[i].flags & VKS_TENSOR_CONSTANT) {
            locate(device, op.args[i], made->op->id);
        } else {
            made->given.push_back(i);
        }
    }
    for (const Program& program : made->recipe.programs) {
        const Pipeline& pipeline = device.pipelines->get(program);
        // Compiled before, and in vain: that is said now, not when somebody waits for it.
        if (pipeline.handle.wait_for(std::chrono::seconds(0)) == std::future_status::ready) pipeline.handle.get();
        made->pipelines.push_back(&pipeline);
    }
    if (made->op->table && device.caps().addresses)
        fill_table(device, op, *made, made->op->table(Signature{made->args, made->params.data(), op.params_size}));
    return made;
}

}  // namespace vks::vulkan
