#include "plugins/fault/fault.h"

#include <charconv>
#include <limits>
#include <utility>

#include "plugins/args/options.h"

namespace vks::fault {
namespace {

template <class T>
struct Name {
    const char* text;
    T value;
};
constexpr Name<Harm> kHarms[] = {{"none", Harm::kNone},
                                 {"device_lost", Harm::kDeviceLost},
                                 {"out_of_memory", Harm::kNoMemory},
                                 {"internal", Harm::kInternal},
                                 {"throw", Harm::kThrow},
                                 {"hang", Harm::kHang},
                                 {"nan", Harm::kNan},
                                 {"wrong", Harm::kWrong}};
constexpr Name<Place> kPlaces[] = {{"query", Place::kQuery},   {"prepare", Place::kPrepare}, {"buffer", Place::kBuffer},
                                   {"copy", Place::kCopy},     {"launch", Place::kLaunch},   {"await", Place::kAwait},
                                   {"stream", Place::kStream}, {"fence", Place::kFence}};

template <class T, size_t N>
bool look_up(const Name<T> (&names)[N], const std::string& text, T& value) {
    for (const Name<T>& name : names) {
        if (text != name.text) continue;
        value = name.value;
        return true;
    }
    return false;
}

bool number(const std::string& text, int64_t& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() && value >= 0;
}

// Whether the harm can be done there.
bool possible(const Fault& fault) {
    if (fault.harm == Harm::kNan || fault.harm == Harm::kWrong || fault.harm == Harm::kHang)
        return fault.place == Place::kLaunch;
    return true;
}

}  // namespace

std::string read(std::string_view text, Fault& fault) {
    for (const auto& [key, value] : args::parse_options(std::string(text).c_str())) {
        bool ok = true;
        if (key == "error") {
            ok = look_up(kHarms, value, fault.harm);
        } else if (key == "in") {
            ok = look_up(kPlaces, value, fault.place);
        } else if (key == "op") {
            fault.op = value;
        } else if (key == "step") {
            ok = number(value, fault.step);
        } else if (key == "at") {
            ok = number(value, fault.at);
        } else if (key == "times") {
            ok = number(value, fault.times);
        } else if (key == "arg") {
            ok = number(value, fault.arg);
        }
        if (!ok) return std::string(key).append(": found ").append(value).append(", see plugins/fault/README.md");
    }
    return possible(fault) ? "" : "error: hang, nan and wrong go with in=launch";
}

bool Counter::strikes(Place place, std::string_view op) {
    if (fault_.harm == Harm::kNone || place != fault_.place) return false;
    if (!fault_.op.empty() && op.substr(0, op.find('/')) != fault_.op) return false;
    const std::lock_guard lock(mutex_);
    if (steps_ < fault_.step) return false;
    const int64_t call = calls_++;
    return call >= fault_.at && (fault_.times == 0 || call - fault_.at < fault_.times);
}

void Counter::stepped() {
    const std::lock_guard lock(mutex_);
    ++steps_;
}

}  // namespace vks::fault
