#include "plugins/args/args.h"

#include "plugins/args/ops/grouped_gemm.h"

namespace vks::args {
namespace {

// Larger dims are refused, so that the operators' own arithmetic on two of them can't overflow.
constexpr int64_t kMaxExtent = int64_t{1} << 40;

}  // namespace

bool understood(const vks_tensor& t, std::string& text) {
    if (t.dtype == VKS_NONE) {
        if (t.rank == 0) return true;
        text = "wanted rank 0 for an absent argument, found " + std::to_string(t.rank);
        return false;
    }
    bool ok = true;
    reach(t, ok);
    if (abi::element_bytes(t.dtype) == 0) {
        text = "wanted a known dtype, found " + std::to_string(t.dtype);
    } else if (t.layout != VKS_ROW_MAJOR || (t.flags & ~uint32_t{VKS_TENSOR_CONSTANT}) != 0) {
        text = "wanted row-major without unknown flags, found layout " + std::to_string(t.layout) + ", flags " +
               std::to_string(t.flags);
    } else if (!ok || !abi::contiguous(t)) {
        text = "wanted 1 to 4 dimensions, contiguous";
    } else {
        return true;
    }
    return false;
}

Arg at_maximum(const vks_tensor& t) {
    Arg arg;
    arg.dtype = t.dtype;
    arg.rank = t.rank;
    for (uint32_t i = 0; i < t.rank; ++i) arg.dim[i] = abi::extent(t, i);
    return arg;
}

std::string read_question(const vks_op& op, uint64_t params_size, uint32_t outputs, std::vector<Arg>& arguments) {
    using grouped_gemm::kMaxArgs;
    const std::string id = op.op;
    if (op.params_size != params_size)
        return id + " params: wanted " + std::to_string(params_size) + " bytes, found " +
               std::to_string(op.params_size);
    if (op.arg_count > kMaxArgs)
        return id + ": wanted at most " + std::to_string(kMaxArgs) + " arguments, found " +
               std::to_string(op.arg_count);
    std::string text;
    for (size_t i = 0; i < op.arg_count; ++i) {
        const vks_tensor& t = op.args[i];
        const bool fixed = (t.flags & VKS_TENSOR_CONSTANT) != 0 && written(i, op.arg_count, outputs);
        if (!understood(t, text) || fixed)
            return id + " argument " + std::to_string(i) + ": " +
                   (text.empty() ? "wanted an output, found a constant" : text);
        arguments.push_back(at_maximum(t));
    }
    return {};
}

const char* unwritable(uint32_t kind) {
    return kind == VKS_BUFFER_IMPORT ? "wanted memory that can be written, found read-only" : nullptr;
}

const char* mismatch(const vks_tensor& declared, const vks_tensor& given) {
    if (given.dtype != declared.dtype) return "another dtype than prepared";
    if (given.rank != declared.rank) return "another rank than prepared";
    if (given.layout != VKS_ROW_MAJOR || given.flags != 0) return "not row-major";
    for (uint32_t i = 0; i < given.rank; ++i) {
        const int64_t maximum = declared.dim[i];
        const bool fits = maximum < 0 ? given.dim[i] >= 0 && given.dim[i] <= -maximum : given.dim[i] == maximum;
        if (!fits) return "another dim than prepared";
    }
    return abi::contiguous(given) ? nullptr : "not contiguous";
}

uint64_t reach(const vks_tensor& t, bool& ok) {
    if (t.rank < 1 || t.rank > 4) {
        ok = false;
        return 0;
    }
    // The last element's index, and whether there is one at all.
    int64_t last = 0;
    bool empty = false;
    for (uint32_t i = 0; i < t.rank; ++i) {
        if (t.dim[i] < -kMaxExtent || t.dim[i] > kMaxExtent || t.stride[i] < 0) ok = false;
        if (!ok) return 0;
        const int64_t n = abi::extent(t, i);
        int64_t span = 0;
        if (n == 0) {
            empty = true;
        } else if (__builtin_mul_overflow(n - 1, t.stride[i], &span) || __builtin_add_overflow(last, span, &last)) {
            ok = false;
            return 0;
        }
    }
    if (last > INT64_MAX / 8 - 1) ok = false;
    return empty || !ok ? 0 : static_cast<uint64_t>((last + 1) * abi::element_bytes(t.dtype));
}

}  // namespace vks::args
