// The plugin loader, runner and comparisons of the operator tests.
#include "tests/ops/harness.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>

#include "backend/base/check.h"
#include "frontend/io/safetensors.h"
#include "tests/support/paths.h"

namespace vks::test {
namespace {

constexpr size_t kGuard = 256;  // bytes before and after every output
constexpr std::byte kGuardByte{0xa5};
constexpr std::byte kNanByte{0xff};  // NaN in every float format here, -1 in integers

// "device=1;tier=0": which of the plugin's devices; the first if it doesn't say.
uint32_t device_index(const std::string& options) {
    const size_t at = options.find("device=");
    return at == std::string::npos ? 0 : uint32_t(std::strtoul(options.c_str() + at + 7, nullptr, 10));
}

// A buffer with a guard zone on either side, filled; destroyed with its device's table.
class Guarded {
public:
    Guarded(Device& device, const Value& initial, bool undefined) : device_(device), value_(initial) {
        const size_t bytes = static_cast<size_t>(initial.count() * abi::element_bytes(initial.dtype));
        value_.bytes.resize(bytes, kNanByte);
        if (undefined) std::fill(value_.bytes.begin(), value_.bytes.end(), kNanByte);
        vks_error error{};
        const vks_status status =
            device.api().buffer_create(device.handle(), bytes + 2 * kGuard, VKS_BUFFER_HOST, nullptr, &buffer_, &error);
        CHECK(status == VKS_OK, "buffer: {}", error.text);
        memory_ = static_cast<std::byte*>(device.api().buffer_map(device.handle(), buffer_));
        CHECK(memory_ != nullptr, "a host buffer can't be mapped");
        std::fill_n(memory_, bytes + 2 * kGuard, kGuardByte);
        std::copy(value_.bytes.begin(), value_.bytes.end(), memory_ + kGuard);
    }
    ~Guarded() { device_.api().buffer_destroy(device_.handle(), buffer_); }
    Guarded(const Guarded&) = delete;
    Guarded& operator=(const Guarded&) = delete;

    void place(vks_tensor& tensor) const {
        tensor.buffer = buffer_;
        tensor.offset = kGuard;
    }
    Value read() const {
        Value now = value_;
        std::copy_n(memory_ + kGuard, now.bytes.size(), now.bytes.begin());
        return now;
    }
    bool unchanged() const { return read().bytes == value_.bytes; }
    bool guards_hold() const {
        const std::byte* end = memory_ + kGuard + value_.bytes.size();
        const auto intact = [](std::byte b) { return b == kGuardByte; };
        return std::all_of(memory_, memory_ + kGuard, intact) && std::all_of(end, end + kGuard, intact);
    }

private:
    Device& device_;
    Value value_;
    vks_buffer* buffer_ = nullptr;
    std::byte* memory_ = nullptr;
};

vks_tensor describe(const Value& value) {
    vks_tensor t;
    std::memset(&t, 0, sizeof t);
    t.dtype = value.dtype;
    t.rank = static_cast<uint32_t>(value.dim.size());
    int64_t stride = 1;
    for (size_t i = value.dim.size(); i-- > 0;) {
        t.dim[i] = value.dim[i];
        t.stride[i] = stride;
        stride *= value.dim[i];
    }
    return t;
}

const vks_plugin* load(const std::string& path) {
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);  // stays open: threads of it may outlive the device
    CHECK(library, "{}", dlerror());
    const auto* entry = static_cast<const vks_entry*>(dlsym(library, "vks_plugin_entry"));
    CHECK(entry && std::memcmp(entry->magic, VKS_ABI_MAGIC, sizeof entry->magic) == 0, "{}: no plugin entry", path);
    vks_error error{};
    const vks_plugin* plugin = entry->negotiate(VKS_ABI_MAJOR, VKS_ABI_MINOR, &error);
    CHECK(plugin, "{}: {}", path, error.text);
    return plugin;
}

// "device=*;..." for every usable device of the plugin; anything else is itself. No device at all ends the program.
std::vector<std::string> for_each_device(const std::string& options) {
    constexpr std::string_view kEvery = "device=*";
    if (!options.starts_with(kEvery)) return {options};
    const vks_plugin* plugin = load(plugin_path());
    std::vector<std::string> all;
    vks_info info{};
    info.size = sizeof info;
    std::string last;
    for (uint32_t i = 0; plugin->enumerate(i, &info, nullptr) == VKS_OK; ++i) {
        last = info.detail;
        if (!(info.flags & VKS_DEVICE_UNUSABLE))
            all.push_back("device=" + std::to_string(i) + options.substr(kEvery.size()));
    }
    CHECK(!all.empty(), "{}: no usable device: {}", plugin_path(), last);
    return all;
}

}  // namespace

Device::Device(const std::string& path, const std::string& options) : label_(options) {
    plugin_ = load(path);
    vks_error error{};
    const vks_status status = plugin_->open(nullptr, device_index(options), options.c_str(), &device_, &error);
    CHECK(status == VKS_OK, "{} {}: {}", path, options, error.text);
    CHECK(api().buffer_create(device_, 64, VKS_BUFFER_HOST, nullptr, &kept_, &error) == VKS_OK, "buffer: {}",
          error.text);
}

Device::~Device() {
    api().buffer_destroy(device_, kept_);
    plugin_->close(device_);
}

std::string plugin_path() {
    if (const char* path = std::getenv("VKS_TEST_PLUGIN"); path && *path) return path;
#ifdef VKS_TEST_PLUGIN
    return VKS_TEST_PLUGIN;
#else
    CHECK(false, "VKS_TEST_PLUGIN: wanted the path of a plugin in the environment");
#endif
}

namespace {

// Closed at the end of the tests, not of the program: what a driver's layers keep may be gone by then.
class OpenDevices : public testing::Environment {
public:
    void TearDown() override { by_options.clear(); }
    std::map<std::string, std::unique_ptr<Device>> by_options;
};

}  // namespace

Device& device(const std::string& options) {
    static auto* const open = static_cast<OpenDevices*>(testing::AddGlobalTestEnvironment(new OpenDevices));
    auto& slot = open->by_options[options];
    if (!slot) slot = std::make_unique<Device>(plugin_path(), options);
    return *slot;
}

void on_every_device(const std::function<void(Device&)>& f) {
    const char* given = std::getenv("VKS_TEST_OPTIONS");
    std::string list = given && *given ? given : "threads=2;variant=plain|threads=2;variant=auto";
    while (!list.empty()) {
        const size_t end = std::min(list.find('|'), list.size());
        for (const std::string& options : for_each_device(list.substr(0, end))) {
            Device& chosen = device(options);
            SCOPED_TRACE(chosen.label());
            f(chosen);
        }
        list.erase(0, end + 1);
    }
}

// Every outermost dim of a launch argument is declared as "at most".
std::vector<vks_tensor> OpRun::declared() const {
    std::vector<vks_tensor> tensors;
    for (const Argument& arg : args_) {
        tensors.push_back(describe(arg.value));
        if (arg.role == kConstant && arg.value.dtype != VKS_NONE) tensors.back().flags = VKS_TENSOR_CONSTANT;
        if (arg.role != kConstant && arg.value.dtype != VKS_NONE) tensors.back().dim[0] *= -1;
    }
    return tensors;
}

vks_op OpRun::described(const std::vector<vks_tensor>& tensors) const {
    return {sizeof(vks_op), op_.c_str(), params_.data(), params_.size(), tensors.data(), tensors.size()};
}

std::string OpRun::variant(Device& device) const {
    const auto tensors = declared();
    const vks_op op = described(tensors);
    vks_support support{};
    support.size = sizeof support;
    vks_error error{};
    const vks_status status = device.api().query(device.handle(), &op, &support, &error);
    return status == VKS_OK && support.verdict == VKS_OK ? support.variant : std::string("unsupported: ") + error.text;
}

std::vector<Value> OpRun::on(Device& device) const {
    std::vector<Value> first = once(device);
    const std::vector<Value> second = once(device);
    EXPECT_TRUE(first == second) << op_ << ": two runs differ";
    return first;
}

std::vector<Value> OpRun::once(Device& device) const {
    const vks_device_api& api = device.api();
    std::vector<std::unique_ptr<Guarded>> memory;
    std::vector<vks_tensor> tensors = declared(), launched;
    for (size_t i = 0; i < args_.size(); ++i) {
        const Value& value = args_[i].value;
        memory.push_back(value.dtype == VKS_NONE ? nullptr
                                                 : std::make_unique<Guarded>(device, value, args_[i].role == kOutput));
        if (!memory[i]) continue;
        if (args_[i].role == kConstant) {
            memory[i]->place(tensors[i]);
        } else {
            launched.push_back(describe(value));
            memory[i]->place(launched.back());
        }
    }
    const vks_op op = described(tensors);
    vks_support support{};
    support.size = sizeof support;
    std::vector<uint32_t> layouts(args_.size());
    support.arg_layout = layouts.data();
    vks_error error{};
    vks_kernel* kernel = nullptr;
    vks_stream* stream = nullptr;
    EXPECT_EQ(api.query(device.handle(), &op, &support, &error), VKS_OK) << error.text;
    EXPECT_EQ(support.verdict, VKS_OK) << op_ << ": " << error.text;
    EXPECT_EQ(layouts, std::vector<uint32_t>(args_.size())) << "the harness packs no constants";
    EXPECT_EQ(api.prepare(device.handle(), &op, &kernel, &error), VKS_OK) << error.text;
    EXPECT_EQ(api.stream_create(device.handle(), &stream, &error), VKS_OK) << error.text;
    const Value space{VKS_U8, {static_cast<int64_t>(support.scratch_bytes)}, {}};
    const Guarded scratch(device, space, true);
    vks_tensor scratch_tensor = describe(space);
    scratch.place(scratch_tensor);
    if (kernel && stream) {
        EXPECT_EQ(api.launch(stream, kernel, launched.data(), launched.size(), &scratch_tensor, &error), VKS_OK)
            << error.text;
        vks_fence* fence = nullptr;
        EXPECT_EQ(api.fence_create(device.handle(), &fence, &error), VKS_OK) << error.text;
        const vks_status submitted = api.submit(stream, fence, 1, &error);
        EXPECT_EQ(submitted, VKS_OK) << error.text;
        if (submitted == VKS_OK) {  // else the fence never gets there
            EXPECT_EQ(api.fence_await(fence, 1, UINT64_MAX, &error), VKS_OK) << error.text;
        }
        api.fence_destroy(fence);
    }
    if (kernel) api.kernel_destroy(device.handle(), kernel);
    if (stream) api.stream_destroy(stream);

    EXPECT_TRUE(scratch.guards_hold()) << op_ << ": a write outside the scratch memory";
    std::vector<Value> results;
    for (size_t i = 0; i < args_.size(); ++i) {
        if (!memory[i]) continue;
        EXPECT_TRUE(memory[i]->guards_hold()) << op_ << ": a write outside argument " << i;
        if (args_[i].role == kOutput || args_[i].role == kInOut) {
            results.push_back(memory[i]->read());
        } else {
            EXPECT_TRUE(memory[i]->unchanged()) << op_ << ": input " << i << " was written";
        }
    }
    return results;
}

struct Golden::Impl {
    SafetensorsFile file;
};

Golden::Golden(const std::string& name) {
    auto file = SafetensorsFile::open(test::data(name));
    CHECK(file, "{}", file.error().text);
    impl_ = std::make_unique<Impl>(Impl{*std::move(file)});
}

Golden::~Golden() = default;

bool Golden::has(const std::string& name) const {
    return impl_->file.find(name) != nullptr;
}

Value Golden::operator[](const std::string& name) const {
    const TensorView* view = impl_->file.find(name);
    CHECK(view, "golden tensor {} is missing", name);
    Value value;
    value.dtype = static_cast<uint32_t>(view->dtype);
    for (size_t i = 0; i < view->shape.rank; ++i) value.dim.push_back(view->shape[i]);
    value.bytes.assign(view->data, view->data + view->bytes);
    return value;
}

void record(const std::string& what, double figure) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2e", figure);
    testing::Test::RecordProperty(what, text);
    if (std::getenv("VKS_TEST_FIGURES")) std::printf("    %-40s %s\n", what.c_str(), text);
}

void expect_close(const std::string& what, const Value& got, const std::vector<double>& want, double tolerance) {
    ASSERT_EQ(static_cast<size_t>(got.count()), want.size()) << what;
    const double error = relative_error(got.doubles(), want);
    record(what, error);
    EXPECT_LE(error, tolerance) << what;
}

void expect_rows_close(const std::string& what, const Value& got, const std::vector<double>& want, int64_t columns,
                       double tolerance) {
    ASSERT_EQ(static_cast<size_t>(got.count()), want.size()) << what;
    const double error = conformance::largest_row_error(got.doubles(), want, columns);
    record(what, error);
    EXPECT_LE(error, tolerance) << what;
}

void expect_same_bits(const std::string& what, const Value& got, const Value& want) {
    ASSERT_EQ(got.dtype, want.dtype) << what;
    ASSERT_EQ(got.dim, want.dim) << what;
    if (got.bytes == want.bytes) return;
    int64_t different = 0, first = -1;
    const size_t size = static_cast<size_t>(abi::element_bytes(got.dtype));
    for (int64_t i = 0; i < got.count(); ++i) {
        const size_t at = static_cast<size_t>(i) * size;
        if (std::memcmp(got.bytes.data() + at, want.bytes.data() + at, size) == 0) continue;
        if (first < 0) first = i;
        ++different;
    }
    ADD_FAILURE() << what << ": " << different << " of " << got.count() << " elements differ, first " << first
                  << ": found " << got.at(first) << ", wanted " << want.at(first);
}

std::vector<double> dequantised(const Value& value, const Value& scale, int64_t rows_per_scale) {
    std::vector<double> all = value.doubles();
    if (scale.dtype == VKS_NONE) return all;
    const int64_t columns = value.columns();
    for (int64_t i = 0; i < value.count(); ++i) {
        all[static_cast<size_t>(i)] *= scale.at(i / columns / rows_per_scale, i % columns / 128);
    }
    return all;
}

std::vector<double> matmul(const Value& x, const Value& x_scale, const Value& w, const Value& w_scale) {
    const std::vector<double> a = dequantised(x, x_scale, 1), b = dequantised(w, w_scale, 128);
    const auto k = static_cast<size_t>(x.columns());
    std::vector<double> y;
    for (auto row = a.begin(); row != a.end(); row += x.columns()) {
        for (auto column = b.begin(); column != b.end(); column += w.columns()) {
            double sum = 0;
            for (size_t i = 0; i < k; ++i) sum += row[static_cast<int64_t>(i)] * column[static_cast<int64_t>(i)];
            y.push_back(sum);
        }
    }
    return y;
}

}  // namespace vks::test
