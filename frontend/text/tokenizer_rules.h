// What a tokenizer.json and a tokenizer_config.json say besides vocabulary and merges, checked for being what this
// tokenizer does: anything that would make it give other ids than Hugging Face's is refused by name.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/base/result.h"

namespace vks {

struct TokenizerRules {
    struct Added {
        std::string text;  // not empty
        int32_t id;        // below Vocabulary::kIdLimit
        bool special;
        bool normalized;  // looked for after all others, in what they leave
    };
    std::vector<Added> added;
    std::vector<std::string> patterns;  // of the Split pre-tokenizers, in order
    bool ignore_merges = false;         // a word that is a token becomes that token, whatever the merges say
    std::optional<std::string> bos;     // the token a TemplateProcessing post-processor puts first
};

// `root` is a tokenizer.json without vocabulary and merges; `file` is for messages. Thread-safe.
Result<TokenizerRules> read_tokenizer_rules(const nlohmann::json& root, const std::string& file);

// What a tokenizer_config.json says; a field is empty where the file has none or null.
struct TokenizerConfig {
    std::optional<bool> add_bos;
    std::optional<std::string> bos, eos;
};

// `text` may be empty, which says nothing; `file` is for messages. Thread-safe.
Result<TokenizerConfig> read_tokenizer_config(std::string_view text, const std::string& file);

}  // namespace vks
