#include "frontend/bench/op_trial.h"

#include <cstring>

#include "backend/base/check.h"
#include "backend/base/clock.h"

namespace vks::bench {
namespace {

using conformance::Argument;
using conformance::Role;
using conformance::Value;

constexpr uint64_t kPatience = 600'000'000'000;  // ns: large shapes on devices that are no GPU

uint64_t bytes_of(const Value& value) {
    return uint64_t(value.count() * abi::element_bytes(value.dtype));
}

}  // namespace

PlacedConstants::~PlacedConstants() {
    for (const auto& [key, buffer] : placed_) target_.destroy(buffer);
}

vks_buffer* PlacedConstants::get(size_t argument, const vks_tensor& tensor) {
    const auto [it, fresh] = placed_.try_emplace({argument, tensor.layout}, nullptr);
    if (fresh) it->second = place(tensor, family_.args[argument].value);
    if (it->second) return it->second;
    placed_.erase(it);
    return nullptr;
}

vks_buffer* PlacedConstants::place(const vks_tensor& tensor, const Value& value) {
    const uint64_t bytes = value.bytes.size();
    auto* host = const_cast<std::byte*>(value.bytes.data());
    if (tensor.layout == VKS_ROW_MAJOR) {
        if (vks_buffer* imported = target_.buffer(bytes, VKS_BUFFER_IMPORT, host)) return imported;
        vks_buffer* copy = target_.buffer(bytes, VKS_BUFFER_DEVICE);
        if (copy && !target_.write(copy, 0, host, bytes)) {
            target_.destroy(copy);
            return nullptr;
        }
        return copy;
    }
    vks_tensor plain = tensor, packed = tensor;
    plain.layout = VKS_ROW_MAJOR;
    plain.flags = packed.flags = 0;
    plain.buffer = place(plain, value);
    if (!plain.buffer) return nullptr;
    packed.buffer = target_.buffer(target_.api.packed_bytes(target_.device, &packed), VKS_BUFFER_DEVICE);
    bool ok = packed.buffer && target_.note(target_.api.copy(target_.stream, &plain, &packed, &target_.error));
    ok = target_.finish() && ok;
    target_.destroy(plain.buffer);
    if (ok) return packed.buffer;
    if (packed.buffer) target_.destroy(packed.buffer);
    return nullptr;
}

OpTrial::~OpTrial() {
    if (kernel_) t_.api.kernel_destroy(t_.device, kernel_);
    for (vks_buffer* buffer : buffers_)
        if (buffer) t_.destroy(buffer);
    if (scratch_.buffer) t_.destroy(scratch_.buffer);
}

bool OpTrial::fail(const std::string& what) {
    problem_ = what + ": " + conformance::describe(t_.status, t_.error);
    return false;
}

bool OpTrial::query() {
    tensors_ = declare(case_);
    const vks_op op = ask(case_, tensors_);
    layouts_.assign(tensors_.size(), VKS_ROW_MAJOR);
    vks_support support{};
    support.size = sizeof support;
    support.verdict = VKS_UNSUPPORTED;
    support.arg_layout = layouts_.data();
    t_.error = {};
    t_.note(t_.api.query(t_.device, &op, &support, &t_.error));
    if (t_.status != VKS_OK || support.verdict != VKS_OK) {
        unsupported_ = t_.error.text[0] ? t_.error.text : "no reason given";
        return false;
    }
    variant_.assign(support.variant, strnlen(support.variant, sizeof support.variant));
    scratch_bytes_ = support.scratch_bytes;
    return true;
}

bool OpTrial::place() {
    buffers_.assign(case_.args.size(), nullptr);
    for (size_t i = 0; i < case_.args.size(); ++i) {
        const Argument& a = case_.args[i];
        if (a.value.dtype == VKS_NONE) continue;
        vks_tensor& tensor = tensors_[i];
        if (a.role == Role::kConstant) {
            tensor.layout = layouts_[i];
            tensor.buffer = constants_.get(i, tensor);
            if (!tensor.buffer) return fail("memory for a constant");
            continue;
        }
        buffers_[i] = t_.buffer(bytes_of(a.value), VKS_BUFFER_DEVICE);
        if (!buffers_[i]) return fail("memory for an argument");
        if (a.role != Role::kOutput && !t_.write(buffers_[i], 0, a.value.bytes.data(), a.value.bytes.size()))
            return fail("upload");
        given_.push_back(tensor);
        given_.back().dim[0] = a.value.rows();
        given_.back().buffer = buffers_[i];
    }
    if (scratch_bytes_ == 0) return true;
    scratch_ = conformance::bytes_at(scratch_bytes_, t_.buffer(scratch_bytes_, VKS_BUFFER_DEVICE), 0);
    return scratch_.buffer || fail("memory for scratch");
}

bool OpTrial::prepare() {
    if (!query() || !place()) return false;
    const vks_op op = ask(case_, tensors_);
    t_.error = {};
    return t_.note(t_.api.prepare(t_.device, &op, &kernel_, &t_.error)) || fail("prepare");
}

std::optional<double> OpTrial::launch() {
    const auto begin = Clock::now();
    t_.error = {};
    if (!t_.note(t_.api.launch(t_.stream, kernel_, given_.data(), given_.size(), scratch_bytes_ ? &scratch_ : nullptr,
                               &t_.error))) {
        fail("launch");
        return {};
    }
    if (!t_.note(t_.api.submit(t_.stream, t_.fence, ++t_.submitted, &t_.error)) ||
        !t_.note(t_.api.fence_await(t_.fence, t_.submitted, kPatience, &t_.error))) {
        fail("await");
        return {};
    }
    return seconds_since(begin);
}

std::optional<double> OpTrial::launch(const StreamClock& clock) {
    const auto by_host = launch();
    if (!clock || !by_host) return by_host;
    if (const auto span = clock.last()) return double(span->ns) / 1e9;
    fail("the device's clock");
    return {};
}

std::optional<std::vector<Value>> OpTrial::outputs() {
    std::vector<Value> all;
    for (size_t i = 0; i < case_.args.size(); ++i) {
        const Argument& a = case_.args[i];
        if (a.value.dtype == VKS_NONE || (a.role != Role::kOutput && a.role != Role::kInOut)) continue;
        Value value{a.value.dtype, a.value.dim, {}};
        value.bytes.resize(bytes_of(a.value));
        if (!t_.read(buffers_[i], 0, value.bytes.data(), value.bytes.size())) {
            fail("read");
            return {};
        }
        all.push_back(std::move(value));
    }
    return all;
}

}  // namespace vks::bench
