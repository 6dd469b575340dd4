// Damaged checkpoints: each a good one with one thing wrong. tests/unit/io opens them, tests/e2e runs the program on
// them.
#pragma once
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

namespace vks::test {

struct Damage {
    std::string what;
    std::function<void(const std::filesystem::path& dir)> apply;
    std::string file;    // that the message names; empty: the folder
    std::string wanted;  // that the message contains
    std::string model = "nano-bf16";
};
// So that test names and failures show the damage.
void PrintTo(const Damage& damage, std::ostream* out);
// `what` as the name of a test.
std::string test_name(const Damage& damage);

// What Checkpoint::open refuses.
std::vector<Damage> damaged_checkpoints();
// Those of them that are only too large.
std::vector<Damage> damaged_sizes();
// Those of them that have something else in the place of a file, or of the folder.
std::vector<Damage> other_checkpoints();
// The same for one file of a model.
std::vector<Damage> other_files(const std::string& file, const std::string& model = "nano-bf16");
// What a command that needs the tokenizer refuses besides: tokenizer.json and tokenizer_config.json.
std::vector<Damage> damaged_tokenizers();
// What `render` and `chat` refuse besides: the chat template.
std::vector<Damage> damaged_templates();

}  // namespace vks::test
