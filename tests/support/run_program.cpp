#include "tests/support/run_program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <sstream>
#include <utility>

extern char** environ;

namespace vks::test {
namespace {

using Clock = std::chrono::steady_clock;

struct Pipe {
    int read = -1, write = -1;
    Pipe() {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) == 0) {
            read = ends[0];
            write = ends[1];
        }
    }
    ~Pipe() {
        close_end(read);
        close_end(write);
    }
    static void close_end(int& fd) {
        if (fd >= 0) close(std::exchange(fd, -1));
    }
};

std::vector<std::string> environment(std::map<std::string, std::string> added) {
    std::vector<std::string> env;
    added.try_emplace("XDG_CACHE_HOME", VKS_TEST_CACHE);
    if (const char* options = std::getenv("VKS_TEST_VULKAN_OPTIONS"))
        added.try_emplace("VKSEEK_VULKAN_OPTIONS", options);
    for (char** entry = environ; *entry; ++entry) {
        const std::string text = *entry;
        if (!text.starts_with("VKSEEK_") && !added.contains(text.substr(0, text.find('=')))) env.push_back(text);
    }
    for (const auto& [name, value] : added) env.push_back(name + "=" + value);
    return env;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (std::string& text : texts) list.push_back(text.data());
    list.push_back(nullptr);
    return list;
}

// The words of $VKSEEK_RUN_PREFIX, then the program and its arguments.
std::vector<std::string> command_line(const std::vector<std::string>& arguments, const RunOptions& options) {
    std::vector<std::string> argv;
    const char* prefix = std::getenv("VKSEEK_RUN_PREFIX");
    std::istringstream words(prefix ? prefix : "");
    for (std::string word; words >> word;) argv.push_back(word);
    argv.push_back(options.program.empty() ? VKS_PROGRAM : options.program.string());
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return argv;
}

pid_t spawn(const std::vector<std::string>& arguments, const RunOptions& options, const Pipe& in, const Pipe& out,
            const Pipe& err) {
    std::vector<std::string> argv = command_line(arguments, options), env = environment(options.env);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in.read, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out.write, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err.write, STDERR_FILENO);
    pid_t child = -1;
    if (posix_spawnp(&child, argv[0].c_str(), &actions, nullptr, pointers(argv).data(), pointers(env).data()) != 0) {
        child = -1;
    }
    posix_spawn_file_actions_destroy(&actions);
    return child;
}

// Adds what can be read to `text`; closes the pipe at its end.
void drain(int& fd, std::string& text) {
    std::array<char, 65536> piece;
    const ssize_t got = read(fd, piece.data(), piece.size());
    if (got > 0) {
        text.append(piece.data(), static_cast<size_t>(got));
    } else if (got == 0 || errno != EINTR) {
        Pipe::close_end(fd);
    }
}

// Feeds what is left of the input; closes the pipe when all is written or nobody reads.
void feed(int& fd, std::string_view& left) {
    const ssize_t put = left.empty() ? 0 : write(fd, left.data(), std::min(left.size(), size_t{4096}));
    if (put > 0) left.remove_prefix(static_cast<size_t>(put));
    if (left.empty() || (put < 0 && errno != EINTR && errno != EAGAIN)) Pipe::close_end(fd);
}

}  // namespace

Ran run_program(const std::vector<std::string>& arguments, const RunOptions& options) {
    signal(SIGPIPE, SIG_IGN);  // a child that ends early must not end the test
    Ran ran;
    Pipe in, out, err;
    if (options.pipe_bytes > 0) fcntl(out.read, F_SETPIPE_SZ, options.pipe_bytes);
    const pid_t child = spawn(arguments, options, in, out, err);
    if (child < 0) return ran;
    if (options.cpu_seconds > 0) {
        const rlimit most{options.cpu_seconds, options.cpu_seconds};
        prlimit(child, RLIMIT_CPU, &most, nullptr);
    }
    Pipe::close_end(in.read);
    Pipe::close_end(out.write);
    Pipe::close_end(err.write);

    std::string_view left = options.input;
    const auto deadline = Clock::now() + options.timeout;
    while (out.read >= 0 || err.read >= 0) {
        std::array<pollfd, 3> fds = {pollfd{out.read, POLLIN, 0}, {err.read, POLLIN, 0}, {in.write, POLLOUT, 0}};
        const auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
        if (rest <= 0) kill(child, SIGKILL);
        poll(fds.data(), fds.size(), rest > 0 ? static_cast<int>(rest) : -1);
        if (fds[0].revents) {
            drain(out.read, ran.out);
            if (options.on_output) options.on_output(child, ran.out);
        }
        if (fds[1].revents) drain(err.read, ran.err);
        if (fds[2].revents) feed(in.write, left);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return ran;
}

}  // namespace vks::test
