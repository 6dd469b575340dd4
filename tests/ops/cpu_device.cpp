// The CPU plugin's device: what it refuses and how, options, copies, imported memory, fences, kernels shared by
// threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <sstream>
#include <thread>

#include "backend/abi/draft/threads.h"
#include "plugins/cpu/pool.h"
#include "tests/ops/harness.h"

namespace vks::test {
namespace {

// A gemm with x at most [8, 16], w [4, 16], y at most [8, 4], and its buffers.
class CpuDevice : public testing::Test {
protected:
    void SetUp() override {
        if (std::string(device_.plugin().name) != "cpu") GTEST_SKIP() << "about the CPU plugin";
        ASSERT_EQ(api().buffer_create(device_.handle(), 4096, VKS_BUFFER_DEVICE, nullptr, &buffer_, &error_), VKS_OK);
        memory_ = static_cast<float*>(api().buffer_map(device_.handle(), buffer_));
        ASSERT_NE(memory_, nullptr);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(memory_) % 64, 0u);
        std::fill_n(memory_, 1024, 1.0f);
        ASSERT_EQ(api().stream_create(device_.handle(), &stream_, &error_), VKS_OK);
    }
    void TearDown() override {
        if (kernel_) api().kernel_destroy(device_.handle(), kernel_);
        if (stream_) api().stream_destroy(stream_);
        if (buffer_) api().buffer_destroy(device_.handle(), buffer_);
    }
    const vks_device_api& api() const { return device_.api(); }

    vks_tensor tensor(std::initializer_list<int64_t> dims, uint64_t offset = 0) const {
        vks_tensor t = abi::tensor(VKS_F32, dims);
        t.buffer = buffer_;
        t.offset = offset;
        return t;
    }
    std::vector<vks_tensor> gemm_args() const {
        vks_tensor w = tensor({4, 16}, 1024);
        w.flags = VKS_TENSOR_CONSTANT;
        return {abi::tensor(VKS_F32, {-8, 16}), w, abi::tensor(VKS_F32, {-8, 4})};
    }
    vks_status query(const std::vector<vks_tensor>& args, const char* name = "gemm/1", uint64_t params_size = 0) {
        const vks_op op{sizeof(vks_op), name,        "0123456789abcdef0123456789abcdef",
                        params_size,    args.data(), args.size()};
        vks_support support{};
        support.size = sizeof support;
        const vks_status status = api().query(device_.handle(), &op, &support, &error_);
        return status == VKS_OK ? static_cast<vks_status>(support.verdict) : status;
    }
    void prepare() {
        const auto args = gemm_args();
        const vks_op op{sizeof(vks_op), "gemm/1", nullptr, 0, args.data(), args.size()};
        ASSERT_EQ(api().prepare(device_.handle(), &op, &kernel_, &error_), VKS_OK) << error_.text;
    }
    vks_status launch(const std::vector<vks_tensor>& args) {
        return api().launch(stream_, kernel_, args.data(), args.size(), nullptr, &error_);
    }

    Device& device_ = device("threads=2;variant=plain");  // which needs no scratch memory
    vks_buffer* buffer_ = nullptr;
    vks_stream* stream_ = nullptr;
    vks_kernel* kernel_ = nullptr;
    float* memory_ = nullptr;
    vks_error error_{};
};

TEST_F(CpuDevice, QueryRefusesWithAReason) {
    EXPECT_EQ(query(gemm_args()), VKS_OK) << error_.text;
    const auto refused = [&](const std::vector<vks_tensor>& args, const char* name = "gemm/1", uint64_t params = 0) {
        error_ = {};
        const bool unsupported = query(args, name, params) == VKS_UNSUPPORTED;
        return unsupported && error_.text[0] != 0;
    };
    EXPECT_TRUE(refused(gemm_args(), "gemm/2"));
    EXPECT_TRUE(refused(gemm_args(), "gemm"));
    EXPECT_TRUE(refused(gemm_args(), "gemm/1", 4));
    EXPECT_TRUE(refused({}));
    EXPECT_TRUE(refused(std::vector<vks_tensor>(5000, gemm_args()[0])));
    const std::vector<void (*)(vks_tensor&)> changes = {[](vks_tensor& t) { t.dtype = VKS_I32; },
                                                        [](vks_tensor& t) { t.dtype = 77; },
                                                        [](vks_tensor& t) { t.dtype = VKS_NONE; },
                                                        [](vks_tensor& t) { t.layout = VKS_LAYOUT_PRIVATE; },
                                                        [](vks_tensor& t) { t.flags = 2; },
                                                        [](vks_tensor& t) { t.rank = 3; },
                                                        [](vks_tensor& t) { t.rank = 9; },
                                                        [](vks_tensor& t) { t.dim[1] = 15; },
                                                        [](vks_tensor& t) { t.stride[0] = 17; },
                                                        [](vks_tensor& t) { t.dim[0] = INT64_MIN; },
                                                        [](vks_tensor& t) { t.dim[0] = t.stride[0] = INT64_MAX; }};
    for (const auto change : changes) {
        auto args = gemm_args();
        change(args[0]);
        EXPECT_TRUE(refused(args)) << error_.text;
    }
    auto args = gemm_args();
    args[2].flags = VKS_TENSOR_CONSTANT;  // which is written
    EXPECT_TRUE(refused(args)) << error_.text;
    EXPECT_EQ(api().query(device_.handle(), nullptr, nullptr, &error_), VKS_INVALID);
}

TEST_F(CpuDevice, PrepareRefusesConstantsOutsideTheirBuffer) {
    for (uint64_t offset : {uint64_t{4096 - 255}, uint64_t{1026}, UINT64_MAX - 3}) {
        auto args = gemm_args();
        args[1].offset = offset;
        const vks_op op{sizeof(vks_op), "gemm/1", nullptr, 0, args.data(), args.size()};
        EXPECT_EQ(api().prepare(device_.handle(), &op, &kernel_, &error_), VKS_INVALID);
        EXPECT_EQ(kernel_, nullptr);
    }
}

TEST_F(CpuDevice, LaunchTakesFewerRowsAndRefusesOthers) {
    prepare();
    for (int64_t rows : {8, 3, 1, 0}) {
        std::fill_n(memory_ + 512, 64, -1.0f);
        EXPECT_EQ(launch({tensor({rows, 16}), tensor({rows, 4}, 2048)}), VKS_OK) << error_.text;
        for (int64_t i = 0; i < 64; ++i) EXPECT_EQ(memory_[512 + i], i < rows * 4 ? 16.0f : -1.0f);
    }
    const vks_tensor x = tensor({3, 16}), y = tensor({3, 4}, 2048);
    vks_tensor bf16 = x, strided = x, elsewhere = x, constant = x;
    bf16.dtype = VKS_BF16;
    strided.stride[0] = 32;
    elsewhere.buffer = nullptr;
    constant.flags = 2;
    for (const auto& args : std::vector<std::vector<vks_tensor>>{{},
                                                                 {x},
                                                                 {x, y, y},
                                                                 {tensor({9, 16}), tensor({9, 4}, 2048)},
                                                                 {x, tensor({2, 4}, 2048)},
                                                                 {bf16, y},
                                                                 {strided, y},
                                                                 {elsewhere, y},
                                                                 {constant, y},
                                                                 {x, tensor({3, 4}, 4096 - 40)},
                                                                 {x, tensor({3, 4}, 2050)},
                                                                 {tensor({-3, 16}), tensor({-3, 4}, 2048)},
                                                                 {tensor({3, 15}), y}}) {
        error_ = {};
        EXPECT_EQ(launch(args), VKS_INVALID);
        EXPECT_NE(error_.text[0], 0);
    }
}

// A kernel whose launch was refused is idle: it may go at once.
TEST_F(CpuDevice, ARefusedLaunchLeavesNothing) {
    vks_fence* fence = nullptr;
    ASSERT_EQ(api().fence_create(device_.handle(), &fence, &error_), VKS_OK);
    for (uint64_t value = 1; value < 4; ++value) {
        prepare();
        EXPECT_EQ(launch({tensor({9, 16}), tensor({9, 4}, 2048)}), VKS_INVALID);
        api().kernel_destroy(device_.handle(), kernel_);
        kernel_ = nullptr;
        const vks_tensor from = tensor({8, 16}), to = tensor({8, 16}, 2048);
        EXPECT_EQ(api().copy(stream_, &from, &to, &error_), VKS_OK) << error_.text;
        EXPECT_EQ(api().submit(stream_, fence, value, &error_), VKS_OK) << error_.text;
    }
    api().fence_destroy(fence);
}

// What a launch was given is known again by its bytes. They may mean other memory when something was destroyed since.
TEST_F(CpuDevice, TheSameArgumentsOverOtherMemory) {
    prepare();
    vks_tensor x = tensor({8, 16}), y = tensor({8, 4}, 2048);
    const auto make = [&](uint64_t bytes, float value) {
        ASSERT_EQ(api().buffer_create(device_.handle(), bytes, VKS_BUFFER_DEVICE, nullptr, &x.buffer, &error_), VKS_OK);
        std::fill_n(static_cast<float*>(api().buffer_map(device_.handle(), x.buffer)), bytes / 4, value);
    };
    for (int round = 0; round < 3; ++round) {
        make(512, 2.0f);
        for (int i = 0; i < 2; ++i) EXPECT_EQ(launch({x, y}), VKS_OK) << error_.text;
        EXPECT_EQ(memory_[512], 32.0f);
        api().buffer_destroy(device_.handle(), x.buffer);
        make(512, 3.0f);  // often where the last one was
        EXPECT_EQ(launch({x, y}), VKS_OK) << error_.text;
        EXPECT_EQ(memory_[512], 48.0f);
        api().buffer_destroy(device_.handle(), x.buffer);
        make(256, 4.0f);
        EXPECT_EQ(launch({x, y}), VKS_INVALID);
        api().buffer_destroy(device_.handle(), x.buffer);
    }
}

TEST_F(CpuDevice, OneKernelFromSeveralThreads) {
    prepare();
    std::vector<std::thread> threads;
    for (uint64_t i = 0; i < 3; ++i) {
        threads.emplace_back([&, i] {
            vks_stream* stream = nullptr;
            vks_error error{};
            EXPECT_EQ(api().stream_create(device_.handle(), &stream, &error), VKS_OK);
            for (int round = 0; round < 200; ++round) {
                const vks_tensor args[] = {tensor({8, 16}), tensor({8, 4}, 2048 + 256 * i)};
                EXPECT_EQ(api().launch(stream, kernel_, args, 2, nullptr, &error), VKS_OK) << error.text;
            }
            api().stream_destroy(stream);
        });
    }
    for (auto& thread : threads) thread.join();
    for (int i = 0; i < 32; ++i) EXPECT_EQ(memory_[512 + 64 + i], 16.0f);
}

TEST_F(CpuDevice, CopiesStridedAndChecksBounds) {
    for (int i = 0; i < 64; ++i) memory_[i] = static_cast<float>(i);
    vks_tensor from = tensor({3, 2}, 4), to = tensor({3, 2}, 2048);
    from.stride[0] = 8;  // columns 1 and 2 of an 8-column matrix
    EXPECT_EQ(api().copy(stream_, &from, &to, &error_), VKS_OK) << error_.text;
    for (int i = 0; i < 6; ++i) {
        const int row = i / 2, column = i % 2;
        EXPECT_EQ(memory_[512 + i], static_cast<float>(row * 8 + 1 + column));
    }
    vks_tensor overlapping = tensor({3, 2}, 8), larger = tensor({4, 2}, 2048), outside = tensor({3, 2}, 4080);
    for (const vks_tensor* bad : {&overlapping, &larger, &outside}) {
        EXPECT_EQ(api().copy(stream_, &from, bad, &error_), VKS_INVALID);
    }
}

// A source may be one element many times, a target may not.
TEST_F(CpuDevice, CopiesToPlacesThatAreDistinct) {
    const auto strided = [&](std::initializer_list<int64_t> dims, std::initializer_list<int64_t> strides, uint64_t at) {
        vks_tensor t = tensor({1}, at);
        t.rank = static_cast<uint32_t>(dims.size());
        std::copy(dims.begin(), dims.end(), t.dim);
        std::copy(strides.begin(), strides.end(), t.stride);
        return t;
    };
    const auto copy = [&](const vks_tensor& from, const vks_tensor& to) {
        return api().copy(stream_, &from, &to, &error_);
    };
    std::fill_n(memory_, 1024, 0.0f);
    memory_[7] = 5;
    EXPECT_EQ(copy(strided({3, 4}, {0, 0}, 28), tensor({3, 4}, 2048)), VKS_OK) << error_.text;
    for (int i = 0; i < 16; ++i) EXPECT_EQ(memory_[512 + i], i < 12 ? 5.0f : 0.0f);
    const vks_tensor from = tensor({3, 4});
    EXPECT_EQ(copy(from, strided({3, 4}, {1, 3}, 2048)), VKS_OK) << error_.text;  // transposed
    EXPECT_EQ(copy(tensor({1, 4}), strided({1, 4}, {0, 1}, 2048)), VKS_OK) << error_.text;
    EXPECT_EQ(copy(from, strided({3, 4}, {0, 1}, 2048)), VKS_INVALID);
    EXPECT_EQ(copy(from, strided({3, 4}, {3, 1}, 2048)), VKS_INVALID);
    EXPECT_EQ(copy(from, strided({3, 4}, {4, 0}, 2048)), VKS_INVALID);
    const int64_t many = int64_t{1} << 32;
    vks_tensor source = strided({many, many}, {0, 0}, 0), target = strided({many, many}, {0, 0}, 2048);
    source.dtype = target.dtype = VKS_U8;
    EXPECT_EQ(copy(source, target), VKS_INVALID);
    const int64_t most = int64_t{1} << 40;
    EXPECT_EQ(copy(strided({most, most, most, 0}, {0, 0, 0, 0}, 0), strided({most, most, most, 0}, {0, 0, 0, 0}, 2048)),
              VKS_OK)
        << error_.text;
}

TEST_F(CpuDevice, LargeCopy) {
    const int64_t n = (int64_t{1} << 21) + 12345;
    std::vector<float> source(static_cast<size_t>(n));
    for (size_t i = 0; i < source.size(); ++i) source[i] = static_cast<float>(i);
    vks_buffer *imported = nullptr, *owned = nullptr;
    const uint64_t bytes = source.size() * sizeof(float);
    ASSERT_EQ(api().buffer_create(device_.handle(), bytes, VKS_BUFFER_IMPORT, source.data(), &imported, &error_),
              VKS_OK);
    ASSERT_EQ(api().buffer_create(device_.handle(), bytes, VKS_BUFFER_DEVICE, nullptr, &owned, &error_), VKS_OK);
    EXPECT_EQ(api().buffer_map(device_.handle(), imported), source.data());  // nothing was copied
    vks_tensor from = abi::tensor(VKS_F32, {n}), to = from;
    from.buffer = imported;
    to.buffer = owned;
    EXPECT_EQ(api().copy(stream_, &from, &to, &error_), VKS_OK) << error_.text;
    EXPECT_EQ(std::memcmp(api().buffer_map(device_.handle(), owned), source.data(), bytes), 0);
    EXPECT_EQ(api().copy(stream_, &to, &from, &error_), VKS_INVALID) << "an imported range is read-only";
    api().buffer_destroy(device_.handle(), imported);
    api().buffer_destroy(device_.handle(), owned);
}

TEST_F(CpuDevice, MemoryThatCannotBeHad) {
    vks_buffer* none = nullptr;
    for (uint64_t bytes : {UINT64_MAX, UINT64_MAX - 62, uint64_t{1} << 61}) {
        EXPECT_EQ(api().buffer_create(device_.handle(), bytes, VKS_BUFFER_DEVICE, nullptr, &none, &error_),
                  VKS_NO_MEMORY);
        EXPECT_EQ(none, nullptr);
    }
    EXPECT_EQ(api().buffer_create(device_.handle(), 64, VKS_BUFFER_IMPORT, nullptr, &none, &error_), VKS_INVALID);
    EXPECT_EQ(api().buffer_create(device_.handle(), 64, 9, nullptr, &none, &error_), VKS_UNSUPPORTED);
}

TEST_F(CpuDevice, FencesCountUp) {
    vks_fence* fence = nullptr;
    ASSERT_EQ(api().fence_create(device_.handle(), &fence, &error_), VKS_OK);
    EXPECT_EQ(api().fence_await(fence, 0, 0, &error_), VKS_OK);
    EXPECT_EQ(api().fence_await(fence, 1, 1000, &error_), VKS_TIMEOUT);
    std::thread later([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        vks_stream* stream = nullptr;
        EXPECT_EQ(api().stream_create(device_.handle(), &stream, nullptr), VKS_OK);
        EXPECT_EQ(api().submit(stream, fence, 7, nullptr), VKS_OK);
        api().stream_destroy(stream);
    });
    EXPECT_EQ(api().wait(stream_, fence, 5, &error_), VKS_OK);
    EXPECT_EQ(api().fence_await(fence, 7, UINT64_MAX, &error_), VKS_OK);
    later.join();
    EXPECT_EQ(api().submit(stream_, fence, 6, &error_), VKS_INVALID);
    api().fence_destroy(fence);
}

TEST_F(CpuDevice, OneDeviceWithHostMemory) {
    vks_info info{};
    info.size = sizeof info;
    ASSERT_EQ(device_.plugin().enumerate(0, &info, &error_), VKS_OK);
    EXPECT_EQ(info.flags, uint64_t{VKS_DEVICE_HOST_MEMORY | VKS_DEVICE_FALLBACK});
    EXPECT_NE(info.name[0], 0);
    EXPECT_GT(info.bytes_total, 0u);
    EXPECT_LE(info.bytes_free, info.bytes_total);
    EXPECT_EQ(device_.plugin().enumerate(1, &info, &error_), VKS_UNSUPPORTED);
    std::memset(&info, 0x5a, sizeof info);  // a caller that knows less
    info.size = offsetof(vks_info, detail);
    ASSERT_EQ(api().info(device_.handle(), &info, &error_), VKS_OK);
    EXPECT_EQ(info.size, offsetof(vks_info, detail));
    EXPECT_EQ(info.detail[0], 0x5a);
}

TEST_F(CpuDevice, Options) {
    vks_device* opened = nullptr;
    for (const char* bad :
         {"threads=0", "threads=two", "threads=1025", "threads=2x", "target=abacus", "variant=nonesuch"}) {
        EXPECT_EQ(device_.plugin().open(nullptr, 0, bad, &opened, &error_), VKS_INVALID) << bad;
        EXPECT_EQ(opened, nullptr);
    }
    const std::string known = error_.text;  // of the last one
    EXPECT_TRUE(known.starts_with("variant: wanted one of auto, ")) << known;
    EXPECT_TRUE(known.ends_with("plain, found nonesuch")) << known;
    EXPECT_EQ(device_.plugin().open(nullptr, 1, "", &opened, &error_), VKS_UNSUPPORTED);
    for (const char* good : {"", "threads=1", "colour=red;threads=3;;=", "variant=auto;target=auto"}) {
        ASSERT_EQ(device_.plugin().open(nullptr, 0, good, &opened, &error_), VKS_OK) << error_.text;
        device_.plugin().close(opened);
        opened = nullptr;
    }
    ASSERT_EQ(device_.plugin().open(nullptr, 0, nullptr, &opened, &error_), VKS_OK) << error_.text;
    device_.plugin().close(opened);
    OpRun run("add/1");
    run.in(zeros(VKS_F32, {1, 8})).in(zeros(VKS_F32, {1, 8})).out(VKS_F32, {1, 8});
    EXPECT_EQ(run.variant(device("variant=plain")), "plain");
}

// What results say of a run, and how fast memory is read with: not the machine's cores, but those it grants.
TEST_F(CpuDevice, SaysHowManyThreadsItHasUnlessToldOtherwise) {
    const auto* threads = static_cast<const vks_threads_api*>(device_.plugin().extension(VKS_THREADS_ID));
    ASSERT_NE(threads, nullptr);
    ASSERT_EQ(threads->size, sizeof *threads);
    EXPECT_EQ(threads->usual(), static_cast<uint64_t>(cpu::usable_cores()));
    const Device usual(plugin_path(), "");
    vks_info info{};
    info.size = sizeof info;
    ASSERT_EQ(api().info(usual.handle(), &info, &error_), VKS_OK);
    const std::string said = ", " + std::to_string(threads->usual()) + " thread";  // "avx3, 2 threads of 2 usable ..."
    EXPECT_NE(std::string(info.detail).find(said), std::string::npos) << info.detail;
}

// Kernels are prepared for a target that the whole process has: while a device is open it stays as it is.
TEST_F(CpuDevice, OneTargetForAllThatAreOpen) {
    vks_device* opened = nullptr;
    const auto open = [&](const std::string& options) {
        error_ = {};
        const vks_status status = device_.plugin().open(nullptr, 0, options.c_str(), &opened, &error_);
        if (opened) device_.plugin().close(opened);
        opened = nullptr;
        return status;
    };
    const auto detail = [&] {
        vks_info info{};
        info.size = sizeof info;
        EXPECT_EQ(api().info(device_.handle(), &info, &error_), VKS_OK);
        return std::string(info.detail);
    };
    const std::string before = detail();  // "avx3_zen4, 2 threads ..."
    EXPECT_EQ(open("target=abacus"), VKS_INVALID);
    std::string known = error_.text;  // "target: wanted one of avx3_zen4 avx3 avx2, found abacus"
    known.resize(known.rfind(','));
    EXPECT_EQ(open("target=" + before.substr(0, before.find(','))), VKS_OK) << error_.text;
    const std::string other = known.substr(known.rfind(' ') + 1);
    if (!before.starts_with(other + ',')) {  // else this machine has one only
        EXPECT_EQ(open("target=" + other), VKS_INVALID);
        EXPECT_NE(std::string(error_.text).find(", found " + other), std::string::npos) << error_.text;
    }
    EXPECT_EQ(open(""), VKS_OK) << error_.text;
    EXPECT_EQ(detail(), before);
}

// The names in "... wanted one of avx3_zen4 avx3 avx2, found abacus".
std::vector<std::string> listed(const std::string& refusal) {
    const size_t begin = refusal.find("one of ") + 7;
    std::istringstream text(refusal.substr(begin, refusal.rfind(", found") - begin));
    return {std::istream_iterator<std::string>(text), {}};
}

// A product on each target that the plugin offers, in a process of its own: no other device may be open.
[[noreturn]] void multiply_on_each_target() {
    const vks_plugin* plugin = &Device(plugin_path(), "threads=1").plugin();  // it outlives the device
    vks_device* none = nullptr;
    vks_error error{};
    EXPECT_EQ(plugin->open(nullptr, 0, "target=abacus", &none, &error), VKS_INVALID);
    const std::vector<std::string> targets = listed(error.text);
    EXPECT_FALSE(targets.empty()) << error.text;
    Random random(7);
    const Value x = random.value(VKS_F32, {3, 64}), w = random.value(VKS_F32, {20, 64});
    OpRun run("gemm/1");
    run.in(x).constant(w).out(VKS_F32, {3, 20});
    for (const std::string& target : targets) {
        SCOPED_TRACE(target);
        {
            Device device(plugin_path(), "threads=2;target=" + target);
            EXPECT_LT(relative_error(run.on(device).at(0).doubles(), matmul(x, w)), 1e-5);
        }
        // Some aren't compiled; what is refused holds nothing.
        const std::string options = "variant=nonesuch;target=" + target;
        EXPECT_EQ(plugin->open(nullptr, 0, options.c_str(), &none, &error), VKS_INVALID);
        EXPECT_TRUE(std::string(error.text).starts_with("variant: wanted one of auto, ")) << error.text;
    }
    std::exit(testing::Test::HasFailure() ? 1 : 0);  // NOLINT(concurrency-mt-unsafe): no thread is left
}

TEST(CpuTargets, EachMultiplies) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(multiply_on_each_target(), testing::ExitedWithCode(0), "");
}

TEST_F(CpuDevice, EveryListedOperatorHasARevision) {
    int count = 0;
    for (const char* const* op = device_.plugin().ops; *op; ++op, ++count) EXPECT_NE(std::strchr(*op, '/'), nullptr);
    EXPECT_EQ(count, 18);
}

}  // namespace
}  // namespace vks::test
