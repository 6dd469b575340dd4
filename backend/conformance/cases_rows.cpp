// Cases of the operators that work row by row.
#include "backend/conformance/cases.h"

namespace vks::conformance::making {
namespace {

std::string dims(int64_t t, int64_t n) {
    return "[" + std::to_string(t) + ", " + std::to_string(n) + "]";
}
std::string type(uint32_t dtype) {
    return abi::dtype_name(dtype);
}

constexpr int64_t kRowShapes[][2] = {{1, 64}, {3, 129}, {2, 7}, {5, 1024}};

void add_norms(Maker& make) {
    const vks_norm_params eps = {1e-6f};
    for (const uint32_t act : kActs)
        for (const uint32_t weight : {VKS_F32, VKS_BF16, VKS_F16})
            for (const auto& [t, h] : kRowShapes) {
                const std::string name = type(act) + " w " + type(weight) + " " + dims(t, h);
                make.add("rms_norm/1", name, eps,
                         {in(make.random.value(act, {t, h})), constant(make.weight(weight, h)), out(act, {t, h})},
                         tolerance(act));
                make.add("add_rms_norm/1", name, eps,
                         {in(make.random.value(VKS_F32, {t, h})), in(make.random.value(act, {t, h})),
                          constant(make.weight(weight, h)), out(VKS_F32, {t, h}), out(act, {t, h})},
                         tolerance(act));
            }
    make.add("rms_norm/1", "of zeros", eps,
             {in(zeros(VKS_F32, {2, 64})), constant(make.weight(VKS_F32, 64)), out(VKS_F32, {2, 64})}, kF32);
    make.add("rms_norm/1", "f32 to bf16", eps,
             {in(make.random.value(VKS_F32, {2, 64})), constant(make.weight(VKS_F32, 64)), out(VKS_BF16, {2, 64})},
             kBf16);
    for (const uint32_t act : kActs)
        make.add("mtp_merge/1", type(act), eps,
                 {in(make.random.value(act, {3, 50})), in(make.random.value(act, {3, 50}, 3.0)),
                  constant(make.weight(VKS_BF16, 50)), constant(make.weight(VKS_BF16, 50)), out(act, {3, 100})},
                 tolerance(act));
}

void add_quantised(Maker& make) {
    for (const uint32_t act : kActs)
        for (const uint32_t power : {0u, 1u})
            for (const int64_t k : {1, 128, 129, 300}) {
                Value x = make.random.value(act, {3, k}, 20.0);
                for (int64_t i = 0; i < k; ++i) x.set(k + i, 0);  // the second row
                make.add("act_quant/1", type(act) + (power ? " power of two " : " ") + dims(3, k),
                         vks_act_quant_params{power},
                         {in(x), out(VKS_F8_E4M3, {3, k}, Compare::kCodes), out(VKS_F32, {3, (k + 127) / 128})}, kF32);
            }
    for (const uint32_t act : kActs)
        for (const int64_t n : {5, 128, 300}) {
            const Argument gate = in(make.random.value(act, {3, n}, 2.0)), up = in(make.random.value(act, {3, n}));
            make.add("swiglu_quant/1", type(act) + " " + dims(3, n), {gate, up, out(act, {3, n}), absent()},
                     tolerance(act));
            make.add("swiglu_quant/1", type(act) + " to f8 " + dims(3, n),
                     {gate, up, out(VKS_F8_E4M3, {3, n}, Compare::kCodes), out(VKS_F32, {3, (n + 127) / 128})}, kScale);
        }
}

}  // namespace

void add_row_cases(Maker& make) {
    const Value ids = ints({6}, {36, 0, -1, 37, 5, 5});  // the third and fourth are outside
    for (const uint32_t dtype : {VKS_F32, VKS_BF16, VKS_F16})
        for (const uint32_t act : kActs)
            make.add("embed/1", type(dtype) + " to " + type(act),
                     {in(ids), constant(make.random.value(dtype, {37, 48})), out(act, {6, 48})}, tolerance(act));
    for (const uint32_t act : kActs)
        make.add("embed/1", "rows of an activation, " + type(act),
                 {in(ints({2}, {4, 0})), in(make.random.value(act, {5, 33})), out(act, {2, 33})}, tolerance(act));
    add_norms(make);
    add_quantised(make);
    for (const uint32_t act : kActs)
        for (const auto& [t, h] : kRowShapes)
            make.add("add/1", type(act) + " " + dims(t, h),
                     {in(make.random.value(act, {t, h})), in(make.random.value(act, {t, h})), out(act, {t, h})},
                     tolerance(act));
    make.add("add/1", "bf16 to f32",
             {in(make.random.value(VKS_BF16, {3, 8})), in(make.random.value(VKS_BF16, {3, 8})), out(VKS_F32, {3, 8})},
             kF32);
    for (const uint32_t k : {1u, 40u, 129u}) {
        Value x = make.random.value(VKS_F32, {3, 129});
        for (int64_t i = 0; i < 60; ++i) x.set(129 + i, 0.25);  // equal values: lowest index first
        make.add("topk/1", "k " + std::to_string(k), vks_topk_params{k},
                 {in(x), out(VKS_F32, {3, k}, Compare::kExact), out(VKS_I32, {3, k}, Compare::kExact)}, 0);
    }
}

}  // namespace vks::conformance::making
