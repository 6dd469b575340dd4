// Says whether an operator's arguments are ones abi/ops.h allows. Used by the check functions in ops/.
#pragma once
#include <span>
#include <string>

#include "plugins/args/args.h"

namespace vks::args {

// Sets of dtypes.
constexpr uint32_t type_bit(uint32_t dtype) {
    return 1u << dtype;
}
inline constexpr uint32_t kF32 = type_bit(VKS_F32);
inline constexpr uint32_t kI32 = type_bit(VKS_I32);
inline constexpr uint32_t kF8 = type_bit(VKS_F8_E4M3);
inline constexpr uint32_t kAct = kF32 | type_bit(VKS_BF16);
inline constexpr uint32_t kPlainWeight = kAct | type_bit(VKS_F16);
inline constexpr uint32_t kAnyWeight = kPlainWeight | kF8;

struct ArgRule {
    const char* name = "";
    uint32_t dtypes = 0;
    uint32_t rank = 0;
    bool optional = false;
};

// Collects the first complaint; after one, further checks do nothing. Allocates only to complain, so that launch may
// use it. Not thread-safe.
class Checker {
public:
    // `rules` name the first arguments; with exact, there are no others.
    Checker(const Signature& signature, std::span<const ArgRule> rules, bool exact = true);

    bool ok() const { return complaint_.empty(); }
    // An argument's dtype and rank.
    void arg(size_t index, const ArgRule& rule);
    // One dimension of an argument; an absent argument passes.
    void dim(size_t index, uint32_t axis, int64_t wanted);
    // A parameter's or count's condition; `wanted` is the complaint's text.
    void require(bool condition, const char* wanted);
    // f32 [ceil(N/128), ceil(K/128)] beside an e4m3 matrix [N, K], absent beside any other.
    void weight_scale(size_t weight, size_t scale);
    // f32 [T, ceil(K/128)] beside e4m3 rows [T, K], absent beside others.
    void row_scale(size_t rows, size_t scale);

    // The complaint, or empty.
    std::string take() { return std::move(complaint_); }

private:
    std::string name(size_t index) const;
    bool scale_present(size_t values, size_t scale);

    const Signature& signature_;
    std::span<const ArgRule> rules_;
    std::string complaint_;
};

}  // namespace vks::args
