// The tokens of a byte-level tokenizer: their text as the file writes it, the bytes they stand for, and their ids.
// Knows neither merges nor how text is cut.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vks {

// The alphabet of byte-level BPE (GPT-2's bytes_to_unicode): each byte is written as a printable character of one or
// two UTF-8 bytes, so that token texts hold no spaces and no control characters. Thread-safe.
std::string byte_level_text(std::string_view bytes);

// Tokens by id and by text. Ids may have gaps. Immutable use is thread-safe.
class Vocabulary {
public:
    // Ids are below this; larger than any vocabulary in use, and the tables stay under 100 MB whatever a file says.
    static constexpr int32_t kIdLimit = 1 << 22;

    enum class Added { kYes, kIdTaken, kTextTaken };

    // Room for so many tokens, to spare growing.
    void reserve(size_t tokens);
    // Adds a token; changes nothing if the id or the text is there already. 0 <= id < kIdLimit. The texts of all tokens
    // together must stay below 2^31 bytes.
    Added add(std::string_view text, int32_t id);
    void set_special(int32_t id);  // `id` has a token

    std::optional<int32_t> id_of(std::string_view text) const;
    bool has(int32_t id) const;  // any int32_t
    bool special(int32_t id) const { return has(id) && entries_[static_cast<size_t>(id)].special; }
    // The text as the file writes it, and the bytes it stands for; empty without a token. Both are borrowed from here.
    // A text with a character outside the byte alphabet (as in <｜User｜>) stands for its own UTF-8.
    std::string_view text(int32_t id) const;
    std::string_view bytes(int32_t id) const;

    size_t size() const { return size_; }                                       // tokens
    int32_t id_limit() const { return static_cast<int32_t>(entries_.size()); }  // one more than the largest id

private:
    struct Entry {
        static constexpr uint32_t kAbsent = UINT32_MAX;
        uint32_t text_at = kAbsent, text_length = 0;
        uint32_t bytes_at = 0, bytes_length : 31 = 0;
        uint32_t special : 1 = 0;
    };
    // Open addressing: the tag spares most comparisons of texts. id_plus_1 is 0 in an empty slot.
    struct Slot {
        uint32_t tag = 0, id_plus_1 = 0;
    };

    size_t find_slot(std::string_view text, uint64_t hash) const;
    void rehash(size_t slots);

    std::string text_, bytes_;
    std::vector<Entry> entries_;  // by id
    std::vector<Slot> slots_;     // a power of two, at most half full
    size_t size_ = 0;
};

}  // namespace vks
