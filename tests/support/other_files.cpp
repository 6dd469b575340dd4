// Good files in the wrong place: what a clone without Git LFS or a cache of models has, and another format.
#include "tests/support/damaged_checkpoint.h"
#include "tests/support/edit_checkpoint.h"

namespace vks::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPointer =
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\nsize 4302350864\n";

}  // namespace

std::vector<Damage> other_files(const std::string& file, const std::string& model) {
    const auto whole = [&](const std::string& what, const std::string& content, const std::string& wanted) {
        return Damage{what + "_as_" + file, [=](const fs::path& dir) { write_bytes(dir / file, content); }, file,
                      wanted, model};
    };
    return {
        whole("lfs_pointer", kPointer, "found a Git LFS pointer: the file itself was not downloaded (git lfs pull)"),
        whole("gguf", std::string("GGUF\3\0\0\0", 8), "found a GGUF file"),
    };
}

std::vector<Damage> other_checkpoints() {
    std::vector<Damage> all = {
        // As Hugging Face's cache has them.
        {"folder_of_snapshots",
         [](const fs::path& dir) {
             fs::create_directories(dir / "snapshots/0123abcd");
             fs::rename(dir / "config.json", dir / "snapshots/0123abcd/config.json");
         },
         "config.json", "/snapshots/0123abcd"},
    };
    const auto add = [&](const std::string& file, const std::string& model) {
        for (Damage& damage : other_files(file, model)) all.push_back(std::move(damage));
    };
    add("config.json", "nano-bf16");
    add("generation_config.json", "nano-bf16");
    add("model.safetensors", "nano-bf16");
    add("model-00001-of-000003.safetensors", "nano-fp8");
    add(kIndex, "nano-fp8");
    return all;
}

}  // namespace vks::test
