// Cases of the mixture of experts: routing, lists, grouped products, combination.
#include <algorithm>

#include "backend/conformance/cases.h"

namespace vks::conformance::making {
namespace {

// The lists that moe_dispatch makes for experts [0, experts): written from ops.h.
struct Lists {
    Value offset, row, pos;
    int64_t listed = 0;
};

Lists dispatch(const std::vector<int32_t>& idx, int64_t t, int64_t k, int64_t experts) {
    std::vector<int32_t> offset = {0}, row, pos(idx.size(), -1);
    for (int64_t e = 0; e < experts; ++e) {
        for (int64_t i = 0; i < t * k; ++i) {
            if (idx[size_t(i)] != e) continue;
            pos[size_t(i)] = int32_t(row.size());
            row.push_back(int32_t(i / k));
        }
        offset.push_back(int32_t(row.size()));
    }
    const auto listed = int64_t(row.size());
    row.resize(size_t(t * k), 0);
    return {ints({experts + 1}, offset), ints({t * k}, row), ints({t, k}, pos), listed};
}

void add_routing(Maker& make) {
    const vks_moe_route_params rules[] = {
        {1, 1, 3, 1, 1.0f}, {4, 2, 3, 1, 2.5f}, {4, 4, 16, 0, 1.0f}, {8, 3, 6, 1, 2.5f}};
    for (const auto& p : rules) {
        const int64_t k = p.top_k;
        make.add(
            "moe_route/1",
            std::to_string(k) + " of 16 in " + std::to_string(p.groups) + " groups" + (p.normalize ? "" : ", plain"), p,
            {in(make.random.value(VKS_F32, {5, 16}, 2.0)), constant(make.random.value(VKS_F32, {16}, 0.3)),
             out(VKS_I32, {5, k}, Compare::kExact), out(VKS_F32, {5, k})},
            kF32);
    }
    // Equal scores: lowest index first.
    make.add("moe_route/1", "of equal scores", vks_moe_route_params{4, 2, 3, 1, 1.0f},
             {in(zeros(VKS_F32, {2, 16})), constant(zeros(VKS_F32, {16})), out(VKS_I32, {2, 3}, Compare::kExact),
              out(VKS_F32, {2, 3})},
             kF32);
}

void add_lists(Maker& make) {
    const std::vector<int32_t> idx = {0, 3, 5, 1, 3, 7, 3, 4, 5, 0, 1, 2};  // 6 has no token
    const auto add = [&](const char* name, uint32_t first, uint32_t count) {
        Case& made = make.add("moe_dispatch/1", name, vks_moe_dispatch_params{first, count},
                              {in(ints({4, 3}, idx)), out(VKS_I32, {count + 1}, Compare::kExact, 0),
                               out(VKS_I32, {12}, Compare::kExact, 3 * kSpare), out(VKS_I32, {4, 3}, Compare::kExact)},
                              0);
        made.args[2].valid_rows = std::count_if(
            idx.begin(), idx.end(), [&](int32_t e) { return e >= int32_t(first) && e < int32_t(first + count); });
    };
    add("all experts", 0, 8);
    add("a shard", 3, 2);
    add("a shard without tokens", 6, 1);
}

// Every other expert is elsewhere, the first one too: its rows are zeros.
void add_products_elsewhere(Maker& make) {
    const int64_t t = 4, k = 3, n = 24, inner = 136, experts = 8;
    const Lists lists = dispatch({0, 3, 5, 1, 3, 7, 3, 4, 5, 0, 1, 2}, t, k, experts);
    for (const uint32_t act : kActs)
        for (const uint32_t weight : {VKS_BF16, VKS_F8_E4M3})
            for (const bool gather : {true, false}) {
                const int64_t rows = gather ? t : t * k, spare = gather ? kSpare : k * kSpare;
                std::vector<Argument> args = {in(make.random.value(act, {rows, inner}), spare), absent(),
                                              in(lists.offset, 0), gather ? in(lists.row, k * kSpare) : absent()};
                for (int64_t e = 0; e < experts; ++e)
                    for (Argument& a : make.matrix(weight, n, inner)) args.push_back(e % 2 ? std::move(a) : absent());
                args.push_back(out(act, {t * k, n}, Compare::kClose, k * kSpare));
                args.back().valid_rows = lists.listed;
                make.add("grouped_gemm/1",
                         std::string(abi::dtype_name(act)) + " w " + abi::dtype_name(weight) +
                             (gather ? " gathered" : " in list order") + ", every other expert elsewhere",
                         vks_grouped_gemm_params{uint32_t(experts)}, std::move(args), tolerance(act));
            }
}

void add_products(Maker& make) {
    const int64_t t = 4, k = 3, n = 24, inner = 136, experts = 8;
    const std::vector<int32_t> spread = {0, 3, 5, 1, 3, 7, 3, 4, 5, 0, 1, 2};
    const std::vector<int32_t> one(12, 6), some = {0, 9, 9, 9, 1, 9, 9, 9, 9, 9, 9, 0};  // 9: in another shard
    const struct {
        const char* name;
        const std::vector<int32_t>& idx;
    } routes[] = {{"spread", spread}, {"all on one expert", one}, {"a shard with few tokens", some}};
    for (const auto& route : routes)
        for (const uint32_t act : kActs)
            for (const uint32_t weight : {VKS_BF16, VKS_F8_E4M3})
                for (const bool gather : {true, false})
                    for (const bool quantised : {false, true}) {
                        if (quantised && weight != VKS_F8_E4M3) continue;
                        const Lists lists = dispatch(route.idx, t, k, experts);
                        const int64_t rows = gather ? t : t * k, spare = gather ? kSpare : k * kSpare;
                        std::vector<Argument> args;
                        if (quantised) {
                            args = {in(make.random.value(VKS_F8_E4M3, {rows, inner}, 40.0), spare),
                                    in(make.random.positive({rows, 2}, 0.005, 0.02), spare)};
                        } else {
                            args = {in(make.random.value(act, {rows, inner}), spare), absent()};
                        }
                        args.push_back(in(lists.offset, 0));
                        args.push_back(gather ? in(lists.row, k * kSpare) : absent());
                        for (int64_t e = 0; e < experts; ++e)
                            for (Argument& a : make.matrix(weight, n, inner)) args.push_back(std::move(a));
                        args.push_back(out(act, {t * k, n}, Compare::kClose, k * kSpare));
                        args.back().valid_rows = lists.listed;
                        make.add("grouped_gemm/1",
                                 std::string(quantised ? "f8" : abi::dtype_name(act)) + " w " +
                                     abi::dtype_name(weight) + (gather ? " gathered, " : " in list order, ") +
                                     route.name + " to " + abi::dtype_name(act),
                                 vks_grouped_gemm_params{uint32_t(experts)}, std::move(args), tolerance(act));
                    }
    add_products_elsewhere(make);
    for (const uint32_t act : kActs)
        for (const bool base : {false, true})
            for (const auto& route : routes) {
                const Lists lists = dispatch(route.idx, t, k, experts);
                make.add("moe_combine/1",
                         std::string(abi::dtype_name(act)) + (base ? " onto a base, " : " alone, ") + route.name,
                         {in(make.random.value(act, {t * k, n}), k * kSpare), in(lists.pos),
                          in(make.random.positive({t, k}, 0.1, 1.0)),
                          base ? in(make.random.value(act, {t, n})) : absent(), out(act, {t, n})},
                         tolerance(act));
            }
}

}  // namespace

void add_expert_cases(Maker& make) {
    add_routing(make);
    add_lists(make);
    add_products(make);
}

}  // namespace vks::conformance::making
