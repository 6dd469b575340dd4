// Where the program keeps what it can make again.
#pragma once
#include <filesystem>

namespace vks {

// $XDG_CACHE_HOME/vkseek, else ~/.cache/vkseek; empty where the environment names neither. May not exist yet.
std::filesystem::path cache_dir();

}  // namespace vks
