// Reading a tokenizer.json as a stream: the vocabulary and the merges go straight into flat arrays (they are nearly all
// of the file, and a document tree of them costs more than everything else at start), the rest into a small tree.
// Checks what kind each part is, not what it says.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "backend/base/result.h"

namespace vks {

// A tokenizer.json's contents.
struct TokenizerJson {
    struct Entry {
        uint32_t at, length;  // in vocab_text
        int32_t id;           // below Vocabulary::kIdLimit
    };
    // The two texts follow each other in merge_text.
    struct Merge {
        uint32_t at, left, right;  // offset, and the lengths
    };

    std::string vocab_text, merge_text;
    std::vector<Entry> vocab;   // model.vocab, in the order of the file
    std::vector<Merge> merges;  // model.merges, of either form: "a b" or ["a", "b"]
    bool has_merges = false;    // there is a list, though it may be empty
    nlohmann::json rest;        // everything else, at most 32 levels deep

    std::string_view text(const Entry& e) const { return std::string_view(vocab_text).substr(e.at, e.length); }
    std::string_view left(const Merge& m) const { return std::string_view(merge_text).substr(m.at, m.left); }
    std::string_view right(const Merge& m) const { return std::string_view(merge_text).substr(m.at + m.left, m.right); }
    std::string_view joined(const Merge& m) const {
        return std::string_view(merge_text).substr(m.at, m.left + m.right);
    }
};

// Reads `text`, of at most kMaxTokenizerJson bytes. `file` is for messages. Thread-safe.
constexpr size_t kMaxTokenizerJson = size_t{256} << 20;
Result<TokenizerJson> read_tokenizer_json(std::string_view text, const std::string& file);

// A value as messages show it: strings quoted and cut, containers by kind. Thread-safe.
std::string shown(const nlohmann::json& value);

}  // namespace vks
