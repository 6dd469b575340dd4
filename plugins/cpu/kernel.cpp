// query, prepare and launch: everything a caller might get wrong is found here, the operators trust their arguments.
#include "plugins/cpu/kernel.h"

#include <algorithm>
#include <cstring>

#include "plugins/cpu/op_list.h"

namespace vks::cpu {
namespace {

using abi::fail;
using args::mismatch;
using args::unwritable;
using args::written;

const Op* find(const char* id) {
    for (const Op* op : op_list()) {
        if (std::strcmp(op->id, id) == 0) return op;
    }
    return nullptr;
}

struct Resolved {
    const Op* op = nullptr;
    const Variant* variant = nullptr;
    std::vector<Arg> args;
    Signature signature;
    uint64_t scratch_bytes = 0;
};

const Variant* choose(const vks_device& device, const Op& op, const Signature& signature) {
    for (const Variant* variant : op.variants) {
        const bool plain = variant == op.variants.back();
        const bool portable = variant->name == nullptr;
        if (!plain && device.portable_only && !portable) continue;
        if (variant->usable && !variant->usable(signature)) continue;
        const char* name = portable ? variant->dynamic_name() : variant->name;
        if (!plain && !device.variant.empty() && device.variant != name) continue;
        return variant;
    }
    return nullptr;
}

// Finds the implementation of `op`, or says UNSUPPORTED with the reason.
vks_status resolve(const vks_device& device, const vks_op& op, Resolved& out, vks_error* error) {
    if (op.size < sizeof(vks_op) || !op.op || (op.arg_count != 0 && !op.args) || (op.params_size != 0 && !op.params)) {
        return fail(error, VKS_INVALID,
                    "vks_op: wanted a name, arguments and params, found a null pointer or size %llu",
                    static_cast<unsigned long long>(op.size));
    }
    out.op = find(op.op);
    if (!out.op) return fail(error, VKS_UNSUPPORTED, "unknown operator %.64s", op.op);
    std::string text = args::read_question(op, out.op->params_size, out.op->outputs, out.args);
    if (!text.empty()) return fail(error, VKS_UNSUPPORTED, "%s", text.c_str());
    out.signature = {{out.args, op.params, op.params_size}, device.pool.threads()};
    text = out.op->check(out.signature);
    if (!text.empty()) return fail(error, VKS_UNSUPPORTED, "%s %s", op.op, text.c_str());
    out.variant = choose(device, *out.op, out.signature);
    if (!out.variant) return fail(error, VKS_UNSUPPORTED, "%s: no variant for these arguments", op.op);
    out.scratch_bytes = out.variant->scratch ? out.variant->scratch(out.signature) : 0;
    return VKS_OK;
}

}  // namespace

std::byte* locate(const vks_device& device, const vks_tensor& t, const char* what, vks_error* error) {
    bool ok = true;
    const uint64_t bytes = args::reach(t, ok);
    const vks_buffer* buffer = t.buffer;
    const char* wrong = nullptr;
    if (!ok) {
        wrong = "bad dims or strides";
    } else if (!buffer || buffer->device != &device) {
        wrong = "no buffer of this device";
    } else if (t.offset > buffer->bytes || bytes > buffer->bytes - t.offset) {
        wrong = "a tensor that leaves its buffer";
    } else if ((reinterpret_cast<uintptr_t>(buffer->data) + t.offset) %
               static_cast<uint64_t>(std::max<int64_t>(1, abi::element_bytes(t.dtype)))) {
        wrong = "an address that is no multiple of the element size";
    }
    if (wrong) {
        fail(error, VKS_INVALID, "%s: found %s", what, wrong);
        return nullptr;
    }
    return buffer->data + t.offset;  // cppcheck-suppress nullPointerRedundantCheck ; no buffer is something wrong
}

vks_status query(vks_device& device, const vks_op& op, vks_support& support, vks_error* error) {
    Resolved resolved;
    const vks_status status = resolve(device, op, resolved, error);
    if (status != VKS_OK && status != VKS_UNSUPPORTED) return status;
    support.verdict = status;
    support.scratch_bytes = resolved.scratch_bytes;
    support.est_ns = 0;
    if (status == VKS_UNSUPPORTED) return VKS_OK;
    if (support.arg_layout) std::fill_n(support.arg_layout, op.arg_count, uint32_t{VKS_ROW_MAJOR});
    const Variant& variant = *resolved.variant;
    std::snprintf(support.variant, sizeof support.variant, "%s", variant.name ? variant.name : variant.dynamic_name());
    return VKS_OK;
}

vks_status prepare(vks_device& device, const vks_op& op, std::unique_ptr<vks_kernel>& kernel, vks_error* error) {
    Resolved resolved;
    const vks_status status = resolve(device, op, resolved, error);
    if (status != VKS_OK) return status;
    auto made = std::make_unique<vks_kernel>();
    made->device = &device;
    made->op = resolved.op;
    made->variant = resolved.variant;
    made->scratch_bytes = resolved.scratch_bytes;
    if (op.params_size > made->params.size()) return fail(error, VKS_INTERNAL, "%s: params too large", op.op);
    if (op.params_size != 0) std::memcpy(made->params.data(), op.params, op.params_size);
    made->bound.args = std::move(resolved.args);
    made->declared.assign(op.args, op.args + op.arg_count);
    for (uint32_t i = 0; i < op.arg_count; ++i) {
        if (op.args[i].dtype == VKS_NONE) continue;
        if (!(op.args[i].flags & VKS_TENSOR_CONSTANT)) {
            made->given.push_back(i);
            continue;
        }
        Arg& constant = made->bound.args[i];
        constant.data = locate(device, op.args[i], resolved.op->id, error);
        if (!constant.data) return VKS_INVALID;
    }
    made->bound.given.reserve(made->given.size());
    kernel = std::move(made);
    return VKS_OK;
}

namespace {

// Brings what a launch was given into kernel.bound.args, or says what is wrong with it.
vks_status bind(const vks_kernel& kernel, std::span<const vks_tensor> given, vks_error* error) {
    const char* id = kernel.op->id;
    const vks_device& device = *kernel.device;
    const std::span<Arg> args = kernel.bound.args;
    for (size_t i = 0; i < given.size(); ++i) {
        const uint32_t slot = kernel.given[i];
        if (const char* wrong = mismatch(kernel.declared[slot], given[i])) {
            return fail(error, VKS_INVALID, "%s argument %u: found %s", id, slot, wrong);
        }
        std::copy_n(given[i].dim, given[i].rank, args[slot].dim);
        args[slot].data = locate(device, given[i], id, error);
        if (!args[slot].data) return VKS_INVALID;
        const bool output = written(slot, args.size(), kernel.op->outputs);
        if (const char* wrong = output ? unwritable(given[i].buffer->kind) : nullptr) {
            return fail(error, VKS_INVALID, "%s argument %u: %s", id, slot, wrong);
        }
    }
    // With the actual dims, the check also says whether they agree with each other.
    const Signature signature{{args, kernel.params.data(), kernel.op->params_size}, device.pool.threads()};
    if (const std::string text = kernel.op->check(signature); !text.empty()) {
        return fail(error, VKS_INVALID, "%s %s", id, text.c_str());
    }
    return VKS_OK;
}

std::byte* bind_scratch(const vks_kernel& kernel, const vks_tensor* scratch, vks_error* error) {
    const char* id = kernel.op->id;
    if (!scratch) {
        fail(error, VKS_INVALID, "%s: wanted scratch memory, found none", id);
        return nullptr;
    }
    bool ok = true;
    const uint64_t bytes = args::reach(*scratch, ok);
    std::byte* space = ok ? locate(*kernel.device, *scratch, id, error) : nullptr;
    if (const char* wrong = space ? unwritable(scratch->buffer->kind) : nullptr) {
        fail(error, VKS_INVALID, "%s scratch: %s", id, wrong);
        return nullptr;
    }
    if (space && bytes >= kernel.scratch_bytes && reinterpret_cast<uintptr_t>(space) % 64 == 0) return space;
    fail(error, VKS_INVALID, "%s scratch: wanted %llu bytes, 64-byte aligned, found %llu", id,
         static_cast<unsigned long long>(kernel.scratch_bytes), static_cast<unsigned long long>(bytes));
    return nullptr;
}

}  // namespace

vks_status launch(vks_stream& stream, const vks_kernel& kernel, const vks_tensor* given, uint64_t count,
                  const vks_tensor* scratch, vks_error* error) {
    const char* id = kernel.op->id;
    vks_device& device = *stream.device;
    if (kernel.device != &device) return fail(error, VKS_INVALID, "%s: a kernel of another device", id);
    if (count != kernel.given.size() || (count != 0 && !given)) {
        return fail(error, VKS_INVALID, "%s launch arguments: wanted %zu, found %llu", id, kernel.given.size(),
                    static_cast<unsigned long long>(count));
    }
    Bound& bound = kernel.bound;
    const std::lock_guard lock(bound.mutex);
    const uint64_t freed = device.freed.load(std::memory_order_relaxed);
    if (bound.given.size() != count || bound.freed != freed ||
        (count != 0 && std::memcmp(bound.given.data(), given, count * sizeof *given) != 0)) {
        bound.given.clear();
        if (const vks_status status = bind(kernel, {given, count}, error); status != VKS_OK) return status;
        bound.given.assign(given, given + count);
        bound.freed = freed;
    }
    std::byte* space = nullptr;
    if (kernel.scratch_bytes != 0) {
        space = bind_scratch(kernel, scratch, error);
        if (!space) return VKS_INVALID;
    }
    kernel.variant->run({bound.args, kernel.params.data(), space, &device.pool, stream.ahead.launched(kernel)});
    return VKS_OK;
}

}  // namespace vks::cpu
