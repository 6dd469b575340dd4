// A file that a run writes as a whole at its end.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include "backend/base/result.h"

namespace vks {

// Opened before the work begins, so that a file that can't be written is found before there is something to lose.
// Move-only, one thread.
class OutputFile {
public:
    // Makes the file if need be; what it holds stays until write(). `what` is for messages: "trace".
    static Result<OutputFile> open(std::string what, const std::filesystem::path& path);
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;
    OutputFile(OutputFile&& other) noexcept;
    OutputFile& operator=(OutputFile&&) = delete;
    // A file that was made, and nothing written to, is removed.
    ~OutputFile();

    // In place of what it held; once.
    Status write(std::string_view text);

private:
    OutputFile(std::string what, std::filesystem::path path, int fd, bool made);
    Error failure(int error) const;

    std::string what_;
    std::filesystem::path path_;
    int fd_ = -1;
    bool made_ = false;  // by open()
};

}  // namespace vks
