// What is to go wrong, and when: read from text, and counted while calls go by.
#pragma once
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace vks::fault {

enum class Harm { kNone, kDeviceLost, kNoMemory, kInternal, kThrow, kHang, kNan, kWrong };
enum class Place { kQuery, kPrepare, kBuffer, kCopy, kLaunch, kAwait, kStream, kFence };

struct Fault {
    Harm harm = Harm::kNone;
    Place place = Place::kLaunch;
    std::string op;     // "mla_attention"; empty: any
    int64_t step = 0;   // not before so many steps have been submitted
    int64_t at = 0;     // not at the first so many calls that match from there on
    int64_t times = 0;  // at how many calls; 0: at every one from there on
    int64_t arg = 0;    // of kNan and kWrong: which argument, from the last one
};

// "error=device_lost;op=mla_attention;at=17". Keys of others are passed over. Empty, or what is wrong.
std::string read(std::string_view text, Fault& fault);

// Thread-safe.
class Counter {
public:
    explicit Counter(Fault fault) : fault_(std::move(fault)) {}
    const Fault& fault() const { return fault_; }
    // Counts a call; whether it is to go wrong. `op`: "name/revision"; empty for a call about no operator.
    bool strikes(Place place, std::string_view op);
    // A step was submitted.
    void stepped();

private:
    const Fault fault_;
    std::mutex mutex_;
    int64_t steps_ = 0, calls_ = 0;
};

}  // namespace vks::fault
