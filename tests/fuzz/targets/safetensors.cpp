// The safetensors header. The input is a whole file, or the header's text and the data without the length before them,
// which mutations would rarely get right.
#include <algorithm>
#include <cstring>
#include <vector>

#include "frontend/io/safetensors.h"
#include "tests/fuzz/fuzz.h"

namespace vks::fuzz {
namespace {

void check_entry(const SafetensorsHeader::Entry& entry, uint64_t data_bytes) {
    CHECK(entry.begin <= entry.end && entry.end <= data_bytes, "{} to {} of {}", entry.begin, entry.end, data_bytes);
    CHECK(entry.shape.rank <= Shape::kMaxRank, "rank {}", entry.shape.rank);
    const auto elements = static_cast<uint64_t>(entry.shape.elements());
    CHECK(elements * dtype_bits(entry.dtype) == 8 * (entry.end - entry.begin), "{} elements", elements);
}

void check_header(const SafetensorsHeader& header, size_t file_bytes) {
    CHECK(header.data_begin <= file_bytes, "data from {}", header.data_begin);
    uint64_t sum = 0;
    std::vector<std::pair<uint64_t, uint64_t>> ranges;
    for (const auto& entry : header.entries) {
        check_entry(entry, file_bytes - header.data_begin);
        sum += entry.end - entry.begin;
        ranges.emplace_back(entry.begin, entry.end);
    }
    CHECK(sum == file_bytes - header.data_begin, "{} bytes in tensors", sum);
    std::ranges::sort(ranges);
    for (size_t i = 1; i < ranges.size(); ++i) CHECK(ranges[i].first == ranges[i - 1].second, "a hole or an overlap");
    CHECK(header.by_name.size() == header.entries.size(), "{} names", header.by_name.size());
    for (size_t i = 1; i < header.by_name.size(); ++i) {
        const auto name = [&](size_t at) { return header.entries.at(header.by_name[at]).name; };
        CHECK(name(i - 1) < name(i), "names out of order, or one twice");
    }
}

void run_file(std::string_view file) {
    const auto header = SafetensorsHeader::parse(std::as_bytes(std::span(file)), "file");
    if (const auto* found = accepted(header)) check_header(*found, file.size());
}

}  // namespace

void run_input(std::string_view input) {
    run_file(input);
    const size_t last = input.rfind('}');
    if (last == std::string_view::npos) return;
    const uint64_t length = last + 1;
    std::string file(sizeof length, '\0');
    std::memcpy(file.data(), &length, sizeof length);
    run_file(file.append(input));
}

}  // namespace vks::fuzz
