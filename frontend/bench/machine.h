// What results say about the machine they come from.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include "backend/base/result.h"

namespace vks::bench {

std::string cpu_name();
// Of the largest cache of the processor; a guess where the system doesn't say.
uint64_t last_cache_bytes();
// "2026-11-22T11:57:09Z"
std::string utc_now();

// A folder of its own, gone with the object.
class TempFolder {
public:
    // Without a parent: below $TMPDIR, or /tmp. Error: it isn't there, or can't be written to.
    static Result<TempFolder> make(const std::filesystem::path& parent = {});
    TempFolder(TempFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
    TempFolder& operator=(TempFolder&&) = delete;
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;
    ~TempFolder();
    const std::filesystem::path& path() const { return path_; }

private:
    explicit TempFolder(std::filesystem::path path) : path_(std::move(path)) {}
    std::filesystem::path path_;
};

}  // namespace vks::bench
