// How long a stream's submissions take by the device's own clock, where its plugin has vks.clock/1.
#pragma once
#include <optional>

#include "backend/abi/draft/clock.h"
#include "backend/abi/plugin.hpp"

namespace vks {

// From its making on, all that the stream is given is timed; the stream must outlive it. False: the device has no
// clock. [stream]
class StreamClock {
public:
    StreamClock(const vks_plugin& plugin, vks_stream* stream);

    explicit operator bool() const { return api_ != nullptr; }
    // Of the last submission that had work, once that is done.
    std::optional<vks_span> last() const;

private:
    const vks_clock_api* api_;
    vks_stream* stream_;
};

}  // namespace vks
