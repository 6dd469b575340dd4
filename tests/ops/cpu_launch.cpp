// Launches of the CPU plugin through the plugin ABI: a stream that repeats its steps computes what fresh streams do,
// with whatever it foresees; and nothing is written that is read-only.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <set>
#include <span>

#include "backend/conformance/cases.h"
#include "tests/ops/harness.h"

namespace vks::test {
namespace {

using conformance::Case;
using conformance::Role;

struct Given {
    Role role = Role::kInput;
    vks_tensor tensor{};  // of constants with its memory, as of all that a launch is given
};

// Kernels of a device and memory for them. Calls that fail are GoogleTest failures.
class Kernels {
public:
    explicit Kernels(Device& device) : device_(device), api_(device.api()) {}
    ~Kernels() {
        for (const Kernel& k : kernels_) api_.kernel_destroy(device_.handle(), k.kernel);
        for (vks_buffer* buffer : buffers_) api_.buffer_destroy(device_.handle(), buffer);
    }
    Kernels(const Kernels&) = delete;
    Kernels& operator=(const Kernels&) = delete;

    // Memory that holds the value; zeros where it has no bytes.
    vks_tensor memory(const Value& value, uint32_t kind = VKS_BUFFER_DEVICE) {
        vks_tensor t{};
        t.dtype = value.dtype;
        if (value.dtype == VKS_NONE) return t;
        t.rank = static_cast<uint32_t>(value.dim.size());
        std::copy(value.dim.begin(), value.dim.end(), t.dim);
        int64_t stride = 1;
        for (uint32_t i = t.rank; i-- > 0; stride *= t.dim[i]) t.stride[i] = stride;
        const auto bytes = static_cast<uint64_t>(value.count() * abi::element_bytes(value.dtype));
        return place(t, value, bytes, kind);
    }
    std::byte* at(const vks_tensor& t) {
        return static_cast<std::byte*>(api_.buffer_map(device_.handle(), t.buffer)) + t.offset;
    }
    template <class T>
    void write(const vks_tensor& t, const std::vector<T>& values) {
        std::memcpy(at(t), values.data(), values.size() * sizeof(T));
    }
    std::vector<std::byte> read(const vks_tensor& t) {
        const std::byte* from = at(t);
        return {from, from + abi::element_count(t) * abi::element_bytes(t.dtype)};
    }

    // Returns the kernel's number.
    size_t prepare(const std::string& name, std::span<const std::byte> params, const std::vector<Given>& args) {
        Kernel& k = kernels_.emplace_back();
        std::vector<vks_tensor> declared;
        for (const auto& [role, tensor] : args) {
            vks_tensor t = tensor;
            if (role == Role::kConstant && t.dtype != VKS_NONE) {
                t.flags = VKS_TENSOR_CONSTANT;
            } else if (t.dtype != VKS_NONE) {
                k.given.push_back(t);
                t.buffer = nullptr;
                t.offset = 0;
            }
            declared.push_back(t);
        }
        const vks_op op{sizeof(vks_op), name.c_str(), params.data(), params.size(), declared.data(), declared.size()};
        vks_support support{};
        support.size = sizeof support;
        EXPECT_EQ(api_.query(device_.handle(), &op, &support, &error_), VKS_OK) << error_.text;
        EXPECT_EQ(support.verdict, VKS_OK) << name << ": " << error_.text;
        EXPECT_EQ(api_.prepare(device_.handle(), &op, &k.kernel, &error_), VKS_OK) << name << ": " << error_.text;
        k.scratch = memory({VKS_U8, {static_cast<int64_t>(support.scratch_bytes)}, {}});
        return kernels_.size() - 1;
    }
    template <class P>
    size_t prepare(const std::string& name, const P& params, const std::vector<Given>& args) {
        return prepare(name, std::as_bytes(std::span(&params, 1)), args);
    }

    // With its own arguments, or others.
    vks_status launch(vks_stream* stream, size_t kernel) {
        return launch(stream, kernel, kernels_[kernel].given, kernels_[kernel].scratch);
    }
    vks_status launch(vks_stream* stream, size_t kernel, const std::vector<vks_tensor>& given,
                      const vks_tensor& scratch) {
        return api_.launch(stream, kernels_[kernel].kernel, given.data(), given.size(), &scratch, &error_);
    }
    const std::vector<vks_tensor>& given(size_t kernel) const { return kernels_[kernel].given; }
    const vks_tensor& scratch(size_t kernel) const { return kernels_[kernel].scratch; }
    size_t count() const { return kernels_.size(); }
    const char* why() const { return error_.text; }

private:
    struct Kernel {
        vks_kernel* kernel = nullptr;
        std::vector<vks_tensor> given;
        vks_tensor scratch{};
    };
    vks_tensor place(vks_tensor t, const Value& value, uint64_t bytes, uint32_t kind) {
        std::vector<std::byte>& host = hosts_.emplace_back(bytes + 64);
        std::copy(value.bytes.begin(), value.bytes.end(), host.begin());
        vks_buffer* buffer = nullptr;
        const bool imported = kind == VKS_BUFFER_IMPORT;
        EXPECT_EQ(api_.buffer_create(device_.handle(), bytes, kind, imported ? host.data() : nullptr, &buffer, &error_),
                  VKS_OK)
            << error_.text;
        buffers_.push_back(buffer);
        t.buffer = buffer;
        if (!imported) std::memcpy(at(t), host.data(), bytes);
        return t;
    }

    Device& device_;
    const vks_device_api& api_;
    std::deque<Kernel> kernels_;
    std::vector<vks_buffer*> buffers_;
    std::deque<std::vector<std::byte>> hosts_;
    vks_error error_{};
};

class CpuLaunch : public testing::Test {
protected:
    void SetUp() override {
        if (std::string(device("threads=2").plugin().name) != "cpu") GTEST_SKIP() << "about the CPU plugin";
    }
};

// What follows each other in a layer and reads weights: attention, products of heads and of rows, the experts twice.
class Layer {
public:
    static constexpr int64_t kTokens = 2, kHeads = 4, kLora = 128, kRope = 16, kCache = 40, kV = 32, kHidden = 96,
                             kInner = 128, kExperts = 5, kRows = 2 * kTokens;

    Layer(Device& device, uint32_t act) : kernels(device) {
        Random random(401);
        const auto in = [&](const Value& v) { return Given{Role::kInput, kernels.memory(v)}; };
        const auto constant = [&](const Value& v) { return Given{Role::kConstant, kernels.memory(v)}; };
        const auto out = [&](int64_t rows, int64_t columns) {
            results.push_back(kernels.memory({act, {rows, columns}, {}}));
            return Given{Role::kOutput, results.back()};
        };
        const Given none{};
        const Given q = in(random.value(act, {kTokens, kHeads * kLora}));
        const Given q_pe = in(random.value(act, {kTokens, kHeads * kRope}));
        const Given cache = in(random.value(act, {kCache, kLora + kRope}));
        const Given o = out(kTokens, kHeads * kLora);
        span = kernels.memory(zeros(VKS_I32, {kTokens, 2}));
        kernels.prepare("mla_attention/1", vks_mla_attention_params{kHeads, kLora, kRope, 0.1f},
                        {q, q_pe, cache, {Role::kInput, span}, o});
        const Given heads = out(kTokens, kHeads * kV), h = out(kTokens, kHidden), shared = out(kTokens, kInner);
        kernels.prepare("head_gemm/1", vks_head_gemm_params{VKS_HEAD_EXPAND, kHeads, 16, kRope, kV, kLora},
                        {o, constant(random.value(VKS_BF16, {kHeads * (16 + kV), kLora})), none, heads});
        kernels.prepare("gemm/1", std::span<const std::byte>(),
                        {heads, constant(random.value(VKS_BF16, {kHidden, kHeads * kV})), h});
        kernels.prepare("fp8_gemm/1", std::span<const std::byte>(),
                        {h, none, constant(random.value(VKS_F8_E4M3, {kInner, kHidden}, 50)),
                         constant(random.positive({1, 1}, 0.01, 0.02)), shared});
        offset = kernels.memory(zeros(VKS_I32, {kExperts + 1}));
        const Given lists{Role::kInput, offset}, row = in(ints({kRows}, {0, 1, 0, 1}));
        const Given up = out(kRows, kInner), down = out(kRows, kHidden);
        std::vector<Given> first = {h, none, lists, row}, second = {up, none, lists, none};
        for (int64_t e = 0; e < kExperts; ++e) {
            first.insert(first.end(), {constant(random.value(VKS_F8_E4M3, {kInner, kHidden}, 50)),
                                       constant(random.positive({1, 1}, 0.01, 0.02))});
            second.insert(second.end(), {constant(random.value(VKS_F8_E4M3, {kHidden, kInner}, 50)),
                                         constant(random.positive({1, 1}, 0.01, 0.02))});
        }
        first.push_back(up);
        second.push_back(down);
        kernels.prepare("grouped_gemm/1", vks_grouped_gemm_params{kExperts}, first);
        kernels.prepare("grouped_gemm/1", vks_grouped_gemm_params{kExperts}, second);
    }

    // Every step sees a row more and has other experts.
    void begin(int step) {
        kernels.write<int32_t>(span, {0, 30 + step, 2, 20 + step});
        const std::vector<std::vector<int32_t>> lists = {{0, 2, 2, 2, 4, 4}, {0, 0, 1, 2, 3, 4}, {0, 0, 0, 4, 4, 4}};
        kernels.write(offset, lists[static_cast<size_t>(step) % lists.size()]);
    }
    std::vector<std::vector<std::byte>> end() {
        std::vector<std::vector<std::byte>> all;
        for (const vks_tensor& t : results) {
            all.push_back(kernels.read(t));
            std::memset(kernels.at(t), 0xff, all.back().size());
        }
        return all;
    }

    Kernels kernels;
    vks_tensor span{}, offset{};
    std::vector<vks_tensor> results;
};

TEST_F(CpuLaunch, RepeatedStepsHaveTheBitsOfFreshStreams) {
    constexpr int kSteps = 4;
    for (const uint32_t act : {VKS_F32, VKS_BF16}) {
        std::vector<std::vector<std::vector<std::byte>>> want;
        for (const char* threads : {"threads=1", "threads=2", "threads=3", "threads=5"}) {
            SCOPED_TRACE(threads);
            Device& dev = device(threads);
            const vks_device_api& api = dev.api();
            Layer layer(dev, act);
            vks_error error{};
            const auto stream = [&] {
                vks_stream* made = nullptr;
                EXPECT_EQ(api.stream_create(dev.handle(), &made, &error), VKS_OK) << error.text;
                return made;
            };
            for (int step = 0; want.size() < kSteps; ++step) {  // with one thread
                layer.begin(step);
                for (size_t k = 0; k < layer.kernels.count(); ++k) {
                    vks_stream* fresh = stream();
                    EXPECT_EQ(layer.kernels.launch(fresh, k), VKS_OK) << layer.kernels.why();
                    api.stream_destroy(fresh);
                }
                want.push_back(layer.end());
            }
            vks_stream* same = stream();
            vks_fence* fence = nullptr;
            ASSERT_EQ(api.fence_create(dev.handle(), &fence, &error), VKS_OK) << error.text;
            for (int step = 0; step < kSteps; ++step) {
                layer.begin(step);
                for (size_t k = 0; k < layer.kernels.count(); ++k)
                    EXPECT_EQ(layer.kernels.launch(same, k), VKS_OK) << layer.kernels.why();
                EXPECT_EQ(api.submit(same, fence, static_cast<uint64_t>(step) + 1, &error), VKS_OK) << error.text;
                EXPECT_EQ(layer.end(), want[static_cast<size_t>(step)]) << "step " << step;
            }
            api.fence_destroy(fence);
            api.stream_destroy(same);
        }
    }
}

// Experts without a row of weights: nothing is foreseen of them.
TEST_F(CpuLaunch, ExpertsWithoutColumns) {
    Device& dev = device("threads=3");
    Kernels kernels(dev);
    const Given none{}, x{Role::kInput, kernels.memory(zeros(VKS_F32, {2, 32}))};
    const Given lists{Role::kInput, kernels.memory(ints({3}, {0, 1, 2}))};
    for (const int64_t columns : {16, 0}) {
        const Given w{Role::kConstant, kernels.memory(zeros(VKS_F32, {columns, 32}))};
        const Given y{Role::kOutput, kernels.memory(zeros(VKS_F32, {2, columns}))};
        kernels.prepare("grouped_gemm/1", vks_grouped_gemm_params{2}, {x, none, lists, none, w, none, w, none, y});
    }
    vks_error error{};
    vks_stream* stream = nullptr;
    vks_fence* fence = nullptr;
    ASSERT_EQ(dev.api().stream_create(dev.handle(), &stream, &error), VKS_OK) << error.text;
    ASSERT_EQ(dev.api().fence_create(dev.handle(), &fence, &error), VKS_OK) << error.text;
    for (uint64_t step = 1; step < 4; ++step) {
        for (size_t k = 0; k < 2; ++k) EXPECT_EQ(kernels.launch(stream, k), VKS_OK) << kernels.why();
        EXPECT_EQ(dev.api().submit(stream, fence, step, &error), VKS_OK) << error.text;
    }
    dev.api().fence_destroy(fence);
    dev.api().stream_destroy(stream);
}

// Outputs, those in place too, and scratch.
TEST_F(CpuLaunch, NothingIsWrittenThatIsReadOnly) {
    std::set<std::string> seen;
    vks_error error{};
    Device& dev = device("threads=2");
    vks_stream* stream = nullptr;
    ASSERT_EQ(dev.api().stream_create(dev.handle(), &stream, &error), VKS_OK) << error.text;
    for (const Case& c : conformance::make_cases(1)) {
        if (!seen.insert(c.op).second) continue;
        SCOPED_TRACE(c.name);
        Kernels kernels(dev);
        std::vector<Given> args;
        for (const conformance::Argument& a : c.args) args.push_back({a.role, kernels.memory(a.value)});
        const size_t kernel = kernels.prepare(c.op, std::span(c.params), args);
        const vks_tensor scratch = kernels.scratch(kernel);
        size_t j = 0;
        for (const conformance::Argument& a : c.args) {
            if (a.role == Role::kConstant || a.value.dtype == VKS_NONE) continue;
            std::vector<vks_tensor> given = kernels.given(kernel);
            given[j++].buffer = kernels.memory(a.value, VKS_BUFFER_IMPORT).buffer;
            const bool input = a.role == Role::kInput;
            EXPECT_EQ(kernels.launch(stream, kernel, given, scratch), input ? VKS_OK : VKS_INVALID) << kernels.why();
            const bool said = std::string(kernels.why()).find("found read-only") != std::string::npos;
            EXPECT_TRUE(input || said) << kernels.why();
        }
        if (scratch.dim[0] == 0) continue;
        const vks_tensor imported = kernels.memory({VKS_U8, {scratch.dim[0] + 64}, {}}, VKS_BUFFER_IMPORT);
        EXPECT_EQ(kernels.launch(stream, kernel, kernels.given(kernel), imported), VKS_INVALID);
        EXPECT_NE(std::string(kernels.why()).find("found read-only"), std::string::npos) << kernels.why();
    }
    EXPECT_EQ(seen.size(), 18u);
    dev.api().stream_destroy(stream);
}

}  // namespace
}  // namespace vks::test
