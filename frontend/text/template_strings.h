// Python's str operations on UTF-8 text, as chat templates need them: positions count code points.
// Every text here is well-formed UTF-8 (checked where it comes in: find_invalid_utf8). Pure functions, thread-safe.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vks::tmpl {

// One code point and the bytes it takes.
struct CodePoint {
    char32_t code = 0;
    std::size_t bytes = 1;
};

// The code point that starts at byte `at`, a boundary below the text's size.
CodePoint code_point(std::string_view text, std::size_t at);
void append_code_point(std::string& text, char32_t code);

// str.isspace of one code point; also what \s matches in Python's re.
bool is_space(char32_t code);

// Number of code points.
std::size_t text_length(std::string_view text);
// Byte offset of code point number `index`, or the text's size when it has no more than `index` code points.
std::size_t byte_offset(std::string_view text, std::size_t index);

// str.strip and its one-sided forms; without `chars`, white space.
std::string_view strip(std::string_view text, std::optional<std::string_view> chars, bool left, bool right);

// Byte offset of `needle` in `text` at or after `from`, or npos. Linear in both sizes, whatever they hold.
class Finder {
public:
    explicit Finder(std::string_view needle);
    std::size_t find(std::string_view text, std::size_t from) const;

private:
    std::string_view needle_;
    std::vector<std::size_t> fallback_;  // [needle bytes], Knuth-Morris-Pratt's failure function
};

// str.split / str.rsplit: at most `limit` cuts (negative: all); without `separator`, at runs of white space.
// `separator` is not empty.
std::vector<std::string_view> split(std::string_view text, std::optional<std::string_view> separator, long long limit);
std::vector<std::string_view> split_from_right(std::string_view text, std::string_view separator, long long limit);

// repr(float): the shortest decimal that reads back as `value`, in Python's notation.
std::string float_text(double value);

}  // namespace vks::tmpl
