// Some rows of a case, for the reference.
#include <algorithm>

#include "backend/abi/ops.h"
#include "frontend/bench/op_cases.h"

namespace vks::bench {
namespace {

using conformance::Argument;
using conformance::Case;
using conformance::Role;
using conformance::Value;

// `count` of [0, all), first and last among them, ascending.
std::vector<int64_t> spread_rows(int64_t all, int64_t count) {
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < count; ++i) rows.push_back(i * (all - 1) / (count - 1));
    return rows;
}

Argument with_rows(const Argument& whole, const std::vector<int64_t>& rows) {
    Argument part = whole;
    part.value = pick_rows(whole.value, rows);
    part.most = std::ssize(rows);
    return part;
}

bool is_written(const Argument& a) {
    return a.role == Role::kOutput || a.role == Role::kInOut;
}

// y, pos, weight, base -> out: the rows of y that the kept tokens ask for, in the order in which they do.
void sample_combine(Case& part, const Case& whole, const std::vector<int64_t>& rows) {
    std::vector<int64_t> listed;
    std::vector<int32_t> pos;
    const Value& asked = part.args[1].value;
    for (int64_t i = 0; i < asked.count(); ++i) {
        pos.push_back(int32_t(i));
        listed.push_back(asked.integer(i));
    }
    part.args[0] = with_rows(whole.args[0], listed);
    part.args[1].value = conformance::ints({std::ssize(rows), asked.columns()}, pos);
}

// Pairs of the lists are kept: rows of the output, and of x where it is in the lists' order.
void sample_grouped(Case& part, const Case& whole, const std::vector<int64_t>& rows) {
    const Value& offset = whole.args[2].value;
    const bool gather = whole.args[3].value.dtype != VKS_NONE;
    std::vector<int32_t> kept;
    for (int64_t e = 0; e < offset.count(); ++e)
        kept.push_back(int32_t(std::lower_bound(rows.begin(), rows.end(), offset.integer(e)) - rows.begin()));
    part.args[2].value = conformance::ints(offset.dim, kept);
    if (gather) {
        part.args[3] = with_rows(whole.args[3], rows);
    } else {
        part.args[0] = with_rows(whole.args[0], rows);
        if (whole.args[1].value.dtype != VKS_NONE) part.args[1] = with_rows(whole.args[1], rows);
    }
    part.args.back() = with_rows(whole.args.back(), rows);
}

}  // namespace

Value pick_rows(const Value& whole, const std::vector<int64_t>& rows) {
    Value part{whole.dtype, whole.dim, {}};
    part.dim[0] = std::ssize(rows);
    if (whole.bytes.empty()) return part;
    const size_t row = whole.bytes.size() / size_t(whole.rows());
    for (const int64_t r : rows) {
        const auto from = whole.bytes.begin() + std::ptrdiff_t(size_t(r) * row);
        part.bytes.insert(part.bytes.end(), from, from + std::ptrdiff_t(row));
    }
    return part;
}

Case without_constants(const Case& whole) {
    Case light{whole.op, whole.name, whole.params, {}, whole.tolerance};
    for (const Argument& a : whole.args) {
        const bool constant = a.role == Role::kConstant;
        light.args.push_back(
            constant ? Argument{a.role, {a.value.dtype, a.value.dim, {}}, a.most, a.compare, a.valid_rows} : a);
    }
    return light;
}

SampledCase sample_rows(const Case& whole, int64_t most) {
    const auto output = std::find_if(whole.args.begin(), whole.args.end(), is_written);
    SampledCase sampled{without_constants(whole), {}};
    Case& part = sampled.arguments;
    const bool cheap = whole.op == "mla_rope_append/1" || whole.op == "moe_dispatch/1";
    if (cheap || output == whole.args.end() || output->value.rows() <= most) return sampled;
    sampled.rows = spread_rows(output->value.rows(), most);
    if (whole.op == "grouped_gemm/1") {
        sample_grouped(part, whole, sampled.rows);
        return sampled;
    }
    const bool combine = whole.op == "moe_combine/1";
    for (size_t i = 0; i < whole.args.size(); ++i) {
        const Argument& a = whole.args[i];
        const bool varies = a.value.dtype != VKS_NONE && a.most != 0 && !(combine && i == 0);
        if (varies) part.args[i] = with_rows(a, sampled.rows);
    }
    if (combine) sample_combine(part, whole, sampled.rows);
    return sampled;
}

}  // namespace vks::bench
