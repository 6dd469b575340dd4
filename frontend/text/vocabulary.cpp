// Token storage: two arenas, a table by id and a hash table by text.
#include "frontend/text/vocabulary.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "backend/base/check.h"
#include "frontend/text/utf8.h"

namespace vks {
namespace {

constexpr uint32_t kAlphabetEnd = 0x144;  // code points of the byte alphabet are below this

// Bytes that print keep their code point; the others follow from U+0100 on, in order.
struct Alphabet {
    std::array<uint16_t, 256> code_point{};
    std::array<int16_t, kAlphabetEnd> byte{};

    constexpr Alphabet() {
        byte.fill(-1);
        uint16_t next = 0x100;
        for (uint16_t b = 0; b < 256; ++b) {
            const bool prints = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
            code_point[b] = prints ? b : next++;
            byte[code_point[b]] = static_cast<int16_t>(b);
        }
    }
};
constexpr Alphabet kAlphabet;

// Appends what `text` stands for.
void append_bytes(std::string& out, std::string_view text) {
    const size_t start = out.size();
    for (size_t at = 0; at < text.size();) {
        const Utf8Piece piece = utf8_piece(text.substr(at));
        const bool known = piece.kind == Utf8Piece::kCharacter && piece.code_point < kAlphabetEnd;
        const int byte = known ? kAlphabet.byte[piece.code_point] : -1;
        if (byte < 0) {
            out.resize(start);
            out.append(text);
            return;
        }
        out.push_back(static_cast<char>(byte));
        at += piece.length;
    }
}

}  // namespace

std::string byte_level_text(std::string_view bytes) {
    std::string out;
    for (const char c : bytes) {
        const uint16_t code_point = kAlphabet.code_point[static_cast<uint8_t>(c)];
        if (code_point < 0x80) {
            out.push_back(static_cast<char>(code_point));
        } else {
            out.push_back(static_cast<char>(0xC0 | code_point >> 6));
            out.push_back(static_cast<char>(0x80 | (code_point & 0x3F)));
        }
    }
    return out;
}

void Vocabulary::reserve(size_t tokens) {
    tokens = std::min(tokens, static_cast<size_t>(kIdLimit));
    entries_.reserve(tokens);
    if (const size_t slots = std::bit_ceil(2 * tokens); slots > slots_.size()) rehash(slots);
}

Vocabulary::Added Vocabulary::add(std::string_view text, int32_t id) {
    CHECK(id >= 0 && id < kIdLimit && text_.size() + text.size() < size_t{1} << 31, "token {}", id);
    if (has(id)) return Added::kIdTaken;
    if (2 * (size_ + 1) > slots_.size()) rehash(std::max<size_t>(16, 2 * slots_.size()));
    const uint64_t hash = std::hash<std::string_view>{}(text);
    Slot& slot = slots_[find_slot(text, hash)];
    if (slot.id_plus_1 != 0) return Added::kTextTaken;
    slot = {static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(id) + 1};

    const auto index = static_cast<size_t>(id);
    if (index >= entries_.size()) entries_.resize(index + 1);
    Entry& entry = entries_[index];
    entry.text_at = static_cast<uint32_t>(text_.size());
    entry.text_length = static_cast<uint32_t>(text.size());
    text_.append(text);
    entry.bytes_at = static_cast<uint32_t>(bytes_.size());
    append_bytes(bytes_, text);
    entry.bytes_length = static_cast<uint32_t>(bytes_.size() - entry.bytes_at) & 0x7FFFFFFFu;
    ++size_;
    return Added::kYes;
}

void Vocabulary::set_special(int32_t id) {
    CHECK(has(id), "no token {}", id);
    entries_[static_cast<size_t>(id)].special = 1;
}

std::optional<int32_t> Vocabulary::id_of(std::string_view text) const {
    if (slots_.empty()) return std::nullopt;
    const Slot& slot = slots_[find_slot(text, std::hash<std::string_view>{}(text))];
    if (slot.id_plus_1 == 0) return std::nullopt;
    return static_cast<int32_t>(slot.id_plus_1 - 1);
}

bool Vocabulary::has(int32_t id) const {
    return id >= 0 && static_cast<size_t>(id) < entries_.size() &&
           entries_[static_cast<size_t>(id)].text_at != Entry::kAbsent;
}

std::string_view Vocabulary::text(int32_t id) const {
    if (!has(id)) return {};
    const Entry& entry = entries_[static_cast<size_t>(id)];
    return std::string_view(text_).substr(entry.text_at, entry.text_length);
}

std::string_view Vocabulary::bytes(int32_t id) const {
    if (!has(id)) return {};
    const Entry& entry = entries_[static_cast<size_t>(id)];
    return std::string_view(bytes_).substr(entry.bytes_at, entry.bytes_length);
}

// The slot that holds `text`, or the empty one where it would go.
size_t Vocabulary::find_slot(std::string_view text, uint64_t hash) const {
    const size_t mask = slots_.size() - 1;
    const auto tag = static_cast<uint32_t>(hash >> 32);
    size_t at = hash & mask;
    while (slots_[at].id_plus_1 != 0) {
        if (slots_[at].tag == tag && this->text(static_cast<int32_t>(slots_[at].id_plus_1 - 1)) == text) return at;
        at = (at + 1) & mask;
    }
    return at;
}

void Vocabulary::rehash(size_t slots) {
    slots_.assign(slots, Slot{});
    for (size_t id = 0; id < entries_.size(); ++id) {
        if (entries_[id].text_at == Entry::kAbsent) continue;
        const std::string_view text = this->text(static_cast<int32_t>(id));
        const uint64_t hash = std::hash<std::string_view>{}(text);
        slots_[find_slot(text, hash)] = {static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(id) + 1};
    }
}

}  // namespace vks
