// How fast this machine reads its memory and a file's disk, in a fraction of a second each.
#pragma once
#include <filesystem>
#include <optional>

namespace vks {

// Bytes a second that so many threads together read from memory; best of a few rounds over 256 MB.
double measure_memory(unsigned threads);
// Bytes a second of direct reads, several at a time. Nothing where that can't be told: a sparse file, a file system
// that has no direct reads, a file of less than 64 MB.
std::optional<double> measure_disk(const std::filesystem::path& file);

}  // namespace vks
