// Where the committed test data is, also when the test program runs from elsewhere.
#pragma once
#include <filesystem>
#include <string_view>

#ifndef VKS_TEST_DATA
#error "VKS_TEST_DATA: the build gives the path of tests/golden"
#endif

namespace vks::test {

// A path below tests/golden/.
inline std::filesystem::path data(std::string_view rel) {
    return std::filesystem::path(VKS_TEST_DATA) / rel;
}

}  // namespace vks::test
