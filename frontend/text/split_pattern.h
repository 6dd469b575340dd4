// Oniguruma's regular expressions, as far as tokenizers need them, in PCRE2's syntax.
#pragma once
#include <string>
#include <string_view>

#include "backend/base/result.h"

namespace vks {

// `pattern` (UTF-8) rewritten so that PCRE2 with PCRE2_UTF and PCRE2_UCP matches what Oniguruma's Ruby syntax matches.
// Understands literals, classes, general categories (\p{L}; not finer ones), \s \S \n \r \t, groups (?: ), look-ahead
// (?= ) (?! ), alternatives, and the quantifiers ? * + {n} {n,} {n,m} with numbers below 100. An error names anything else. `file` is for
// messages. Thread-safe.
Result<std::string> split_pattern_for_pcre2(std::string_view pattern, const std::string& file);

}  // namespace vks
