#include "frontend/io/cache_dir.h"

#include <cstdlib>

namespace vks {

std::filesystem::path cache_dir() {
    const char *cache = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
    if (cache && *cache) return std::filesystem::path(cache) / "vkseek";
    if (home && *home) return std::filesystem::path(home) / ".cache/vkseek";
    return {};
}

}  // namespace vks
