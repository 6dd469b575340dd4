// The subcommands, a file each. add_<name> declares the subcommand and, once it was chosen and its options were read,
// puts what it is to do into `action`.
#pragma once
#include <functional>
#include <memory>

#include "backend/base/result.h"
#include "frontend/cli/values.h"

namespace vks {

using Action = std::function<Status()>;

void add_generate(CLI::App& program, Action& action);
void add_chat(CLI::App& program, Action& action);
void add_logits(CLI::App& program, Action& action);
void add_perplexity(CLI::App& program, Action& action);
void add_text_commands(CLI::App& program, Action& action);  // tokenize, detokenize, render
void add_devices(CLI::App& program, Action& action);
void add_doctor(CLI::App& program, Action& action);
void add_plugins(CLI::App& program, Action& action);
void add_inspect(CLI::App& program, Action& action);
void add_plan(CLI::App& program, Action& action);
void add_synth(CLI::App& program, Action& action);
void add_quantize(CLI::App& program, Action& action);
void add_bench(CLI::App& program, Action& action);  // bench model, ...

// A subcommand with options of type T, and what it does with them.
template <class T>
CLI::App& add_command(CLI::App& program, Action& action, const char* name, const char* help, std::shared_ptr<T> options,
                      Status (*run)(const T&)) {
    return add_subcommand(program, name, help,
                          [&action, options, run] { action = [options, run] { return run(*options); }; });
}

}  // namespace vks
