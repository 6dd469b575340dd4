// A device's pipelines on disk, for the next start: what the driver gave, and which programs it had made by then.
#pragma once
#include <cstdint>
#include <filesystem>
#include <set>
#include <vector>

#include "plugins/vulkan/gpu.h"

namespace vks::vulkan {

struct CacheFile {
    std::set<uint64_t> programs;  // identities, as Pipelines makes them
    std::vector<char> data;       // of vkGetPipelineCacheData
};

// Below $XDG_CACHE_HOME, else ~/.cache; by device and driver. Empty when there is no such place.
std::filesystem::path cache_path(const Gpu& gpu);

// Nothing when there is no file, or a damaged one or another driver's: as good as none.
CacheFile read_cache(const std::filesystem::path& path, const Gpu& gpu);

// Written beside and renamed, so that two programs that end together leave one whole file. Failing is no error: the
// next start compiles again.
void write_cache(const std::filesystem::path& path, const Gpu& gpu, const CacheFile& cache);

// FNV-1a, from `sum` on.
uint64_t checksum(std::span<const std::byte> data, uint64_t sum = 0xcbf29ce484222325u);

}  // namespace vks::vulkan
