// One pass over the pattern: what means the same in both syntaxes is copied, what is spelt differently is rewritten,
// and the rest is refused. Syntax errors are left for PCRE2 to find.
#include "frontend/text/split_pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "frontend/text/unicode_16.h"
#include "frontend/text/utf8.h"

namespace vks {
namespace {

// \s is Unicode's White_Space in Oniguruma. PCRE2's also takes U+180E, which left that property in Unicode 6.3.
constexpr std::string_view kSpace = R"([\t-\r\x{85}\p{Z}])";
constexpr std::string_view kNoSpace = R"([^\t-\r\x{85}\p{Z}])";

// The general categories that may be named, and what newer versions of Unicode add to PCRE2's. The finer categories and
// the unassigned (C) would need tables of their own.
struct Category {
    char name;
    std::string_view more;
};
constexpr std::array<Category, 6> kCategories = {
    {{'L', kNewLetters}, {'M', kNewMarks}, {'N', kNewNumbers}, {'P', kNewPunctuation}, {'S', kNewSymbols}, {'Z', ""}}};

bool digit(char c) {
    return c >= '0' && c <= '9';
}

class Translation {
public:
    Translation(std::string_view pattern, const std::string& file) : rest_(pattern), pattern_(pattern), file_(file) {}

    Result<std::string> run() {
        while (!rest_.empty()) VKS_TRY(step());
        return std::move(out_);
    }

private:
    Status step() {
        switch (rest_.front()) {
            case '\\':
                return escape(false);
            case '[':
                return character_class();
            case '{':
                return counted();
            case '(':
                if (starts("(*") || (starts("(?") && !starts("(?:") && !starts("(?=") && !starts("(?!"))) {
                    return unsupported(rest_.substr(0, 3));
                }
                copy(1);
                if (!rest_.empty() && rest_.front() == '?') copy(2);
                return {};
            case '^':
            case '$':
            case '.':
                return unsupported(rest_.substr(0, 1));
            default:
                copy(1);
                return {};
        }
    }

    Status escape(bool in_class) {
        const char c = rest_.size() > 1 ? rest_[1] : '\0';
        if (c == 'p' || c == 'P') return property(in_class);
        if ((c == 's' || c == 'S') && !in_class) {
            out_.append(c == 's' ? kSpace : kNoSpace);
            rest_.remove_prefix(2);
            return {};
        }
        const bool punctuation = c > 0x20 && c < 0x7F && !digit(c) && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!punctuation && c != 'n' && c != 'r' && c != 't') return unsupported(rest_.substr(0, 2));
        copy(2);
        return {};
    }

    // \p{L}, with its additions; \P{L} in a class could not have them taken away.
    Status property(bool in_class) {
        const std::string_view written = rest_.substr(0, rest_.find('}') + 1);
        const bool negated = rest_[1] == 'P';
        if (written.size() != 5 || written[2] != '{' || (negated && in_class)) {
            return unsupported(rest_.substr(0, std::clamp<size_t>(written.size(), 3, 16)));
        }
        for (const Category& category : kCategories) {
            if (written[3] != category.name) continue;
            const auto members = fmt::format("\\p{{{}}}{}", category.name, category.more);
            out_.append(in_class ? members : fmt::format("[{}{}]", negated ? "^" : "", members));
            rest_.remove_prefix(written.size());
            return {};
        }
        return unsupported(written);
    }

    // Classes in classes and intersections exist in Oniguruma only.
    Status character_class() {
        copy(starts("[^") ? 2 : 1);
        if (!rest_.empty() && rest_.front() == ']') return unsupported("[]");
        while (!rest_.empty() && rest_.front() != ']') {
            if (rest_.front() == '[' || starts("&&")) return unsupported(rest_.substr(0, 2));
            if (rest_.front() == '\\') {
                VKS_TRY(escape(true));
            } else {
                copy(1);
            }
        }
        copy(1);
        return {};
    }

    // In Ruby, {n}+ is a repeat of a repeat and {n}? is optional; in PCRE2 they are possessive and lazy. Who counts the
    // steps of a match sees one step in a repeat that fails; so numbers are small.
    Status counted() {
        size_t at = 1;
        while (at < rest_.size() && digit(rest_[at])) ++at;
        const bool counts = at > 1;
        if (counts && at < rest_.size() && rest_[at] == ',') {
            for (++at; at < rest_.size() && digit(rest_[at]);) ++at;
        }
        constexpr size_t kDigits = 2;
        const size_t comma = std::min(rest_.find(','), at);
        if (comma - 1 > kDigits || at - comma > kDigits + 1) return unsupported(rest_.substr(0, at));
        if (!counts || at == rest_.size() || rest_[at] != '}') return unsupported(rest_.substr(0, at + 1));
        const char after = at + 1 < rest_.size() ? rest_[at + 1] : '\0';
        if (after == '+' || after == '?') return unsupported(rest_.substr(0, at + 2));
        copy(at + 1);
        return {};
    }

    bool starts(std::string_view with) const { return rest_.starts_with(with); }

    void copy(size_t bytes) {
        bytes = std::min(bytes, rest_.size());
        out_.append(rest_, 0, bytes);
        rest_.remove_prefix(bytes);
    }

    Error unsupported(std::string_view what) const {
        return {Code::kBadInput, fmt::format("pre_tokenizer pattern {} ({}): wanted supported syntax, found {}",
                                             excerpt(pattern_), file_, excerpt(what))};
    }

    std::string_view rest_, pattern_;
    const std::string& file_;
    std::string out_;
};

}  // namespace

Result<std::string> split_pattern_for_pcre2(std::string_view pattern, const std::string& file) {
    return Translation(pattern, file).run();
}

}  // namespace vks
