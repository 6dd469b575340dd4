// Finds stop strings in text that comes in pieces. Knows nothing of tokens.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace vks {

// The outcome doesn't depend on where the text is cut into pieces. Not thread-safe.
class StopStrings {
public:
    // Empty strings are ignored.
    explicit StopStrings(std::vector<std::string> stops);

    // The text that is certain not to belong to a stop string, up to one. Nothing once stopped.
    std::string push(std::string_view text);
    // What was held back because it could have become a stop string; nothing once stopped.
    std::string finish();
    // The text so far holds a stop string: the one that ends first, of those the longest.
    bool stopped() const { return stopped_; }

private:
    std::vector<std::string> stops_;
    std::string held_;  // a proper prefix of a stop string
    bool stopped_ = false;
};

}  // namespace vks
