// What the operators are tried with: arguments of every dtype in odd shapes, filled at random but the same each time.
#pragma once
#include <string>
#include <vector>

#include "backend/abi/ops.h"
#include "backend/conformance/compare.h"
#include "backend/conformance/target.h"
#include "backend/conformance/value.h"

namespace vks::conformance {

enum class Role { kInput, kConstant, kInOut, kOutput };

struct Argument {
    Role role = Role::kInput;
    Value value;       // dtype NONE: absent. An output's bytes are empty.
    int64_t most = 0;  // rows that the operator is prepared for; 0: exactly the value's
    Compare compare = Compare::kClose;
    int64_t valid_rows = -1;  // of an output; the rest is undefined. -1: all
};

struct Case {
    std::string op;    // "rms_norm/1"
    std::string name;  // "rms_norm/1 bf16 w f32 [3, 129]"
    std::vector<std::byte> params;
    std::vector<Argument> args;
    double tolerance = 0;  // of kClose outputs
};

std::vector<Case> make_cases(uint64_t seed);
// What query is asked: "at most" dims negative, constants flagged, no buffers. The op points into both arguments.
std::vector<vks_tensor> declare(const Case& c);
vks_op ask(const Case& c, const std::vector<vks_tensor>& tensors);

// For the files that make them.
namespace making {

// Every step is prepared for this many tokens more than it has.
constexpr int64_t kSpare = 2;
// Of activations.
constexpr uint32_t kActs[] = {VKS_F32, VKS_BF16};

inline Argument in(Value value, int64_t spare = kSpare) {
    const int64_t most = spare ? value.rows() + spare : 0;
    return {Role::kInput, std::move(value), most, Compare::kClose, -1};
}
inline Argument constant(Value value) {
    return {Role::kConstant, std::move(value), 0, Compare::kClose, -1};
}
inline Argument out(uint32_t dtype, std::vector<int64_t> dim, Compare compare = Compare::kClose,
                    int64_t spare = kSpare) {
    const int64_t most = spare ? dim[0] + spare : 0;
    return {Role::kOutput, {dtype, std::move(dim), {}}, most, compare, -1};
}
inline Argument absent() {
    return {};
}

class Maker {
public:
    explicit Maker(uint64_t seed) : random(seed) {}
    template <class P>
    Case& add(const std::string& op, const std::string& name, const P& params, std::vector<Argument> args,
              double tolerance) {
        const auto* bytes = reinterpret_cast<const std::byte*>(&params);
        cases.push_back({op, op + " " + name, {bytes, bytes + sizeof params}, std::move(args), tolerance});
        return cases.back();
    }
    Case& add(const std::string& op, const std::string& name, std::vector<Argument> args, double tolerance) {
        cases.push_back({op, op + " " + name, {}, std::move(args), tolerance});
        return cases.back();
    }
    // Values to be multiplied by a norm's weight.
    Value weight(uint32_t dtype, int64_t n) { return random.value(dtype, {n}, 0.5); }
    // A matrix and, for e4m3, its scale; else absent.
    std::vector<Argument> matrix(uint32_t dtype, int64_t n, int64_t k);

    Random random;
    std::vector<Case> cases;
};

void add_row_cases(Maker& make);        // embed, norms, act_quant, swiglu_quant, add, mtp_merge, topk
void add_matrix_cases(Maker& make);     // fp8_gemm, gemm, head_gemm
void add_attention_cases(Maker& make);  // mla_rope_append, mla_attention, mla_expanded
void add_expert_cases(Maker& make);     // moe_route, moe_dispatch, grouped_gemm, moe_combine

}  // namespace making
}  // namespace vks::conformance
