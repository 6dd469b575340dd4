// Group query: the same answer to the same question, and UNSUPPORTED with a reason to every question that makes no
// sense.
#include <functional>
#include <limits>
#include <set>

#include "backend/conformance/cases.h"
#include "tests/conformance/groups.h"

namespace vks::conformance {
namespace {

struct Answer {
    vks_status status = VKS_OK;
    vks_support support{};
    vks_error error{};
    std::vector<uint32_t> layouts;

    bool yes() const { return status == VKS_OK && support.verdict == VKS_OK; }
    // A refusal as the contract wants it.
    bool refused() const {
        const bool verdict = status == VKS_OK && support.verdict == VKS_UNSUPPORTED;
        const bool text = error.text[0] && strnlen(error.text, sizeof error.text) < sizeof error.text;
        return text && (verdict || status == VKS_UNSUPPORTED || status == VKS_INVALID);
    }
    bool operator==(const Answer& o) const {
        return status == o.status && support.verdict == o.support.verdict && layouts == o.layouts &&
               support.scratch_bytes == o.support.scratch_bytes && support.est_ns == o.support.est_ns &&
               strncmp(support.variant, o.support.variant, sizeof support.variant) == 0;
    }
};

Answer query(Target& t, const vks_op& op) {
    Answer a;
    a.layouts.assign(op.arg_count + 1, VKS_ROW_MAJOR);
    a.support.size = sizeof a.support;
    a.support.verdict = VKS_UNSUPPORTED;
    a.support.arg_layout = a.layouts.data();
    a.status = t.api.query(t.device, &op, &a.support, &a.error);
    a.support.arg_layout = nullptr;
    return a;
}

// A question that was changed in one way.
struct Spoilt {
    std::string name;
    std::function<void(vks_op&, std::vector<vks_tensor>&)> spoil;
    bool must_refuse = true;
};

std::vector<Spoilt> spoilings(const Case& c) {
    std::vector<Spoilt> list;
    const auto each = [&](const std::string& name, const std::function<void(vks_tensor&)>& spoil, bool refuse = true) {
        for (size_t i = 0; i < c.args.size() && i < 6; ++i) {
            if (c.args[i].value.dtype == VKS_NONE) continue;
            list.push_back({fmt::format("{} of argument {}", name, i),
                            [i, spoil](vks_op&, std::vector<vks_tensor>& tensors) { spoil(tensors[i]); }, refuse});
        }
    };
    each("unknown dtype", [](vks_tensor& t) { t.dtype = 99; });
    each("enormous dtype", [](vks_tensor& t) { t.dtype = UINT32_MAX; });
    each("i64 as dtype", [](vks_tensor& t) { t.dtype = VKS_I64; });
    each("unknown flag", [](vks_tensor& t) { t.flags |= 1u << 30; });
    each("unknown layout", [](vks_tensor& t) { t.layout = 77; });
    each("unknown private layout", [](vks_tensor& t) { t.layout = VKS_LAYOUT_PRIVATE + 0x5555; });
    each("rank 0", [](vks_tensor& t) { t.rank = 0; });
    each("rank 5", [](vks_tensor& t) { t.rank = 5; });
    each("enormous rank", [](vks_tensor& t) { t.rank = UINT32_MAX; });
    each("enormous dim", [](vks_tensor& t) { t.dim[t.rank - 1] = std::numeric_limits<int64_t>::max(); });
    each("least dim", [](vks_tensor& t) { t.dim[0] = std::numeric_limits<int64_t>::min(); });
    each(
        "negative inner dim", [](vks_tensor& t) { t.dim[1] = -t.dim[1] - 1; }, c.args.empty());
    each(
        "dim 0", [](vks_tensor& t) { t.dim[0] = 0; }, false);
    each(
        "stride 0", [](vks_tensor& t) { t.stride[0] = 0; }, false);
    each(
        "negative stride", [](vks_tensor& t) { t.stride[0] = -7; }, false);
    each(
        "enormous stride", [](vks_tensor& t) { t.stride[0] = std::numeric_limits<int64_t>::max(); }, false);
    each(
        "made absent", [](vks_tensor& t) { t = {}; }, false);
    list.push_back({"no arguments", [](vks_op& op, auto&) { op.arg_count = 0; }});
    list.push_back({"no argument array", [](vks_op& op, auto&) {
                        op.args = nullptr;
                        op.arg_count = 0;
                    }});
    list.push_back({"an argument less", [](vks_op& op, auto&) { --op.arg_count; }});
    list.push_back({"an argument more", [](vks_op& op, auto& tensors) {
                        tensors.push_back(tensors[0]);
                        op.args = tensors.data();
                        op.arg_count = tensors.size();
                    }});
    list.push_back({"params of another size", [](vks_op& op, auto&) { op.params_size += 4; }});
    if (!c.params.empty()) {
        list.push_back({"no params", [](vks_op& op, auto&) {
                            op.params = nullptr;
                            op.params_size = 0;
                        }});
        list.push_back({"params cut off", [](vks_op& op, auto&) { op.params_size -= 1; }});
    }
    return list;
}

// Params that no model has: each field at its largest, and zero. Counts must be refused; floats and flags may be fine.
void check_params(Target& t, const Case& base, Report& report) {
    Case c = base;
    const auto tensors = declare(c);
    std::string crashed_not;
    for (size_t field = 0; field + 4 <= c.params.size(); field += 4) {
        for (const uint32_t value : {0u, 0xffffffffu, 0x7fffffffu, 0x80000000u}) {
            c.params = base.params;
            std::memcpy(c.params.data() + field, &value, sizeof value);
            const vks_op op = ask(c, tensors);
            const Answer answer = query(t, op);
            vks_kernel* kernel = nullptr;
            if (!answer.yes() && t.api.prepare(t.device, &op, &kernel, &t.error) == VKS_OK && kernel) {
                crashed_not =
                    fmt::format("field {} = {:#x}: refused by query, prepared all the same", field / 4, value);
                t.api.kernel_destroy(t.device, kernel);
            }
        }
    }
    report.check(base.op + " survives params at their ends", crashed_not.empty(), crashed_not);
}

void check_spoilt(Target& t, const Case& c, Report& report) {
    std::string problem;
    int asked = 0;
    for (const Spoilt& s : spoilings(c)) {
        std::vector<vks_tensor> tensors = declare(c);
        vks_op op = ask(c, tensors);
        s.spoil(op, tensors);
        const Answer answer = query(t, op);
        ++asked;
        if (s.must_refuse && !answer.refused() && problem.empty())
            problem = fmt::format("{}: wanted UNSUPPORTED with a reason, found {}", s.name,
                                  answer.yes() ? "support" : describe(answer.status, answer.error));
        if (answer.yes()) continue;
        // What query refuses, prepare refuses too; and no one needs to have room for the reason.
        vks_kernel* kernel = nullptr;
        vks_error error{};
        if (t.api.prepare(t.device, &op, &kernel, &error) == VKS_OK && problem.empty())
            problem = s.name + ": refused by query, prepared all the same";
        if (kernel) t.api.kernel_destroy(t.device, kernel);
        vks_support support{};
        support.size = sizeof support;
        std::vector<uint32_t> layouts(op.arg_count + 1);
        support.arg_layout = layouts.data();
        t.api.query(t.device, &op, &support, nullptr);
        t.api.prepare(t.device, &op, &kernel, nullptr);
    }
    report.check(fmt::format("{} refuses what it can't do", c.op), problem.empty(), problem);
}

void check_names(Target& t, const Case& c, Report& report) {
    const auto tensors = declare(c);
    for (const std::string name : {"no_such_operator/1", "", "/", "rms_norm", "rms_norm/", "rms_norm/999",
                                   "rms_norm/01", "RMS_NORM/1", "rms_norm/1 ", "%s%n/1"}) {
        vks_op op = ask(c, tensors);
        op.op = name.c_str();
        const Answer answer = query(t, op);
        report.check("refuses the operator \"" + name + "\"", answer.refused(),
                     "wanted UNSUPPORTED with a reason, found " +
                         (answer.yes() ? std::string("support") : describe(answer.status, answer.error)));
    }
    const std::string endless(100'000, 'x');
    vks_op op = ask(c, tensors);
    op.op = endless.c_str();
    report.check("refuses a name without end", query(t, op).refused(), "wanted UNSUPPORTED with a reason");
}

void check_sizes(Target& t, const Case& c, Report& report) {
    const auto tensors = declare(c);
    const vks_op op = ask(c, tensors);
    std::vector<uint32_t> layouts(op.arg_count);
    vks_support old;
    std::memset(&old, 0x5a, sizeof old);
    old.size = offsetof(vks_support, variant);
    old.arg_layout = layouts.data();
    vks_error error{};
    t.api.query(t.device, &op, &old, &error);
    bool untouched = true;
    for (const char b : old.variant) untouched = untouched && b == 0x5a;
    report.check("keeps within the size it is given", untouched && old.size == offsetof(vks_support, variant),
                 "wanted no byte of vks_support written behind its size");
    vks_support full{};
    full.size = sizeof full;
    const vks_status status = t.api.query(t.device, &op, &full, &error);
    report.check("takes no array for layouts", status == VKS_OK || status == VKS_UNSUPPORTED, describe(status, error));
}

}  // namespace

void check_query(Target& target, Report& report, const Settings& settings) {
    report.group("query");
    const std::vector<Case> cases = make_cases(settings.seed);
    check_names(target, cases.front(), report);
    check_sizes(target, cases.front(), report);
    std::string changed, silent;
    std::set<std::string> spoilt;
    for (const Case& c : cases) {
        const auto tensors = declare(c);
        const vks_op op = ask(c, tensors);
        const Answer first = query(target, op), second = query(target, op);
        if (!(first == second)) changed = c.name;
        if (!first.yes() && !first.refused()) silent = c.name;
        if (!first.yes() || !spoilt.insert(c.op).second) continue;  // one case of each operator is enough
        check_spoilt(target, c, report);
        check_params(target, c, report);
    }
    report.check("answers the same question the same way", changed.empty(), "found two answers to " + changed);
    report.check("gives a reason for each refusal", silent.empty(), "found none for " + silent);
}

}  // namespace vks::conformance
