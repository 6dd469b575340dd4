// The texts of values: Python's str and repr, and json.dumps.
#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <cmath>

#include "frontend/text/template_strings.h"
#include "frontend/text/template_value.h"

namespace vks::tmpl {

namespace {

void check_size(const std::string& out) {
    if (out.size() > kMaxText) throw Failure{fmt::format("wanted a text of at most {} bytes, found more", kMaxText)};
}

// str.isprintable of one code point. Unassigned ones depend on the Unicode version, so they are refused.
bool printable(char32_t code) {
    if (code == ' ') return true;
    switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
        case UTF8PROC_CATEGORY_CN:
            throw Failure{fmt::format("wanted assigned characters to print in quotes, found U+{:04X}",
                                      static_cast<std::uint32_t>(code))};
        case UTF8PROC_CATEGORY_CC:
        case UTF8PROC_CATEGORY_CF:
        case UTF8PROC_CATEGORY_CS:
        case UTF8PROC_CATEGORY_CO:
        case UTF8PROC_CATEGORY_ZL:
        case UTF8PROC_CATEGORY_ZP:
        case UTF8PROC_CATEGORY_ZS:
            return false;
        default:
            return true;
    }
}

// \x, \u or \U and the number. By hand: whole texts may consist of such characters.
void append_escape(std::string& out, char letter, std::uint32_t number) {
    out += '\\';
    out += letter;
    for (int shift = letter == 'x' ? 4 : letter == 'u' ? 12 : 28; shift >= 0; shift -= 4) {
        out += "0123456789abcdef"[number >> shift & 0xF];
    }
}

void append_quoted(std::string& out, const std::string& text) {
    const bool doubled = text.find('\'') != std::string::npos && text.find('"') == std::string::npos;
    const char mark = doubled ? '"' : '\'';
    out += mark;
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint point = code_point(text, at);
        const auto code = static_cast<std::uint32_t>(point.code);
        if (point.code == static_cast<unsigned char>(mark) || point.code == '\\') {
            out += '\\';
            out += static_cast<char>(point.code);
        } else if (point.code == '\n') {
            out += "\\n";
        } else if (point.code == '\r') {
            out += "\\r";
        } else if (point.code == '\t') {
            out += "\\t";
        } else if (printable(point.code)) {
            out.append(text, at, point.bytes);
        } else {
            append_escape(out, code < 0x100 ? 'x' : code < 0x10000 ? 'u' : 'U', code);
        }
        at += point.bytes;
    }
    out += mark;
}

// None, bool and numbers; false for anything else.
bool append_scalar(std::string& out, const Value& value) {
    if (value.is_none()) {
        out += "None";
    } else if (const bool* flag = value.boolean()) {
        out += *flag ? "True" : "False";
    } else if (const auto* number = std::get_if<std::int64_t>(&value.data())) {
        out += std::to_string(*number);
    } else if (const double* real = value.real()) {
        out += float_text(*real);
    } else {
        return false;
    }
    return true;
}

void append_repr(Work& work, std::string& out, const Value& value) {
    check_size(out);
    work.charge(16);
    if (append_scalar(out, value)) return;
    if (value.is_undefined()) {
        out += "Undefined";
    } else if (const std::string* text = value.text()) {
        work.charge(4 * text->size());  // slower than copying
        append_quoted(out, *text);
    } else if (const Sequence* sequence = value.sequence()) {
        out += sequence->tuple ? '(' : '[';
        for (std::size_t i = 0; i < sequence->items.size(); ++i) {
            if (i > 0) out += ", ";
            append_repr(work, out, sequence->items[i]);
        }
        if (sequence->tuple && sequence->items.size() == 1) out += ',';
        out += sequence->tuple ? ')' : ']';
    } else if (const Dict* dict = value.dict()) {
        out += '{';
        for (std::size_t i = 0; i < dict->entries.size(); ++i) {
            if (i > 0) out += ", ";
            append_repr(work, out, dict->entries[i].first);
            out += ": ";
            append_repr(work, out, dict->entries[i].second);
        }
        out += '}';
    } else {
        throw Failure{fmt::format("wanted a value with a text, found {}", type_name(value))};
    }
}

void append_json_text(std::string& out, const std::string& text, bool ascii) {
    out += '"';
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint point = code_point(text, at);
        const auto code = static_cast<std::uint32_t>(point.code);
        static constexpr std::string_view kPlain = "\"\\\n\r\t\f\b", kShort = "\"\\nrtfb";
        const std::size_t named = code < 0x80 ? kPlain.find(static_cast<char>(code)) : std::string_view::npos;
        if (named != std::string_view::npos) {
            out += '\\';
            out += kShort[named];
        } else if (code < 0x20 || (ascii && code >= 0x7F && code < 0x10000)) {
            append_escape(out, 'u', code);
        } else if (ascii && code >= 0x10000) {
            append_escape(out, 'u', 0xD800 + ((code - 0x10000) >> 10));
            append_escape(out, 'u', 0xDC00 + ((code - 0x10000) & 0x3FF));
        } else {
            out.append(text, at, point.bytes);
        }
        at += point.bytes;
    }
    out += '"';
}

class JsonPrinter {
public:
    JsonPrinter(Work& work, const JsonStyle& style) : work_(work), style_(style) {}

    std::string print(const Value& value) {
        append(value, 0);
        check_size(out_);
        work_.charge(out_.size());
        return std::move(out_);
    }

private:
    void append(const Value& value, std::size_t level) {
        check_size(out_);
        work_.charge(16);
        if (value.is_none()) {
            out_ += "null";
        } else if (const bool* flag = value.boolean()) {
            out_ += *flag ? "true" : "false";
        } else if (const double* real = value.real(); real && !std::isfinite(*real)) {
            out_ += std::isnan(*real) ? "NaN" : *real > 0 ? "Infinity" : "-Infinity";
        } else if (append_scalar(out_, value)) {
            return;
        } else if (const std::string* text = value.text()) {
            work_.charge(4 * text->size());  // slower than copying
            append_json_text(out_, *text, style_.ascii);
        } else if (const Sequence* sequence = value.sequence()) {
            append_items('[', ']', level, sequence->items, [&](const Value& item) { append(item, level + 1); });
        } else if (const Dict* dict = value.dict()) {
            append_dict(*dict, level);
        } else {
            throw Failure{fmt::format("wanted a value that JSON can hold, found {}", type_name(value))};
        }
    }

    void append_dict(const Dict& dict, std::size_t level) {
        std::vector<const std::pair<Text, Value>*> entries;
        for (const auto& entry : dict.entries) entries.push_back(&entry);
        if (style_.sort_keys) {
            std::stable_sort(entries.begin(), entries.end(), [](auto* a, auto* b) { return *a->first < *b->first; });
        }
        append_items('{', '}', level, entries, [&](const std::pair<Text, Value>* entry) {
            append_json_text(out_, *entry->first, style_.ascii);
            out_ += style_.key_separator;
            append(entry->second, level + 1);
        });
    }

    template <class Items, class Append>
    void append_items(char open, char close, std::size_t level, const Items& items, const Append& append_item) {
        out_ += open;
        bool first = true;
        for (const auto& item : items) {
            if (!first) out_ += style_.item_separator;
            first = false;
            append_line(level + 1);
            append_item(item);
        }
        if (!items.empty()) append_line(level);
        out_ += close;
    }

    void append_line(std::size_t level) {
        if (!style_.indented) return;
        out_ += '\n';
        for (std::size_t i = 0; i < level; ++i) out_ += style_.indent;
        check_size(out_);
    }

    Work& work_;
    const JsonStyle& style_;
    std::string out_;
};

}  // namespace

std::string to_text(Work& work, const Value& value) {
    if (value.is_undefined()) return "";
    if (const std::string* text = value.text()) {
        work.charge(text->size());
        return *text;
    }
    return to_repr(work, value);
}

std::string to_repr(Work& work, const Value& value) {
    std::string out;
    append_repr(work, out, value);
    check_size(out);
    return out;
}

std::string to_json(Work& work, const Value& value, const JsonStyle& style) {
    return JsonPrinter(work, style).print(value);
}

}  // namespace vks::tmpl
