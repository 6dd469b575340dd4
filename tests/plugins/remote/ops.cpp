// The operators of the remote test plugin in plain code, and its packed layout.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "backend/abi/ops.h"
#include "tests/plugins/remote/device.h"

namespace vks::remote {
namespace {

using abi::fail;

float load(uint32_t dtype, const std::byte* at, int64_t i) {
    if (dtype == VKS_BF16) {
        uint16_t bits = 0;
        std::memcpy(&bits, at + 2 * i, sizeof bits);
        return std::bit_cast<float>(uint32_t{bits} << 16);
    }
    float value = 0;
    std::memcpy(&value, at + 4 * i, sizeof value);
    return value;
}

void store(uint32_t dtype, std::byte* at, int64_t i, float value) {
    if (dtype == VKS_F32) {
        std::memcpy(at + 4 * i, &value, sizeof value);
        return;
    }
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const bool nan = (bits & 0x7fffffff) > 0x7f800000;
    const auto rounded = static_cast<uint16_t>(nan ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    std::memcpy(at + 2 * i, &rounded, sizeof rounded);
}

// One argument of a running op.
struct Array {
    explicit Array(const vks_tensor& t) : tensor(t), at(address(t)) {}
    int64_t rows() const { return tensor.dim[0]; }
    int64_t columns() const { return tensor.rank > 1 ? tensor.dim[1] : 1; }
    float get(int64_t i) const {
        if (tensor.layout == kReversed) return load(VKS_F32, at, tensor.dim[0] - 1 - i);
        return load(tensor.dtype, at, i);
    }
    float get(int64_t row, int64_t column) const { return get(row * columns() + column); }
    int32_t integer(int64_t i) const {
        int32_t value = 0;
        std::memcpy(&value, at + 4 * i, sizeof value);
        return value;
    }
    void set(int64_t row, int64_t column, float value) const {
        store(tensor.dtype, at, row * columns() + column, value);
    }

    const vks_tensor& tensor;
    std::byte* at;
};

template <class P>
P params_of(const vks_kernel& kernel) {
    P params;
    std::memcpy(&params, kernel.params.data(), sizeof params);
    return params;
}

template <class X>
void norm_row(const X& x, const Array& w, float eps, int64_t columns, const Array& y, int64_t row) {
    double sum = 0;
    for (int64_t c = 0; c < columns; ++c) sum += double(x(c)) * x(c);
    const float inverse = float(1 / std::sqrt(sum / double(columns) + eps));
    for (int64_t c = 0; c < columns; ++c) y.set(row, c, x(c) * inverse * w.get(c));
}

void embed(const vks_kernel&, const vks_tensor* args) {
    const Array ids(args[0]), table(args[1]), y(args[2]);
    for (int64_t t = 0; t < y.rows(); ++t) {
        const int64_t id = ids.integer(t);
        const bool known = id >= 0 && id < table.rows();
        for (int64_t c = 0; c < y.columns(); ++c) y.set(t, c, known ? table.get(id, c) : 0);
    }
}

void rms_norm(const vks_kernel& kernel, const vks_tensor* args) {
    const Array x(args[0]), w(args[1]), y(args[2]);
    const float eps = params_of<vks_norm_params>(kernel).eps;
    for (int64_t t = 0; t < x.rows(); ++t) norm_row([&](int64_t c) { return x.get(t, c); }, w, eps, x.columns(), y, t);
}

void add_rms_norm(const vks_kernel& kernel, const vks_tensor* args) {
    const Array x(args[0]), delta(args[1]), w(args[2]), sum(args[3]), y(args[4]);
    const float eps = params_of<vks_norm_params>(kernel).eps;
    for (int64_t t = 0; t < x.rows(); ++t) {
        for (int64_t c = 0; c < x.columns(); ++c) sum.set(t, c, x.get(t, c) + delta.get(t, c));
        norm_row([&](int64_t c) { return sum.get(t, c); }, w, eps, x.columns(), y, t);
    }
}

void swiglu(const vks_kernel&, const vks_tensor* args) {
    const Array gate(args[0]), up(args[1]), y(args[2]);
    for (int64_t t = 0; t < y.rows(); ++t)
        for (int64_t c = 0; c < y.columns(); ++c) {
            const float g = gate.get(t, c);
            y.set(t, c, g / (1 + std::exp(-g)) * up.get(t, c));
        }
}

void add(const vks_kernel&, const vks_tensor* args) {
    const Array a(args[0]), b(args[1]), y(args[2]);
    for (int64_t t = 0; t < y.rows(); ++t)
        for (int64_t c = 0; c < y.columns(); ++c) y.set(t, c, a.get(t, c) + b.get(t, c));
}

void mla_rope_append(const vks_kernel& kernel, const vks_tensor* args) {
    const Array q(args[0]), kv(args[1]), w(args[2]), table(args[3]), slot(args[4]), cache(args[5]), q_pe(args[6]);
    const auto p = params_of<vks_mla_rope_append_params>(kernel);
    const int64_t lora = p.lora, rope = p.rope, head = int64_t(p.nope) + p.rope;
    for (int64_t t = 0; t < q.rows(); ++t) {
        const auto rotate = [&](const Array& from, int64_t first, const Array& to, int64_t row, int64_t at) {
            for (int64_t i = 0; i < rope; i += 2) {
                const float cosine = table.get(t, i), sine = table.get(t, i + 1);
                const float a = from.get(t, first + i), b = from.get(t, first + i + 1);
                to.set(row, at + i, a * cosine - b * sine);
                to.set(row, at + i + 1, a * sine + b * cosine);
            }
        };
        const int64_t row = slot.integer(t);
        if (row >= 0 && row < cache.rows()) {
            norm_row([&](int64_t c) { return kv.get(t, c); }, w, p.eps, lora, cache, row);
            rotate(kv, lora, cache, row, lora);
        }
        for (int64_t h = 0; h < p.heads; ++h) rotate(q, h * head + p.nope, q_pe, t, h * rope);
    }
}

struct Known {
    const char* id;
    uint64_t params_size;
    std::initializer_list<const char*> names;  // of the arguments; '#' in front: i32
    int norm_weight;                           // which argument may come packed, or -1
    void (*run)(const vks_kernel&, const vks_tensor*);
};

const Known kKnown[] = {
    {"embed/1", 0, {"#ids", "table", "y"}, -1, embed},
    {"rms_norm/1", sizeof(vks_norm_params), {"x", "w", "y"}, 1, rms_norm},
    {"add_rms_norm/1", sizeof(vks_norm_params), {"x", "delta", "w", "sum", "y"}, 2, add_rms_norm},
    {"swiglu_quant/1", 0, {"gate", "up", "y", "scale"}, -1, swiglu},
    {"add/1", 0, {"a", "b", "y"}, -1, add},
    {"mla_rope_append/1",
     sizeof(vks_mla_rope_append_params),
     {"q", "kv", "w", "table", "#slot", "cache", "q_pe"},
     2,
     mla_rope_append},
};

bool listed(const std::string& list, const std::string& name) {
    return list.empty() || ("," + list + ",").find("," + name + ",") != std::string::npos;
}

// Do the dims agree? Empty, or what was wanted.
std::string dims_problem(const std::string& op, const vks_op& o) {
    const auto dim = [&](size_t arg, uint32_t axis) { return o.args[arg].dim[axis]; };
    const auto same = [&](size_t a, size_t b) { return dim(a, 0) == dim(b, 0) && dim(a, 1) == dim(b, 1); };
    const auto rank = [&](size_t arg, uint32_t wanted) { return o.args[arg].rank == wanted; };
    if (op == "embed") {
        const bool right = rank(0, 1) && rank(1, 2) && rank(2, 2) && dim(2, 0) == dim(0, 0) && dim(2, 1) == dim(1, 1);
        return right ? "" : "ids [T], table [V, H], y [T, H]";
    }
    if (op == "rms_norm") {
        const bool right = rank(0, 2) && rank(1, 1) && rank(2, 2) && same(0, 2) && dim(1, 0) == dim(0, 1);
        return right ? "" : "x [T, H], w [H], y [T, H]";
    }
    if (op == "add_rms_norm") {
        const bool right = rank(0, 2) && rank(1, 2) && rank(2, 1) && rank(3, 2) && rank(4, 2) && same(0, 1) &&
                           same(0, 3) && same(0, 4) && dim(2, 0) == dim(0, 1);
        return right ? "" : "x, delta [T, H], w [H], sum, y [T, H]";
    }
    if (op == "mla_rope_append") {
        vks_mla_rope_append_params p;
        std::memcpy(&p, o.params, sizeof p);
        const int64_t heads = p.heads, lora = p.lora, rope = p.rope, head = int64_t(p.nope) + p.rope;
        const bool small = heads <= 4096 && head <= 65536 && lora <= 65536;
        const bool right = small && rank(0, 2) && rank(1, 2) && rank(2, 1) && rank(3, 2) && rank(4, 1) && rank(5, 2) &&
                           rank(6, 2) && dim(0, 1) == heads * head && dim(1, 1) == lora + rope && dim(2, 0) == lora &&
                           dim(3, 1) == rope && dim(5, 1) == lora + rope && dim(6, 1) == heads * rope && rope % 2 == 0;
        const bool rows = dim(1, 0) == dim(0, 0) && dim(3, 0) == dim(0, 0) && dim(4, 0) == dim(0, 0);
        return right && rows && dim(6, 0) == dim(0, 0) ? "" : "the dims that abi/ops.h gives";
    }
    const bool right = rank(0, 2) && rank(1, 2) && rank(2, 2) && same(0, 1) && same(0, 2);
    return right ? "" : "three times [T, H]";
}

}  // namespace

const char* const kOps[] = {"embed/1", "rms_norm/1",        "add_rms_norm/1", "swiglu_quant/1",
                            "add/1",   "mla_rope_append/1", nullptr};

uint64_t bytes_of(const vks_tensor& t) {
    const int64_t element = t.layout == kReversed ? 4 : abi::element_bytes(t.dtype);
    return uint64_t(abi::element_count(t) * element);
}

std::byte* address(const vks_tensor& t) {
    const uint64_t bytes = bytes_of(t), held = t.buffer ? t.buffer->bytes.size() : 0;
    if (t.offset > held || bytes > held - t.offset) return nullptr;
    return t.buffer->bytes.data() + t.offset;
}

void copy(const vks_tensor& from, const vks_tensor& to) {
    const bool packs = from.layout == VKS_ROW_MAJOR && to.layout == kReversed;
    const bool unpacks = from.layout == kReversed && to.layout == VKS_ROW_MAJOR;
    if (!packs && !unpacks) {
        std::memcpy(address(to), address(from), bytes_of(from));
        return;
    }
    const int64_t n = abi::element_count(from);
    for (int64_t i = 0; i < n; ++i) {
        const float value = load(packs ? from.dtype : uint32_t{VKS_F32}, address(from), i);
        store(packs ? uint32_t{VKS_F32} : to.dtype, address(to), n - 1 - i, value);
    }
}

vks_status look_up(const vks_device& device, const vks_op& op, uint32_t* arg_layout, vks_kernel* kernel,
                   vks_error* error) {
    const std::string id = op.op, name = id.substr(0, id.find('/'));
    const auto* known = std::find_if(std::begin(kKnown), std::end(kKnown), [&](const Known& k) { return id == k.id; });
    if (known == std::end(kKnown) || !listed(device.ops, name))
        return fail(error, VKS_UNSUPPORTED, "remote has no operator %.64s", op.op);
    if (op.params_size != known->params_size)
        return fail(error, VKS_UNSUPPORTED, "params: wanted %llu bytes, found %llu",
                    static_cast<unsigned long long>(known->params_size),
                    static_cast<unsigned long long>(op.params_size));
    if (op.arg_count != known->names.size())
        return fail(error, VKS_UNSUPPORTED, "arguments: wanted %zu, found %llu", known->names.size(),
                    static_cast<unsigned long long>(op.arg_count));
    for (size_t i = 0; i < op.arg_count; ++i) {
        const vks_tensor& t = op.args[i];
        const char* wanted_name = known->names.begin()[i];
        const bool packed = kernel && int(i) == known->norm_weight && t.layout == kReversed;
        const bool integer = wanted_name[0] == '#', scale = std::strcmp(wanted_name, "scale") == 0;
        const bool right = scale     ? t.dtype == VKS_NONE && t.rank == 0
                           : integer ? t.dtype == VKS_I32
                                     : t.dtype == VKS_F32 || t.dtype == VKS_BF16;
        if (!right)
            return fail(error, VKS_UNSUPPORTED, "%s: wanted another dtype, found %s", wanted_name + integer,
                        abi::dtype_name(t.dtype));
        bool sane = scale || (t.rank >= 1 && t.rank <= 4);
        for (uint32_t a = 0; sane && a < t.rank; ++a)
            sane = t.dim[a] != 0 && t.dim[a] < int64_t{1} << 31 && t.dim[a] > -(int64_t{1} << 31) &&
                   (a == 0 || t.dim[a] > 0);
        if (!sane || (t.layout != VKS_ROW_MAJOR && !packed) || (t.flags & ~uint32_t{VKS_TENSOR_CONSTANT}) ||
            (!packed && !scale && !abi::contiguous(t)))
            return fail(error, VKS_UNSUPPORTED, "%s: wanted a plain row-major tensor", wanted_name + integer);
        if (arg_layout) {
            const bool pack = int(i) == known->norm_weight && (t.flags & VKS_TENSOR_CONSTANT) && device.private_layouts;
            arg_layout[i] = pack ? kReversed : uint32_t{VKS_ROW_MAJOR};
        }
    }
    if (const std::string wanted = dims_problem(name, op); !wanted.empty())
        return fail(error, VKS_UNSUPPORTED, "dims: wanted %s", wanted.c_str());
    if (!kernel) return VKS_OK;
    kernel->op = name;
    kernel->run = known->run;
    return VKS_OK;
}

}  // namespace vks::remote
