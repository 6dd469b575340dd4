// The shard index: names stay in the folder, and each tensor is in one shard that there is.
#include <set>

#include "frontend/io/index.h"
#include "tests/fuzz/fuzz.h"

namespace vks::fuzz {

void run_input(std::string_view input) {
    const auto result = ShardIndex::parse(input, "file");
    const ShardIndex* index = accepted(result);
    if (index == nullptr) return;
    std::set<std::string> names;
    for (const std::string& shard : index->shards) {
        CHECK(names.insert(shard).second, "shard {} twice", one_line(shard));
        const std::filesystem::path path = shard;
        CHECK(!path.has_parent_path() && path.filename() == path && shard != "." && shard != "..", "a path: {}",
              one_line(shard));
    }
    names.clear();
    CHECK(!index->tensors.empty(), "no tensors");
    for (const ShardIndex::Tensor& tensor : index->tensors) {
        CHECK(tensor.shard < index->shards.size(), "shard {} of {}", tensor.shard, index->shards.size());
        CHECK(names.insert(tensor.name).second, "tensor {} twice", one_line(tensor.name));
    }
}

}  // namespace vks::fuzz
