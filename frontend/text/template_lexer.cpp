// The tokens of a template, after the rules of Jinja2's lexer.
#include "frontend/text/template_lexer.h"

#include <fmt/format.h>

#include <algorithm>

#include "backend/base/bad_input.h"
#include "frontend/text/template_strings.h"
#include "frontend/text/template_value.h"

namespace vks::tmpl {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

int digit_value(char c, int base) {
    const int value = is_digit(c)            ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : 99;
    return value < base ? value : -1;
}

// Resolves the escapes of a string literal's body as Python's unicode-escape codec does. Jinja escapes all non-ASCII
// characters first, which matters after a backslash only: there the escape itself becomes text.
class Unescaper {
public:
    Unescaper(std::string_view body, std::size_t pos) : body_(body), pos_(pos) {}

    std::string run() {
        while (at_ < body_.size()) {
            if (body_[at_] != '\\') {
                out_ += body_[at_++];
            } else {
                ++at_;
                escape();
            }
        }
        return std::move(out_);
    }

private:
    void escape() {
        const CodePoint point = code_point(body_, at_);
        at_ += point.bytes;
        if (point.code >= 0x80) return spell(point.code);
        const char c = static_cast<char>(point.code);
        static constexpr std::string_view kNames = "\\'\"abfnrtv", kMeanings = "\\'\"\a\b\f\n\r\t\v";
        if (const std::size_t named = kNames.find(c); named != std::string_view::npos) {
            out_ += kMeanings[named];
        } else if (c == 'x' || c == 'u' || c == 'U') {
            const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
            number(16, digits, digits);
        } else if (digit_value(c, 8) >= 0) {
            --at_;
            number(8, 1, 3);
        } else if (c == 'N') {
            fail("a character by number", "\\N");
        } else if (c != '\n') {
            out_ += '\\';
            out_ += c;
        }
    }

    void spell(char32_t code) {
        const auto number = static_cast<std::uint32_t>(code);
        out_ += code < 0x100     ? fmt::format("\\x{:02x}", number)
                : code < 0x10000 ? fmt::format("\\u{:04x}", number)
                                 : fmt::format("\\U{:08x}", number);
    }

    void number(int base, std::size_t at_least, std::size_t at_most) {
        char32_t code = 0;
        std::size_t digits = 0;
        for (; digits < at_most && at_ < body_.size() && digit_value(body_[at_], base) >= 0; ++digits) {
            code = code * static_cast<char32_t>(base) + static_cast<char32_t>(digit_value(body_[at_++], base));
        }
        if (digits < at_least) fail("a complete escape", "fewer digits");
        if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
            fail("an escape of a character", "none with its number");
        append_code_point(out_, code);
    }

    [[noreturn]] void fail(std::string_view wanted, std::string_view found) const {
        throw Failure{fmt::format("wanted {} in a string, found {}", wanted, found), pos_};
    }

    std::string_view body_;
    std::size_t pos_;  // of the literal
    std::size_t at_ = 0;
    std::string out_;
};

class Lexer {
public:
    explicit Lexer(std::string_view source) : source_(source) {}

    std::vector<Token> run() {
        while (at_ < source_.size()) text_and_tag();
        push(Token::kEnd, source_.size(), "");
        return std::move(tokens_);
    }

private:
    char peek(std::size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }
    bool follows(std::string_view text) const { return source_.substr(at_, text.size()) == text; }
    void push(Token::Kind kind, std::size_t pos, std::string_view text) {
        tokens_.push_back({kind, pos, std::string(text)});
    }
    [[noreturn]] void fail(std::size_t pos, std::string_view wanted, std::string_view found) const {
        throw Failure{fmt::format("wanted {}, found {}", wanted, found), pos};
    }

    // Data up to the next tag, and the tag.
    void text_and_tag() {
        std::size_t tag = source_.find('{', at_);
        while (
            tag != std::string_view::npos &&
            (tag + 1 == source_.size() || std::string_view("%{#").find(source_[tag + 1]) == std::string_view::npos)) {
            tag = source_.find('{', tag + 1);
        }
        if (tag == std::string_view::npos) {
            push(Token::kData, at_, source_.substr(at_));
            at_ = source_.size();
            return;
        }
        const std::size_t begin = at_;
        at_ = tag + 2;
        const char type = source_[tag + 1];
        const char sign = take_sign();
        push_data(begin, tag, sign, type != '{');
        if (type == '#') return comment(tag);
        if (type == '%' && raw_begins()) return raw(tag);
        push(type == '{' ? Token::kPrintBegin : Token::kBlockBegin, tag, "");
        tag_contents(tag, type == '{');
    }

    char take_sign() {
        const char sign = peek();
        if (sign != '-' && sign != '+') return '\0';
        ++at_;
        return sign;
    }

    // Data [begin, end) before a tag with that sign; lstrip_blocks drops what indents a block.
    void push_data(std::size_t begin, std::size_t end, char sign, bool block) {
        std::string_view data = source_.substr(begin, end - begin);
        if (sign == '-') {
            data = strip(data, std::nullopt, false, true);
        } else if (sign != '+' && block) {
            const std::size_t line = data.rfind('\n') + 1;  // npos + 1 is 0
            if ((line > 0 || line_starts_) && strip(data.substr(line), std::nullopt, true, false).empty()) {
                data = data.substr(0, line);
            }
        }
        if (!data.empty()) push(Token::kData, begin, data);
    }

    void skip_spaces() {
        while (at_ < source_.size()) {
            const CodePoint point = code_point(source_, at_);
            if (!is_space(point.code)) break;
            at_ += point.bytes;
        }
    }

    // After the end of a tag: '-' drops white space, trim_blocks one line break.
    void after_tag(char sign, bool block) {
        if (sign == '-') skip_spaces();
        if (sign == '\0' && block && peek() == '\n') ++at_;
        line_starts_ = source_[at_ - 1] == '\n';
    }

    void comment(std::size_t tag) {
        const std::size_t end = source_.find("#}", at_);
        if (end == std::string_view::npos) fail(tag, "the end of the comment", "the end of the template");
        const char last = end > at_ ? source_[end - 1] : '\0';
        at_ = end + 2;
        after_tag(last == '-' || last == '+' ? last : '\0', true);
    }

    // Whether {% raw %} is what was begun; if so its contents are next.
    bool raw_begins() {
        const std::size_t begin = at_;
        skip_spaces();
        if (follows("raw")) {
            at_ += 3;
            skip_spaces();
            const char sign = follows("-%}") ? '-' : '\0';
            if (sign == '-') ++at_;
            if (follows("%}")) {
                at_ += 2;
                after_tag(sign, false);
                return true;
            }
        }
        at_ = begin;
        return false;
    }

    void raw(std::size_t tag) {
        const std::size_t begin = at_;
        for (std::size_t end = source_.find("{%", at_); end != std::string_view::npos;
             end = source_.find("{%", end + 2)) {
            at_ = end + 2;
            const char sign = take_sign();
            skip_spaces();
            if (!follows("endraw")) continue;
            at_ += 6;
            skip_spaces();
            const char end_sign = take_sign();
            if (!follows("%}")) continue;
            at_ += 2;
            push_data(begin, end, sign, true);
            return after_tag(end_sign, true);
        }
        fail(tag, "{% endraw %}", "the end of the template");
    }

    bool tag_ends(bool print) {
        if (!open_.empty()) return false;
        const char sign = peek() == '-' || (!print && peek() == '+') ? peek() : '\0';
        if (source_.substr(std::min(at_ + (sign ? 1 : 0), source_.size()), 2) != (print ? "}}" : "%}")) return false;
        push(print ? Token::kPrintEnd : Token::kBlockEnd, at_, "");
        at_ += sign ? 3 : 2;
        after_tag(sign, !print);
        return true;
    }

    void tag_contents(std::size_t tag, bool print) {
        while (true) {
            skip_spaces();
            if (at_ >= source_.size()) fail(tag, "the end of the tag", "the end of the template");
            if (tag_ends(print)) return;
            const char c = peek();
            if (is_digit(c)) {
                number();
            } else if (is_name_start(c)) {
                const std::size_t begin = at_;
                while (is_name_start(peek()) || is_digit(peek())) ++at_;
                push(Token::kName, begin, source_.substr(begin, at_ - begin));
            } else if (c == '\'' || c == '"') {
                literal(c);
            } else {
                operation();
            }
        }
    }

    void number() {
        const std::size_t begin = at_;
        auto digits = [&] {
            while (is_digit(peek())) ++at_;
        };
        digits();
        bool real = false;
        if (peek() == '.' && is_digit(peek(1))) {
            real = true;
            ++at_;
            digits();
        }
        const std::size_t exponent = peek(1) == '+' || peek(1) == '-' ? 2 : 1;
        if ((peek() == 'e' || peek() == 'E') && is_digit(peek(exponent))) {
            real = true;
            at_ += exponent;
            digits();
        }
        const std::string_view text = source_.substr(begin, at_ - begin);
        const bool octal_like = !real && text.size() > 1 && text[0] == '0';
        if (octal_like || is_name_start(peek()))
            fail(begin, "a decimal number", quote(source_.substr(begin, at_ + 1 - begin)));
        push(real ? Token::kFloat : Token::kInteger, begin, text);
    }

    void literal(char mark) {
        const std::size_t begin = at_++;
        while (at_ < source_.size() && source_[at_] != mark) at_ += source_[at_] == '\\' ? 2 : 1;
        if (at_ >= source_.size()) fail(begin, "the end of the string", "the end of the template");
        const std::string_view body = source_.substr(begin + 1, at_ - begin - 1);
        ++at_;
        push(Token::kText, begin, Unescaper(body, begin).run());
    }

    void operation() {
        static constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                          "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                          ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
        const auto* found = std::find_if(std::begin(kOperators), std::end(kOperators),
                                         [&](std::string_view text) { return follows(text); });
        if (found == std::end(kOperators)) {
            fail(at_, "an expression", quote(source_.substr(at_, code_point(source_, at_).bytes)));
        }
        static constexpr std::string_view kOpening = "([{", kClosing = ")]}";
        if (const std::size_t which = kOpening.find(found->front()); which != std::string_view::npos) {
            open_.push_back(kClosing[which]);
        } else if (kClosing.find(found->front()) != std::string_view::npos) {
            if (open_.empty() || open_.back() != found->front()) fail(at_, "balanced brackets", quote(*found));
            open_.pop_back();
        }
        push(Token::kOperator, at_, *found);
        at_ += found->size();
    }

    std::string_view source_;
    std::size_t at_ = 0;
    bool line_starts_ = true;  // what came before at_ ends a line, or is nothing
    std::vector<char> open_;   // brackets still to be closed
    std::vector<Token> tokens_;
};

}  // namespace

std::string normalized(std::string_view source) {
    std::string out;
    out.reserve(source.size());
    for (std::size_t i = 0; i < source.size(); ++i) {
        if (source[i] == '\r') {
            if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
            out += '\n';
        } else {
            out += source[i];
        }
    }
    if (!out.empty() && out.back() == '\n') out.pop_back();
    return out;
}

std::vector<Token> lex(std::string_view source) {
    return Lexer(source).run();
}

}  // namespace vks::tmpl
