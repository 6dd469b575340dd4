#include "backend/registry/thread_times.h"

#include <algorithm>
#include <array>

#include "backend/registry/loader.h"

namespace vks {
namespace {

const vks_threads_api* find_api(const vks_plugin& plugin) {
    return static_cast<const vks_threads_api*>(find_extension(plugin, VKS_THREADS_ID, sizeof(vks_threads_api)));
}

}  // namespace

uint64_t usual_threads(const vks_plugin& plugin) {
    const vks_threads_api* api = find_api(plugin);
    return api ? api->usual() : 0;
}

ThreadTimes::ThreadTimes(const vks_plugin& plugin, vks_stream* stream) : api_(find_api(plugin)), stream_(stream) {
    vks_error error{};
    if (api_ && abi::guard(&error, [&] { return api_->enable(stream_, 1, &error); }) != VKS_OK) api_ = nullptr;
}

void ThreadTimes::take(const std::function<void(const vks_thread_span&)>& each) const {
    std::array<vks_thread_span, 256> spans{};
    uint64_t count = spans.size();
    while (api_ && count == spans.size()) {
        count = 0;
        vks_error error{};
        if (abi::guard(&error, [&] { return api_->take(stream_, spans.data(), spans.size(), &count, &error); }) !=
            VKS_OK)
            return;
        count = std::min<uint64_t>(count, spans.size());
        std::for_each_n(spans.begin(), count, each);
    }
}

}  // namespace vks
