#include "frontend/cli/input.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "backend/base/bad_input.h"

namespace vks {
namespace {

Error read_error(const std::string& name) {
    return bad_input("input ({}): wanted readable bytes, found: {}", name, std::strerror(errno));
}

Error too_long(const char* what, const std::string& name, size_t most) {
    return bad_input("{} ({}): wanted at most {} bytes, found more", what, name, most);
}

// /dev/zero and its like have no end, a disk none worth waiting for; /dev/null is an empty file.
Status check_kind(std::FILE* file, const std::string& name) {
    struct stat info = {};
    if (fstat(fileno(file), &info) != 0) return read_error(name);
    const bool device = S_ISBLK(info.st_mode) || (S_ISCHR(info.st_mode) && isatty(fileno(file)) == 0);
    if (!device) return {};
    const int first = std::getc(file);
    if (first == EOF) return {};
    std::ungetc(first, file);
    return bad_input("input ({}): wanted a file, a pipe or a terminal, found a device", name);
}

Result<std::string> read_all(std::FILE* file, const std::string& name, size_t most) {
    VKS_TRY(check_kind(file, name));
    std::string text;
    char piece[1 << 16];
    while (const size_t got = std::fread(piece, 1, sizeof piece, file)) {
        if (got > most - text.size()) return too_long("input", name, most);
        text.append(piece, got);
    }
    if (std::ferror(file)) return read_error(name);
    return text;
}

}  // namespace

Result<std::string> read_stdin(size_t most) {
    return read_all(stdin, "stdin", most);
}

Result<std::string> read_text(const std::filesystem::path& path, std::string_view option, size_t most) {
    if (path == "-") return read_stdin(most);
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
    if (!file) {
        return bad_input("file ({} {}): wanted a readable file, found: {}", option, path.string(),
                         std::strerror(errno));
    }
    return read_all(file.get(), path.string(), most);
}

Result<std::optional<std::string>> read_line(size_t most) {
    VKS_TRY(check_kind(stdin, "stdin"));
    std::string line;
    for (int c = 0; (c = getc_unlocked(stdin)) != EOF;) {
        if (c == '\n') return std::optional(std::move(line));
        if (line.size() == most) return too_long("line", "stdin", most);
        line += static_cast<char>(c);
    }
    if (std::ferror(stdin)) return read_error("stdin");
    if (line.empty()) return std::optional<std::string>();
    return std::optional(std::move(line));
}

Status for_each_line(size_t most, const std::function<Status(const std::string&, int64_t)>& visit) {
    for (int64_t number = 1;; ++number) {
        VKS_ASSIGN(const std::optional<std::string> line, read_line(most));
        if (!line) return {};
        VKS_TRY(visit(*line, number));
    }
}

}  // namespace vks
