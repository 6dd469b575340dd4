// A byte trie over the added tokens, walked from every position where one may begin.
#include "frontend/text/added_tokens.h"

#include <utility>

#include "backend/base/check.h"

namespace vks {

void AddedTokens::add(std::string_view text, int32_t id) {
    CHECK(!text.empty() && id >= 0 && nodes_.size() + text.size() < size_t{1} << 31, "added token {}", id);
    uint32_t at = 0;
    for (const char c : text) {
        const auto byte = static_cast<uint8_t>(c);
        uint32_t next = at == 0 ? first_[byte] : nodes_[at].child;
        while (next != 0 && nodes_[next].byte != byte) next = nodes_[next].sibling;
        if (next == 0) {
            next = static_cast<uint32_t>(nodes_.size());
            uint32_t& head = at == 0 ? first_[byte] : nodes_[at].child;
            const uint32_t sibling = std::exchange(head, next);
            nodes_.push_back({byte, -1, 0, sibling});
        }
        at = next;
    }
    nodes_[at].id = id;
}

std::optional<AddedTokens::Match> AddedTokens::find(std::string_view text, size_t from) const {
    for (size_t begin = from; begin < text.size(); ++begin) {
        std::optional<Match> longest;
        uint32_t at = first_[static_cast<uint8_t>(text[begin])];
        for (size_t end = begin + 1; at != 0; ++end) {
            if (nodes_[at].id >= 0) longest = Match{begin, end - begin, nodes_[at].id};
            if (end == text.size()) break;
            at = nodes_[at].child;
            while (at != 0 && nodes_[at].byte != static_cast<uint8_t>(text[end])) at = nodes_[at].sibling;
        }
        if (longest) return longest;
    }
    return std::nullopt;
}

}  // namespace vks
