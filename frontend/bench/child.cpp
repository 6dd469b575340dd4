#include "frontend/bench/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace vks::bench {
namespace {

// For as long as the texts live.
std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> list;
    list.reserve(texts.size() + 1);
    for (const std::string& text : texts) list.push_back(const_cast<char*>(text.c_str()));
    list.push_back(nullptr);
    return list;
}

std::string read_all(int from) {
    std::string text;
    std::array<char, 65536> piece{};
    for (ssize_t n = 0; (n = read(from, piece.data(), piece.size())) > 0 || (n < 0 && errno == EINTR);)
        if (n > 0) text.append(piece.data(), size_t(n));
    return text;
}

}  // namespace

Result<Child> run_child(const std::string& program, const std::vector<std::string>& arguments, int output,
                        const std::optional<std::vector<std::string>>& environment) {
    std::vector<std::string> all = {program};
    all.insert(all.end(), arguments.begin(), arguments.end());
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return Error{Code::kNoBackend, "pipe: wanted one, found none"};
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[1], output);
    const std::vector<char*> given = environment ? pointers(*environment) : std::vector<char*>{};
    pid_t id = 0;
    const int failed =
        posix_spawnp(&id, program.c_str(), &files, nullptr, pointers(all).data(), environment ? given.data() : environ);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    Child child;
    if (!failed) child.text = read_all(ends[0]);
    close(ends[0]);
    if (failed)
        return Error{Code::kNoBackend, fmt::format("program ({}): wanted it to start, found: {}", program,
                                                   std::strerror(failed))};  // NOLINT(concurrency-mt-unsafe)
    int status = 0;
    while (waitpid(id, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status)) child.status = WEXITSTATUS(status);
    return child;
}

}  // namespace vks::bench
