#include "backend/registry/stream_clock.h"

#include "backend/registry/loader.h"

namespace vks {

StreamClock::StreamClock(const vks_plugin& plugin, vks_stream* stream)
    : api_(static_cast<const vks_clock_api*>(find_extension(plugin, VKS_CLOCK_ID, sizeof(vks_clock_api)))),
      stream_(stream) {
    vks_error error{};
    if (api_ && abi::guard(&error, [&] { return api_->enable(stream_, 1, &error); }) != VKS_OK) api_ = nullptr;
}

std::optional<vks_span> StreamClock::last() const {
    vks_span span{};
    span.size = sizeof span;
    vks_error error{};
    if (!api_ || abi::guard(&error, [&] { return api_->last(stream_, &span, &error); }) != VKS_OK) return std::nullopt;
    return span;
}

}  // namespace vks
