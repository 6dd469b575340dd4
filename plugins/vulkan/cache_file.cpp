#include "plugins/vulkan/cache_file.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

namespace vks::vulkan {
namespace {

// The file: this, the programs, then the driver's data.
struct Header {
    char magic[8] = {'V', 'K', 'S', 'P', 'I', 'P', 'E', '2'};
    uint8_t uuid[VK_UUID_SIZE] = {};
    uint64_t programs = 0, bytes = 0, sum = 0;
};

constexpr uint64_t kMaxBytes = uint64_t{1} << 30;

uint64_t sum_of(const std::vector<uint64_t>& programs, const std::vector<char>& data) {
    return checksum(std::as_bytes(std::span(data)), checksum(std::as_bytes(std::span(programs))));
}

}  // namespace

uint64_t checksum(std::span<const std::byte> data, uint64_t sum) {
    for (const std::byte b : data) sum = (sum ^ uint8_t(b)) * 0x100000001b3u;
    return sum;
}

std::filesystem::path cache_path(const Gpu& gpu) {
    const char* cache = std::getenv("XDG_CACHE_HOME");
    const char* home = std::getenv("HOME");
    std::filesystem::path path;
    if (cache && *cache) {
        path = cache;
    } else if (home && *home) {
        path = std::filesystem::path(home) / ".cache";
    } else {
        return {};
    }
    std::string name;
    for (const uint8_t byte : gpu.uuid) {
        constexpr char kDigits[] = "0123456789abcdef";
        name += kDigits[byte >> 4];
        name += kDigits[byte & 15];
    }
    return path / "vkseek" / (name + ".pipelines");
}

CacheFile read_cache(const std::filesystem::path& path, const Gpu& gpu) {
    std::ifstream file(path, std::ios::binary);
    Header header;
    const Header wanted;
    if (path.empty() || !file.read(reinterpret_cast<char*>(&header), sizeof header)) return {};
    std::error_code error;
    const uint64_t there = std::filesystem::file_size(path, error);
    if (error || std::memcmp(header.magic, wanted.magic, sizeof header.magic) != 0 ||
        std::memcmp(header.uuid, gpu.uuid.data(), sizeof header.uuid) != 0 || header.bytes > kMaxBytes ||
        header.programs > kMaxBytes / sizeof(uint64_t) ||
        there != sizeof header + header.programs * sizeof(uint64_t) + header.bytes)
        return {};
    std::vector<uint64_t> programs(header.programs);
    CacheFile cache;
    cache.data.resize(header.bytes);
    file.read(reinterpret_cast<char*>(programs.data()), std::streamsize(programs.size() * sizeof(uint64_t)));
    file.read(cache.data.data(), std::streamsize(cache.data.size()));
    if (!file || sum_of(programs, cache.data) != header.sum) return {};
    cache.programs.insert(programs.begin(), programs.end());
    return cache;
}

void write_cache(const std::filesystem::path& path, const Gpu& gpu, const CacheFile& cache) {
    const std::vector<uint64_t> programs(cache.programs.begin(), cache.programs.end());
    Header header;
    std::memcpy(header.uuid, gpu.uuid.data(), sizeof header.uuid);
    header.programs = programs.size();
    header.bytes = cache.data.size();
    header.sum = sum_of(programs, cache.data);
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    // Of this process and this device in it.
    const std::filesystem::path beside =
        path.string() + "." + std::to_string(getpid()) + "." + std::to_string(uintptr_t(&cache)) + ".tmp";
    std::ofstream file(beside, std::ios::binary);
    file.write(reinterpret_cast<const char*>(&header), sizeof header);
    file.write(reinterpret_cast<const char*>(programs.data()), std::streamsize(programs.size() * sizeof(uint64_t)));
    file.write(cache.data.data(), std::streamsize(cache.data.size()));
    file.close();
    if (file) std::filesystem::rename(beside, path, error);
    if (!file || error) std::filesystem::remove(beside, error);
}

}  // namespace vks::vulkan
