// Makes the wrong plugins: copies of one library whose file name says what is wrong (bad.cpp).
#pragma once
#include <filesystem>
#include <string>

#include "tests/support/temp_dir.h"

namespace vks::test {

// Puts libvkseek_<way>.so into `dir`.
inline std::filesystem::path make_bad(const TempDir& dir, const std::string& way) {
    const std::filesystem::path path = dir / ("libvkseek_" + way + ".so");
    std::filesystem::copy_file(way == "no_entry" ? VKS_NO_ENTRY : VKS_BAD_PLUGIN, path);
    return path;
}

}  // namespace vks::test
