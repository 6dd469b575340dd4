#include "backend/conformance/trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace vks::conformance {
namespace {

// One case on one device.
class Run {
public:
    Run(Target& target, const Case& c) : t_(target), case_(c), tensors_(declare(c)) {}
    ~Run() {
        if (kernel_) t_.api.kernel_destroy(t_.device, kernel_);
        for (const Place& p : places_)
            if (p.buffer) t_.destroy(p.buffer);
        if (scratch_.buffer) t_.destroy(scratch_.buffer);
    }
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

    Outcome operator()() {
        if (!query()) return outcome_;
        if (place() && prepare() && launch(outcome_.outputs)) {
            std::vector<Value> again;
            if (launch(again) && again != outcome_.outputs) outcome_.problem = "found other bits in a second run";
        }
        return outcome_;
    }

private:
    // Where an argument's bytes are, and what is there before the launch, guards included.
    struct Place {
        vks_buffer* buffer = nullptr;
        uint64_t guard = 0, bytes = 0;
        std::vector<std::byte> before;
    };

    bool fail(const std::string& what) {
        outcome_.problem = what;
        return false;
    }
    bool fail_call(const std::string& what) { return fail(what + ": " + describe(t_.status, t_.error)); }

    bool query() {
        const vks_op op = ask(case_, tensors_);
        layouts_.assign(tensors_.size(), VKS_ROW_MAJOR);
        vks_support support{};
        support.size = sizeof support;
        support.verdict = VKS_UNSUPPORTED;
        support.arg_layout = layouts_.data();
        t_.error = {};
        t_.note(t_.api.query(t_.device, &op, &support, &t_.error));
        if (t_.status != VKS_OK || support.verdict != VKS_OK) {
            outcome_.unsupported = t_.error.text[0] ? t_.error.text : "no reason given";
            return false;
        }
        outcome_.variant.assign(support.variant, strnlen(support.variant, sizeof support.variant));
        scratch_bytes_ = support.scratch_bytes;
        return true;
    }

    bool fill(Place& p, std::vector<std::byte> data) {
        p.guard = std::max<uint64_t>(256, t_.alignment());
        p.bytes = data.size();
        p.buffer = t_.buffer(p.bytes + 2 * p.guard, VKS_BUFFER_DEVICE);
        if (!p.buffer) return fail_call("buffer");
        p.before.assign(p.guard, kGuard);
        p.before.insert(p.before.end(), data.begin(), data.end());
        p.before.insert(p.before.end(), p.guard, kGuard);
        return t_.write(p.buffer, 0, p.before.data(), p.before.size()) || fail_call("upload");
    }

    // The bytes an argument begins with: rows beyond the actual ones are undefined, as outputs are.
    static std::vector<std::byte> initial(const Argument& a) {
        const auto row = size_t(a.value.count() / a.value.rows() * abi::element_bytes(a.value.dtype));
        std::vector<std::byte> data = a.value.bytes;
        data.resize(size_t(a.value.rows()) * row, kUndefined);
        if (a.most) data.resize(size_t(a.most) * row, kUndefined);
        return data;
    }

    // A constant in the layout that query asked for: copied there, as the core does it.
    bool pack(Place& p, vks_tensor& tensor, const std::vector<std::byte>& data, uint32_t layout) {
        vks_tensor packed = tensor, plain = tensor;
        packed.layout = layout;
        if (!fill(p, std::vector<std::byte>(t_.api.packed_bytes(t_.device, &packed), kUndefined))) return false;
        Place source;
        const bool filled = fill(source, data);
        plain.buffer = source.buffer;
        plain.offset = source.guard;
        packed.buffer = p.buffer;
        packed.offset = p.guard;
        plain.flags = packed.flags = 0;
        t_.error = {};
        bool ok = filled && t_.note(t_.api.copy(t_.stream, &plain, &packed, &t_.error));
        ok = t_.finish() && ok;
        if (ok) ok = t_.read(p.buffer, 0, p.before.data(), p.before.size());
        if (source.buffer) t_.destroy(source.buffer);
        tensor.layout = layout;
        if (!ok) return fail_call("packing");
        return guards_hold(p, p.before) || fail("packing: found bytes written beside the constant");
    }

    bool place() {
        places_.resize(case_.args.size());
        for (size_t i = 0; i < case_.args.size(); ++i) {
            const Argument& a = case_.args[i];
            if (a.value.dtype == VKS_NONE) continue;
            const bool private_layout = a.role == Role::kConstant && layouts_[i] >= VKS_LAYOUT_PRIVATE;
            const bool ok =
                private_layout ? pack(places_[i], tensors_[i], initial(a), layouts_[i]) : fill(places_[i], initial(a));
            if (!ok) return false;
            if (a.role != Role::kConstant) continue;
            tensors_[i].buffer = places_[i].buffer;
            tensors_[i].offset = places_[i].guard;
        }
        return scratch_bytes_ == 0 || fill(scratch_, std::vector<std::byte>(scratch_bytes_, kUndefined));
    }

    bool prepare() {
        const vks_op op = ask(case_, tensors_);
        t_.error = {};
        if (!t_.note(t_.api.prepare(t_.device, &op, &kernel_, &t_.error))) return fail_call("prepare");
        return kernel_ != nullptr || fail("prepare: success without a kernel");
    }

    bool launch(std::vector<Value>& outputs) {
        std::vector<vks_tensor> given;
        for (size_t i = 0; i < case_.args.size(); ++i) {
            const Argument& a = case_.args[i];
            if (a.value.dtype == VKS_NONE || a.role == Role::kConstant) continue;
            const Place& p = places_[i];
            if (a.role != Role::kInput && !t_.write(p.buffer, 0, p.before.data(), p.before.size()))
                return fail_call("upload");
            given.push_back(tensors_[i]);
            given.back().dim[0] = a.value.rows();
            given.back().buffer = p.buffer;
            given.back().offset = p.guard;
        }
        const vks_tensor scratch = bytes_at(scratch_bytes_, scratch_.buffer, scratch_.guard);
        t_.error = {};
        bool ok = t_.note(t_.api.launch(t_.stream, kernel_, given.data(), given.size(),
                                        scratch_bytes_ ? &scratch : nullptr, &t_.error));
        if (!ok) fail_call("launch");
        if (!t_.finish() && ok) ok = fail_call("await");
        return ok && inspect(outputs);
    }

    static bool guards_hold(const Place& p, const std::vector<std::byte>& now) {
        const auto intact = [](std::byte b) { return b == kGuard; };
        return std::all_of(now.begin(), now.begin() + long(p.guard), intact) &&
               std::all_of(now.end() - long(p.guard), now.end(), intact);
    }

    bool inspect(std::vector<Value>& outputs) {
        for (size_t i = 0; i < case_.args.size(); ++i) {
            const Argument& a = case_.args[i];
            const Place& p = places_[i];
            if (a.value.dtype == VKS_NONE) continue;
            std::vector<std::byte> now(p.before.size());
            if (!t_.read(p.buffer, 0, now.data(), now.size())) return fail_call("read");
            if (!guards_hold(p, now)) return fail(fmt::format("argument {}: found bytes written beside it", i));
            const bool written = a.role == Role::kOutput || a.role == Role::kInOut;
            if (!written) {
                if (now != p.before) return fail(fmt::format("argument {}: found an input changed", i));
                continue;
            }
            const size_t row = size_t(a.value.count() / a.value.rows() * abi::element_bytes(a.value.dtype));
            const auto first = now.begin() + long(p.guard), end = first + long(size_t(a.value.rows()) * row);
            const auto undefined = [](std::byte b) { return b == kUndefined; };
            if (!std::all_of(end, now.end() - long(p.guard), undefined))
                return fail(fmt::format("argument {}: found rows written beyond the launch's", i));
            outputs.push_back(a.value);
            outputs.back().bytes.assign(first, end);
            if (a.valid_rows >= 0) outputs.back() = prefix(outputs.back(), a.valid_rows);
        }
        if (!scratch_.buffer) return true;
        std::vector<std::byte> now(scratch_.before.size());
        if (!t_.read(scratch_.buffer, 0, now.data(), now.size())) return fail_call("read");
        return guards_hold(scratch_, now) || fail("scratch: found bytes written beside it");
    }

    static Value prefix(Value v, int64_t rows) {
        const size_t row = v.bytes.size() / size_t(v.rows());
        v.dim[0] = rows;
        v.bytes.resize(row * size_t(rows));
        return v;
    }

    Target& t_;
    const Case& case_;
    std::vector<vks_tensor> tensors_;
    std::vector<uint32_t> layouts_;
    std::vector<Place> places_;
    Place scratch_;
    uint64_t scratch_bytes_ = 0;
    vks_kernel* kernel_ = nullptr;
    Outcome outcome_;
};

std::string not_finite(const Argument& a, const Value& got) {
    if (a.compare == Compare::kExact) return {};
    for (int64_t i = 0; i < got.count(); ++i)
        if (!std::isfinite(got.at(i))) return fmt::format("element {}: wanted a number, found {}", i, got.at(i));
    return {};
}

}  // namespace

Outcome run(Target& target, const Case& c) {
    return Run(target, c)();
}

std::string judge(const Case& c, const Outcome& got, const Outcome* want) {
    if (!got.problem.empty()) return got.problem;
    if (want && !want->unsupported.empty()) return "the reference does not support it: " + want->unsupported;
    if (want && !want->problem.empty()) return "the reference: " + want->problem;
    size_t output = 0;
    for (size_t i = 0; i < c.args.size(); ++i) {
        const Argument& a = c.args[i];
        if (a.value.dtype == VKS_NONE || (a.role != Role::kOutput && a.role != Role::kInOut)) continue;
        const Value& value = got.outputs[output];
        std::string problem = not_finite(a, value);
        if (want && problem.empty()) problem = compare(a.compare, value, want->outputs[output], c.tolerance);
        if (!problem.empty()) return fmt::format("{} argument {}: {}", got.variant, i, problem);
        ++output;
    }
    return {};
}

}  // namespace vks::conformance
