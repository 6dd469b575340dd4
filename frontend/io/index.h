// model.safetensors.index.json: which shard of a checkpoint holds which tensor. Opens no shard.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "backend/base/result.h"

namespace vks {

struct ShardIndex {
    struct Tensor {
        std::string name;
        uint32_t shard = 0;  // into shards
    };
    std::vector<std::string> shards;  // plain file names, in the order they first appear
    std::vector<Tensor> tensors;      // in the order of the file

    // Errors: not JSON, no weight_map, a tensor twice, a shard name that is not a plain file name in the same folder.
    static Result<ShardIndex> load(const std::filesystem::path& path);
    static Result<ShardIndex> parse(std::string_view text, std::string_view file);
};

}  // namespace vks
