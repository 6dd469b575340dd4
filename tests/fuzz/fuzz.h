// What the fuzz targets share. A target is one file of targets/ that defines run_input(). It is linked with
// libfuzzer.cpp to look for inputs that break something, and with replay.cpp to show that the inputs known so far do
// not.
#pragma once
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "backend/base/bad_input.h"
#include "backend/base/check.h"
#include "backend/base/result.h"
#include "frontend/text/utf8.h"

namespace vks::fuzz {

// Gives one input, whatever it holds, to the code under test. A broken promise ends the program, by CHECK.
void run_input(std::string_view input);

// What every Error promises: a printable line, of a length that a person reads.
inline void check_error(const Error& error, Code code = Code::kBadInput) {
    CHECK(error.code == code, "code {} of {}", static_cast<int>(error.code), error.text);
    CHECK(!error.text.empty() && error.text.size() <= 4096, "an error of {} bytes", error.text.size());
    CHECK(error.text == one_line(error.text), "an error that is not a printable line: {}", one_line(error.text));
}

// A Result's value, or nullptr if it is a valid refusal.
template <class T>
const T* accepted(const Result<T>& result) {
    if (!result) check_error(result.error());
    return result ? &*result : nullptr;
}

inline void check_utf8(std::string_view text) {
    CHECK(!find_invalid_utf8(text), "a text that is not UTF-8: {}", one_line(text));
}

// A file of the tree, which is there.
inline std::string contents_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    CHECK(file.is_open(), "no file {}", path);
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace vks::fuzz
