// The safetensors header: its grammar, and that it describes the file exactly.
#include "frontend/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "backend/base/bad_input.h"
#include "frontend/io/json.h"

namespace vks {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "the format is little-endian and is used in place");

using Entry = SafetensorsHeader::Entry;

// The header's grammar as a state machine over JSON events: {name: {dtype, shape, data_offsets}, "__metadata__": {..}}.
class HeaderParser : public json::json_sax_t {
public:
    std::vector<Entry> entries;
    std::map<std::string, std::string> metadata;
    // Set when a handler returned false: what is wrong, and "wanted <x>, found <y>".
    std::string subject, problem;

    bool start_object(size_t) override {
        if (level_ == 0 || (level_ == 1 && !in_list_)) {
            ++level_;
            return true;
        }
        return unexpected("an object");
    }
    bool key(string_t& name) override {
        if (level_ == 1) return start_entry(std::move(name));
        if (in_metadata_) {
            metadata_key_ = std::move(name);
            if (metadata.contains(metadata_key_)) return fail("each key once", "twice: " + quote(metadata_key_));
            return metadata.size() < SafetensorsHeader::kMaxMetadata ||
                   too_many("keys", SafetensorsHeader::kMaxMetadata);
        }
        field_ = name == "dtype" ? kDtype : name == "shape" ? kShape : name == "data_offsets" ? kOffsets : kNone;
        if (field_ == kNone) return fail("only dtype, shape and data_offsets", quote(name));
        if ((seen_ & field_) != 0) return fail("each field once", quote(name) + " twice");
        seen_ |= field_;
        return true;
    }
    bool string(string_t& value) override {
        if (level_ == 2 && in_metadata_) {
            metadata.emplace(std::move(metadata_key_), std::move(value));
            return true;
        }
        if (level_ != 2 || field_ != kDtype || in_list_) return unexpected("a string");
        const auto dtype = dtype_from_name(value);
        if (!dtype) return fail("a safetensors dtype", quote(value));
        entries.back().dtype = *dtype;
        return true;
    }
    bool start_array(size_t) override {
        if (level_ != 2 || in_metadata_ || in_list_ || (field_ != kShape && field_ != kOffsets)) {
            return unexpected("an array");
        }
        in_list_ = true;
        count_ = 0;
        return true;
    }
    bool number_unsigned(number_unsigned_t value) override {
        if (!in_list_) return unexpected("a number");
        if (field_ == kShape) {
            if (count_ == Shape::kMaxRank) return fail("at most 8 dimensions", "more");
            if (value > INT64_MAX) return fail("a dimension below 2^63", std::to_string(value));
            entries.back().shape.dim[count_] = static_cast<int64_t>(value);
        } else {
            if (count_ == 2) return fail("two data_offsets", "more");
            (count_ == 0 ? entries.back().begin : entries.back().end) = value;
        }
        ++count_;
        return true;
    }
    bool end_array() override {
        in_list_ = false;
        if (field_ == kShape) entries.back().shape.rank = count_;
        if (field_ == kOffsets && count_ != 2) return fail("two data_offsets", std::to_string(count_));
        return true;
    }
    bool end_object() override {
        if (level_-- == 2 && !in_metadata_ && seen_ != (kDtype | kShape | kOffsets)) {
            return fail("dtype, shape and data_offsets", "not all of them");
        }
        return true;
    }
    bool null() override { return unexpected("null"); }
    bool boolean(bool) override { return unexpected("a boolean"); }
    bool number_integer(number_integer_t value) override { return unexpected(std::to_string(value)); }
    bool number_float(number_float_t, const string_t& text) override { return unexpected(quote(text, 40)); }
    bool binary(binary_t&) override { return unexpected("binary data"); }
    bool parse_error(size_t position, const std::string&, const json::exception&) override {
        level_ = 0;
        return fail("JSON", fmt::format("something else at byte {}", position));
    }

private:
    enum Field : unsigned { kNone = 0, kDtype = 1, kShape = 2, kOffsets = 4 };

    bool start_entry(std::string name) {
        in_metadata_ = name == "__metadata__";
        seen_ = 0;
        field_ = kNone;
        if (in_metadata_) {
            if (std::exchange(metadata_seen_, true)) return fail("__metadata__ once", "it twice");
            return true;
        }
        if (entries.size() == SafetensorsHeader::kMaxTensors) return too_many("tensors", entries.size());
        entries.emplace_back().name = std::move(name);
        return true;
    }
    bool too_many(const char* what, size_t most) { return fail(fmt::format("at most {} {}", most, what), "more"); }
    bool unexpected(const std::string& found) {
        if (level_ == 0 || (level_ == 1 && entries.empty() && !in_metadata_))
            return fail("an object of tensors", found);
        if (level_ == 1) return fail("an object", found);
        if (in_metadata_) return fail("strings", found);
        switch (field_) {
            case kDtype:
                return fail("dtype to be a string", found);
            case kShape:
                return fail("shape to be an array of sizes", found);
            default:
                return fail("data_offsets to be an array of two offsets", found);
        }
    }
    bool fail(const std::string& wanted, const std::string& found) {
        if (!problem.empty()) return false;
        subject = "safetensors header";
        if (level_ > 0 && in_metadata_) subject += ", __metadata__";
        if (level_ > 0 && !in_metadata_ && !entries.empty()) subject = "tensor " + quote(entries.back().name);
        problem = "wanted " + wanted + ", found " + found;
        return false;
    }

    int level_ = 0;  // objects open
    bool in_list_ = false, in_metadata_ = false, metadata_seen_ = false;
    unsigned seen_ = 0;
    Field field_ = kNone;
    size_t count_ = 0;  // of the list being read
    std::string metadata_key_;
};

// bits / 8 times the dimensions; nothing if that overflows or ends within a byte.
std::optional<uint64_t> tensor_bytes(DType dtype, const Shape& shape) {
    uint64_t bits = dtype_bits(dtype);
    for (size_t i = 0; i < shape.rank; ++i) {
        if (__builtin_mul_overflow(bits, static_cast<uint64_t>(shape[i]), &bits)) return std::nullopt;
    }
    if (bits % 8 != 0) return std::nullopt;
    return bits / 8;
}

Status check_bytes(const Entry& entry, uint64_t data_bytes, const std::string& file) {
    if (entry.begin > entry.end || entry.end > data_bytes) {
        return bad_input(
            "tensor {} data_offsets ({}): wanted a range within the file's {} bytes of data, found [{}, {}]",
            quote(entry.name), file, data_bytes, entry.begin, entry.end);
    }
    const auto bytes = tensor_bytes(entry.dtype, entry.shape);
    if (!bytes) {
        return bad_input("tensor {} shape ({}): wanted a size in bytes below 2^61, found {} of {}", quote(entry.name),
                         file, entry.shape.text(), dtype_name(entry.dtype));
    }
    if (*bytes != entry.end - entry.begin) {
        return bad_input("tensor {} data_offsets ({}): wanted the {} bytes of {} {}, found {}", quote(entry.name), file,
                         *bytes, dtype_name(entry.dtype), entry.shape.text(), entry.end - entry.begin);
    }
    return {};
}

// Every byte of the data belongs to exactly one tensor.
Status check_coverage(const std::vector<Entry>& entries, uint64_t data_bytes, const std::string& file) {
    std::vector<uint32_t> order(entries.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
        return std::pair(entries[a].begin, entries[a].end) < std::pair(entries[b].begin, entries[b].end);
    });
    uint64_t at = 0;
    for (const uint32_t i : order) {
        const Entry& entry = entries[i];
        if (entry.begin != at) {
            return bad_input(
                "tensor {} data_offsets ({}): wanted to begin at {}, where the tensor before ends, found {}",
                quote(entry.name), file, at, entry.begin);
        }
        at = entry.end;
    }
    if (at != data_bytes) {
        return bad_input("data ({}): wanted {} bytes, as the header says, found {}", file, at, data_bytes);
    }
    return {};
}

Result<std::string_view> header_text(std::span<const std::byte> contents, const std::string& file) {
    uint64_t length = 0;
    const std::string_view all(reinterpret_cast<const char*>(contents.data()), contents.size());
    if (const auto found = other_file(all)) {
        return bad_input("safetensors header ({}): wanted its length and JSON, found {}", file, *found);
    }
    if (contents.size() < sizeof length) {
        return bad_input("safetensors header ({}): wanted 8 bytes with its length, found a file of {}", file,
                         contents.size());
    }
    std::memcpy(&length, contents.data(), sizeof length);
    if (length < 2 || length > SafetensorsHeader::kMaxBytes) {
        return bad_input("safetensors header length ({}): wanted 2 to {} bytes, found {}", file,
                         SafetensorsHeader::kMaxBytes, length);
    }
    if (length > contents.size() - sizeof length) {
        return bad_input("safetensors header ({}): wanted {} bytes, found {} in the file", file, length,
                         contents.size() - sizeof length);
    }
    const std::string_view header = all.substr(sizeof length, length);
    if (header.front() != '{')
        return bad_input("safetensors header ({}): wanted \"{{\" first, found another byte", file);
    if (const auto found = not_json(header)) {
        return bad_input("safetensors header ({}): wanted JSON, found {}", file, *found);
    }
    return header;
}

// The order of the names, each of which is there once.
Result<std::vector<uint32_t>> sorted_by_name(const std::vector<Entry>& entries, const std::string& file) {
    std::vector<uint32_t> order(entries.size());
    std::iota(order.begin(), order.end(), 0u);
    const auto name_of = [&](uint32_t i) { return std::string_view(entries[i].name); };
    std::ranges::sort(order, {}, name_of);
    const auto twice = std::ranges::adjacent_find(order, {}, name_of);
    if (twice != order.end()) {
        return bad_input("tensor {} ({}): wanted it once, found it twice", quote(name_of(*twice)), file);
    }
    return order;
}

}  // namespace

Shape::Shape(std::initializer_list<int64_t> sizes) : rank(sizes.size()) {
    CHECK(rank <= kMaxRank, "a shape of {} dimensions", rank);
    std::copy(sizes.begin(), sizes.end(), dim.begin());
}

int64_t Shape::elements() const {
    int64_t product = 1;
    for (size_t i = 0; i < rank; ++i) product *= dim[i];
    return product;
}

std::string Shape::text() const {
    return fmt::format("[{}]", fmt::join(dim.begin(), dim.begin() + rank, ", "));
}

bool TensorView::aligned() const {
    const uint64_t size = std::max(dtype_bits(dtype) / 8, 1u);
    return reinterpret_cast<uintptr_t>(data) % size == 0;
}

Result<SafetensorsHeader> SafetensorsHeader::parse(std::span<const std::byte> contents, const std::string& file) {
    VKS_ASSIGN(const std::string_view text, header_text(contents, file));
    HeaderParser parser;
    if (!json::sax_parse(text.begin(), text.end(), &parser)) {
        return bad_input("{} ({}): {}", parser.subject, file, parser.problem);
    }
    SafetensorsHeader header;
    header.data_begin = sizeof(uint64_t) + text.size();
    const uint64_t data_bytes = contents.size() - header.data_begin;
    for (const Entry& entry : parser.entries) VKS_TRY(check_bytes(entry, data_bytes, file));
    VKS_TRY(check_coverage(parser.entries, data_bytes, file));
    VKS_ASSIGN(header.by_name, sorted_by_name(parser.entries, file));
    header.entries = std::move(parser.entries);
    header.metadata = std::move(parser.metadata);
    return header;
}

Result<SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
    VKS_ASSIGN(FileMap map, FileMap::open(path));
    VKS_ASSIGN(SafetensorsHeader header, SafetensorsHeader::parse({map.data(), map.size()}, path.string()));
    SafetensorsFile file;
    file.file_ = std::make_unique<const FileMap>(std::move(map));
    file.metadata_ = std::move(header.metadata);
    file.by_name_ = std::move(header.by_name);
    file.names_.reserve(header.entries.size());
    file.tensors_.reserve(header.entries.size());
    for (Entry& entry : header.entries) {
        file.names_.push_back(std::move(entry.name));
        file.tensors_.push_back({file.names_.back(), entry.dtype, entry.shape,
                                 file.file_->data() + header.data_begin + entry.begin, entry.end - entry.begin,
                                 file.file_.get()});
    }
    return file;
}

const TensorView* SafetensorsFile::find(std::string_view name) const {
    const auto name_of = [&](uint32_t i) { return tensors_[i].name; };
    const auto at = std::ranges::lower_bound(by_name_, name, {}, name_of);
    return at != by_name_.end() && name_of(*at) == name ? &tensors_[*at] : nullptr;
}

}  // namespace vks
