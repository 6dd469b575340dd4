// Finding added tokens (<｜User｜> and the like) in text before it is cut into words. Knows only strings and ids.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace vks {

// A set of strings to find. Immutable use is thread-safe.
class AddedTokens {
public:
    struct Match {
        size_t begin, length;
        int32_t id;
    };

    // Adds a string, not empty and not there yet. The strings together must stay below 2^31 bytes.
    void add(std::string_view text, int32_t id);
    // The leftmost match at or after `from`; of those that begin there, the longest.
    std::optional<Match> find(std::string_view text, size_t from) const;

private:
    // A trie; the root's children are in `first_`. Index 0 means no node.
    struct Node {
        uint8_t byte = 0;
        int32_t id = -1;  // of the token that ends here
        uint32_t child = 0, sibling = 0;
    };
    std::array<uint32_t, 256> first_{};
    std::vector<Node> nodes_ = std::vector<Node>(1);
};

}  // namespace vks
