// Cutting text into the words that byte-pair merging works on, with the Split patterns of a tokenizer.json.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backend/base/result.h"

struct pcre2_real_code_8;  // pcre2.h

namespace vks {

// A sequence of Hugging Face "Split" pre-tokenizers with a regular expression, behavior Isolated. Immutable use is
// thread-safe; move-only.
class Pretokenizer {
public:
    // The patterns are in Oniguruma's syntax, as Hugging Face uses them. Constructs that mean something else in PCRE2,
    // or whose meaning there is not known to be the same, are refused by name. `file` is for messages.
    static Result<Pretokenizer> compile(const std::vector<std::string>& patterns, const std::string& file);

    // Appends the words of `text`, which must be well-formed UTF-8, to `words`: each pattern in turn cuts every piece
    // so far before and after each match. Nothing is lost and no word is empty; the words are views into `text`. Fails
    // if a pattern needs more than its share of backtracking.
    Status split(std::string_view text, std::vector<std::string_view>& words) const;

private:
    struct FreeCode {
        void operator()(pcre2_real_code_8* code) const;
    };
    std::vector<std::unique_ptr<pcre2_real_code_8, FreeCode>> codes_;
};

}  // namespace vks
