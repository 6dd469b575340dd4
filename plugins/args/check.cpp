// The checks behind check.h.
#include "plugins/args/check.h"

namespace vks::args {

Checker::Checker(const Signature& signature, std::span<const ArgRule> rules, bool exact)
    : signature_(signature), rules_(rules) {
    const size_t given = signature.args.size();
    if (exact ? given != rules.size() : given < rules.size()) {
        complaint_ = "arguments: wanted " + std::to_string(rules.size()) + ", found " + std::to_string(given);
        return;
    }
    for (size_t i = 0; i < rules.size(); ++i) arg(i, rules[i]);
}

std::string Checker::name(size_t index) const {
    return index < rules_.size() ? rules_[index].name : "argument " + std::to_string(index);
}

void Checker::arg(size_t index, const ArgRule& rule) {
    if (!ok()) return;
    const Arg& a = signature_.args[index];
    if (!a && rule.optional) return;
    if (a.dtype >= 32 || !(rule.dtypes & type_bit(a.dtype))) {
        complaint_ = std::string(rule.name) + ": wanted";
        for (uint32_t dtype = 0; dtype < 32; ++dtype) {
            if (rule.dtypes & type_bit(dtype)) complaint_ += std::string(" ") + abi::dtype_name(dtype);
        }
        complaint_ += std::string(", found ") + abi::dtype_name(a.dtype);
    } else if (a.rank != rule.rank) {
        complaint_ =
            std::string(rule.name) + ": wanted rank " + std::to_string(rule.rank) + ", found " + std::to_string(a.rank);
    }
}

void Checker::dim(size_t index, uint32_t axis, int64_t wanted) {
    if (!ok() || !signature_.args[index]) return;
    const int64_t found = signature_.args[index].dim[axis];
    if (found == wanted) return;
    complaint_ = name(index) + " dimension " + std::to_string(axis) + ": wanted " + std::to_string(wanted) +
                 ", found " + std::to_string(found);
}

void Checker::require(bool condition, const char* wanted) {
    if (ok() && !condition) complaint_ = wanted;
}

bool Checker::scale_present(size_t values, size_t scale) {
    if (!ok()) return false;
    const bool wanted = signature_.args[values].dtype == VKS_F8_E4M3;
    if (wanted == static_cast<bool>(signature_.args[scale])) return wanted;
    complaint_ = name(scale) + (wanted ? ": wanted beside f8_e4m3, found none" : ": wanted none, found one");
    return false;
}

void Checker::weight_scale(size_t weight, size_t scale) {
    if (!scale_present(weight, scale)) return;
    dim(scale, 0, blocks(signature_.args[weight].dim[0]));
    dim(scale, 1, blocks(signature_.args[weight].dim[1]));
}

void Checker::row_scale(size_t rows, size_t scale) {
    if (!scale_present(rows, scale)) return;
    dim(scale, 0, signature_.args[rows].dim[0]);
    dim(scale, 1, blocks(signature_.args[rows].dim[1]));
}

}  // namespace vks::args
