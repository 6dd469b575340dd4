// Gives a target every file below the folders named on the command line. Says which one it is at, since a broken
// promise ends the program.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "tests/fuzz/fuzz.h"

int main(int argc, char** argv) {
    std::vector<std::filesystem::path> files;
    for (int i = 1; i < argc; ++i) {
        for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
            if (entry.is_regular_file()) files.push_back(entry.path());
        }
    }
    std::ranges::sort(files);
    for (const auto& file : files) {
        std::printf("%s\n", file.c_str());
        std::fflush(stdout);
        const std::string input = vks::fuzz::contents_of(file.string());
        // A copy on the heap of just this size: reading past its end is seen by AddressSanitizer.
        const std::vector<char> exact(input.begin(), input.end());
        vks::fuzz::run_input({exact.data(), exact.size()});
    }
    std::printf("%zu inputs\n", files.size());
    return files.empty() ? 1 : 0;
}
