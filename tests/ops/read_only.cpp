// What an operator writes can't be a constant, nor lie in memory that is read-only; nor can its scratch memory.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "backend/abi/ops.h"
#include "tests/ops/harness.h"

namespace vks::test {
namespace {

constexpr uint64_t kBytes = uint64_t{1} << 20;  // plugins may take the trouble to import large ranges only

// topk over rows long enough for lists in scratch memory, by the bare table.
class Topk {
public:
    static constexpr int64_t kRows = 2, kColumns = 32768, kCount = 8;

    explicit Topk(Device& device) : device_(device), api_(device.api()) {
        memory_ = buffer(VKS_BUFFER_DEVICE, nullptr);
        EXPECT_EQ(api_.stream_create(device.handle(), &stream_, &error_), VKS_OK) << error_.text;
    }
    ~Topk() {
        if (stream_) api_.stream_destroy(stream_);
        if (kernel_) api_.kernel_destroy(device_.handle(), kernel_);
        for (vks_buffer* made : buffers_) api_.buffer_destroy(device_.handle(), made);
        std::free(range_);  // NOLINT(cppcoreguidelines-no-malloc): aligned_alloc's
    }
    Topk(const Topk&) = delete;
    Topk& operator=(const Topk&) = delete;

    // Null where the device doesn't import.
    vks_buffer* imported() {
        range_ = std::aligned_alloc(4096, kBytes);
        std::memset(range_, 0, kBytes);
        return buffer(VKS_BUFFER_IMPORT, range_);
    }
    // x, values, indices, scratch: each with a quarter of the memory.
    std::vector<vks_tensor> args() const {
        std::vector<vks_tensor> all = {abi::tensor(VKS_F32, {kRows, kColumns}), abi::tensor(VKS_F32, {kRows, kCount}),
                                       abi::tensor(VKS_I32, {kRows, kCount}),
                                       abi::tensor(VKS_U8, {static_cast<int64_t>(scratch_bytes_)})};
        for (size_t i = 0; i < all.size(); ++i) {
            all[i].buffer = memory_;
            all[i].offset = i * (kBytes / 4);
        }
        return all;
    }
    // What query and prepare say of it, with that argument a constant.
    std::pair<int64_t, vks_status> ask(size_t constant) {
        std::vector<vks_tensor> declared = args();
        declared.pop_back();
        for (size_t i = 0; i < declared.size(); ++i) {
            if (i == constant) {
                declared[i].flags = VKS_TENSOR_CONSTANT;
            } else {
                declared[i].buffer = nullptr;
                declared[i].offset = 0;
            }
        }
        const vks_topk_params params = {kCount};
        const vks_op op{sizeof(vks_op), "topk/1", &params, sizeof params, declared.data(), declared.size()};
        vks_support support{};
        support.size = sizeof support;
        error_ = {};
        if (api_.query(device_.handle(), &op, &support, &error_) != VKS_OK) support.verdict = VKS_INTERNAL;
        said_ = error_.text;
        scratch_bytes_ = support.scratch_bytes;
        if (kernel_) api_.kernel_destroy(device_.handle(), std::exchange(kernel_, nullptr));
        return {support.verdict, api_.prepare(device_.handle(), &op, &kernel_, &error_)};
    }
    vks_status launch(const std::vector<vks_tensor>& all) {
        error_ = {};
        const vks_status status = api_.launch(stream_, kernel_, all.data(), 3, &all[3], &error_);
        said_ = error_.text;
        return status;
    }
    bool has_scratch() const { return scratch_bytes_ > 0; }
    bool says(const char* what) const { return said_.find(what) != std::string::npos; }
    const std::string& said() const { return said_; }

private:
    vks_buffer* buffer(uint32_t kind, void* import) {
        vks_buffer* made = nullptr;
        if (api_.buffer_create(device_.handle(), kBytes, kind, import, &made, &error_) != VKS_OK) return nullptr;
        buffers_.push_back(made);
        return made;
    }

    Device& device_;
    const vks_device_api& api_;
    std::vector<vks_buffer*> buffers_;
    void* range_ = nullptr;
    vks_buffer* memory_ = nullptr;
    vks_stream* stream_ = nullptr;
    vks_kernel* kernel_ = nullptr;
    uint64_t scratch_bytes_ = 0;
    vks_error error_{};
    std::string said_;
};

TEST(ReadOnly, NoOutputIsAConstant) {
    on_every_device([](Device& device) {
        Topk topk(device);
        for (const size_t output : {1, 2}) {
            const auto [verdict, prepared] = topk.ask(output);
            EXPECT_EQ(verdict, VKS_UNSUPPORTED);
            EXPECT_TRUE(topk.says("wanted an output, found a constant")) << topk.said();
            EXPECT_EQ(prepared, VKS_UNSUPPORTED);
        }
    });
}

TEST(ReadOnly, NothingIsWrittenToImportedMemory) {
    on_every_device([](Device& device) {
        Topk topk(device);
        ASSERT_EQ(topk.ask(SIZE_MAX), std::pair(int64_t{VKS_OK}, vks_status{VKS_OK})) << topk.said();
        vks_buffer* const imported = topk.imported();
        if (!imported) return;
        for (const size_t written : {1, 2, 3}) {
            if (written == 3 && !topk.has_scratch()) continue;
            SCOPED_TRACE(written);
            std::vector<vks_tensor> args = topk.args();
            args[written].buffer = imported;
            EXPECT_EQ(topk.launch(args), VKS_INVALID);
            EXPECT_TRUE(topk.says("wanted memory that can be written, found read-only")) << topk.said();
        }
        EXPECT_EQ(topk.launch(topk.args()), VKS_OK) << topk.said();
    });
}

}  // namespace
}  // namespace vks::test
