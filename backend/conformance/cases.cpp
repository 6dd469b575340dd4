#include "backend/conformance/cases.h"

namespace vks::conformance {

std::vector<vks_tensor> declare(const Case& c) {
    std::vector<vks_tensor> tensors;
    for (const Argument& a : c.args) {
        vks_tensor t{};
        if (a.value.dtype != VKS_NONE) {
            t = tensor_at(a.value.dtype, a.value.dim, nullptr, 0);
            if (a.most) t.dim[0] = -a.most;
            if (a.role == Role::kConstant) t.flags = VKS_TENSOR_CONSTANT;
        }
        tensors.push_back(t);
    }
    return tensors;
}

vks_op ask(const Case& c, const std::vector<vks_tensor>& tensors) {
    return {sizeof(vks_op), c.op.c_str(), c.params.data(), c.params.size(), tensors.data(), tensors.size()};
}

std::vector<Case> make_cases(uint64_t seed) {
    making::Maker make(seed);
    making::add_row_cases(make);
    making::add_matrix_cases(make);
    making::add_attention_cases(make);
    making::add_expert_cases(make);
    return std::move(make.cases);
}

namespace making {

std::vector<Argument> Maker::matrix(uint32_t dtype, int64_t n, int64_t k) {
    if (dtype != VKS_F8_E4M3) return {constant(random.value(dtype, {n, k}, 0.1)), absent()};
    return {constant(random.value(dtype, {n, k}, 8.0)),
            constant(random.positive({(n + 127) / 128, (k + 127) / 128}, 0.005, 0.02))};
}

}  // namespace making
}  // namespace vks::conformance
