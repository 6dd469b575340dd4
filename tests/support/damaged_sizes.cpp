// Headers without a mistake in them but their size: what is read of each is bounded by a count, so that refusing it
// takes no longer than reading a released one.
#include "tests/support/damaged_checkpoint.h"
#include "tests/support/edit_checkpoint.h"

namespace vks::test {

std::vector<Damage> damaged_sizes() {
    const auto header = [](const std::string& what, const std::function<std::string()>& text,
                           const std::string& wanted) {
        const auto apply = [=](const std::filesystem::path& dir) {
            write_raw(dir / "model.safetensors", {text(), ""});
        };
        return Damage{what, apply, "model.safetensors", wanted};
    };
    return {
        header(
            "metadata_of_many_keys", [] { return "{\"__metadata__\":" + many_keys("\"\"") + "}"; },
            "wanted at most 65536 keys"),
        header(
            "tensors_too_many", [] { return many_keys(R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})", 1 << 18); },
            "wanted at most 262144 tensors"),
        {"index_of_too_many_tensors",
         [](const std::filesystem::path& dir) {
             write_bytes(dir / kIndex, "{\"weight_map\":" + many_keys("\"model.safetensors\"", 1 << 18) + "}");
         },
         kIndex, "wanted at most 262144 tensors", "nano-fp8"},
    };
}

}  // namespace vks::test
