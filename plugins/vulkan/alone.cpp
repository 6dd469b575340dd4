#include "plugins/vulkan/alone.h"

#include <chrono>

namespace vks::vulkan {
namespace {

constexpr uint64_t kPatience = 5'000'000'000;  // ns

std::string check(const Signature&) {
    return {};
}

void encode(Encoder& e, const Signature& s) {
    const auto& run = s.get<AloneRun>();
    e.dispatch(0, {e.arg(0)}, run.push, e.spread(run.groups));
}

constexpr Op kOp = {"alone", sizeof(AloneRun), check, 0, nullptr, encode};

uint64_t host_ns() {
    using namespace std::chrono;
    return uint64_t(duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count());
}

}  // namespace

Alone::Alone(vks_device& device, Program program, uint64_t bytes, Memory kind) : device_(device) {
    kernel_.device = &device;
    kernel_.op = &kOp;
    kernel_.pipelines = {&device.pipelines->get(program)};
    kernel_.recipe.programs = {std::move(program)};
    kernel_.given = {0};
    stream_ = std::make_unique<vks_stream>(device);
    if (device.gpu.timestamp_bits > 0) stream_->time(true);
    vks_error error{};
    if (const vks_status status = kDeviceApi.fence_create(&device, &fence_, &error); status != VKS_OK)
        throw Failure(status, error.text);
    buffer_.device = &device;
    buffer_.bytes = bytes;
    buffer_.id = device.next_id();
    try {
        buffer_.range = device.heap->allocate(bytes, kind);
    } catch (...) {
        kDeviceApi.fence_destroy(fence_);
        throw;
    }
    const auto count = int64_t(bytes / sizeof(float));
    kernel_.declared = {vks_tensor{VKS_F32, VKS_ROW_MAJOR, 1, 0, {count}, {1}, &buffer_, 0}};
    kernel_.args = {args::at_maximum(kernel_.declared[0])};
}

Alone::~Alone() {
    kDeviceApi.fence_destroy(fence_);
    stream_.reset();
    device_.heap->release(buffer_.range);
}

bool Alone::run(const AloneRun& run) {
    // Another number for each run: a recording is of one kernel, and its parameters are part of it.
    kernel_.id = device_.next_id();
    std::memcpy(kernel_.params.data(), &run, sizeof run);
    kernel_.pipelines[0]->handle.wait();
    stream_->launch(kernel_, kernel_.declared.data(), 1, nullptr);
    const uint64_t begin = host_ns();
    if (kDeviceApi.submit(stream_.get(), fence_, ++submitted_, nullptr) != VKS_OK ||
        kDeviceApi.fence_await(fence_, submitted_, kPatience, nullptr) != VKS_OK)
        return false;
    ns_ = device_.gpu.timestamp_bits > 0 ? stream_->last_span().ns : host_ns() - begin;
    return true;
}

}  // namespace vks::vulkan
