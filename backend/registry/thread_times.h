// A device's own threads, and when they were at work, where its plugin has vks.threads/1.
#pragma once
#include <functional>

#include "backend/abi/draft/threads.h"
#include "backend/abi/plugin.hpp"

namespace vks {

// Threads of the plugin's device unless it is opened with others; 0 where it doesn't say.
uint64_t usual_threads(const vks_plugin& plugin);

// From its making on, it is noted; the stream must outlive it. [stream]
class ThreadTimes {
public:
    ThreadTimes(const vks_plugin& plugin, vks_stream* stream);

    // Hands over what was noted since the last time, once that work is done.
    void take(const std::function<void(const vks_thread_span&)>& each) const;

private:
    const vks_threads_api* api_;
    vks_stream* stream_;
};

}  // namespace vks
