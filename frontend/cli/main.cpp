// vkseek: the command line. Subcommands are declared here and live in files of their own.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <sstream>

#include "backend/base/bad_input.h"
#include "backend/registry/left_behind.h"
#include "frontend/cli/commands.h"
#include "frontend/cli/console.h"
#include "frontend/cli/values.h"

namespace {

int fail(const vks::Error& error) {
    vks::write_stderr("vkseek: " + vks::one_line(error.text) + "\n");
    return static_cast<int>(error.code);
}

// "generate", "bench model"
std::string chosen_command(const CLI::App& program) {
    const auto chosen = program.get_subcommands();
    if (chosen.empty()) return "";
    const std::string deeper = chosen_command(*chosen.front());
    return chosen.front()->get_name() + (deeper.empty() ? "" : " " + deeper);
}

int run(int argc, char** argv) {
    CLI::App program("Runs DeepSeek-V3 checkpoints through operator plugins.", "vkseek");
    program.set_version_flag("--version", "vkseek " VKS_VERSION);
    program.set_help_flag("-h,--help", "Print this help and exit");
    program.require_subcommand(0, 1);
    vks::Action action;
    vks::add_generate(program, action);
    vks::add_chat(program, action);
    vks::add_logits(program, action);
    vks::add_perplexity(program, action);
    vks::add_text_commands(program, action);
    vks::add_devices(program, action);
    vks::add_plugins(program, action);
    vks::add_doctor(program, action);
    vks::add_inspect(program, action);
    vks::add_plan(program, action);
    vks::add_synth(program, action);
    vks::add_quantize(program, action);
    vks::add_bench(program, action);
    try {
        program.parse(argc, argv);
    } catch (const CLI::Success& request) {  // --help, --version
        std::ostringstream text;
        const int status = program.exit(request, text, text);
        const vks::Status written = vks::write_stdout(text.str());
        return written ? status : fail(written.error());
    } catch (const CLI::ParseError& error) {
        return fail(vks::usage_error(error, chosen_command(program), program.remaining(true)));
    }
    if (!action) {
        const bool bench = chosen_command(program) == "bench";
        return fail(vks::usage_error("subcommand", bench ? "vkseek bench --help" : "vkseek --help",
                                     bench ? "one, such as bench model" : "one, such as generate", "none"));
    }
    const vks::Status status = action();
    return status ? 0 : fail(status.error());
}

// Libraries throw where memory ends; everything else comes as a Status.
int run_or_say_why(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::bad_alloc&) {
        return fail({vks::Code::kBadInput, "memory: wanted more, found none left"});
    } catch (const std::exception& problem) {
        return fail({vks::Code::kBadInput, fmt::format("program: wanted to go on, found: {}", problem.what())});
    }
}

}  // namespace

int main(int argc, char** argv) {
    vks::hold_standard_streams();
    const int status = run_or_say_why(argc, argv);
    if (vks::anything_left_behind()) {
        std::fflush(nullptr);
        std::_Exit(status);
    }
    return status;
}
