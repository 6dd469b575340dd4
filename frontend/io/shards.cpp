// Cutting tensors into files, and the threads that write them.
#include "frontend/io/shards.h"

#include <algorithm>
#include <fstream>
#include <thread>

#include "backend/base/bad_input.h"

namespace vks {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndexName = "model.safetensors.index.json";

}  // namespace

ShardSet::ShardSet(ShardOptions options, const std::vector<Group>& groups) : options_(std::move(options)), shards_(1) {
    uint64_t bytes = 0;
    for (const Group& group : groups) {
        uint64_t size = 0;
        for (const TensorInfo& tensor : group) size += tensor.bytes();
        if (!shards_.back().empty() && bytes + size > options_.max_shard_bytes) {
            shards_.emplace_back();
            bytes = 0;
        }
        bytes += size;
        total_ += size;
        shards_.back().insert(shards_.back().end(), group.begin(), group.end());
    }
}

Status ShardSet::check_room() const {
    std::error_code error;
    const fs::space_info space = fs::space(options_.dir, error);
    if (error || space.available >= total_) return {};
    return bad_input("output ({}): wanted room for {} bytes, found {}", options_.dir.string(), total_, space.available);
}

fs::path ShardSet::path(size_t shard) const {
    if (shards_.size() == 1) return options_.dir / "model.safetensors";
    return options_.dir / fmt::format("model-{:05}-of-{:06}.safetensors", shard + 1, shards_.size());
}

Status ShardSet::write(const std::function<Status(SafetensorsWriter&)>& fill) {
    const size_t wanted = options_.threads > 0 ? options_.threads : std::thread::hardware_concurrency();
    std::vector<std::thread> threads;
    for (size_t i = 1; i < std::min(wanted, shards_.size()); ++i) threads.emplace_back([&] { work(fill); });
    work(fill);
    for (std::thread& thread : threads) thread.join();
    if (failure_) return *failure_;
    return {};
}

void ShardSet::work(const std::function<Status(SafetensorsWriter&)>& fill) {
    for (size_t i = next_++; i < shards_.size() && !failed_; i = next_++) {
        const Status status = write_one(i, fill);
        if (status) continue;
        failed_ = true;
        const std::lock_guard lock(mutex_);
        if (!failure_) failure_ = status.error();
    }
}

Status ShardSet::write_one(size_t shard, const std::function<Status(SafetensorsWriter&)>& fill) {
    VKS_ASSIGN(SafetensorsWriter writer, SafetensorsWriter::create(path(shard), shards_[shard]));
    VKS_TRY(fill(writer));
    return writer.finish();
}

void ShardSet::report(uint64_t bytes) {
    if (!options_.progress) return;
    const std::lock_guard lock(mutex_);
    options_.progress(done_ += bytes, total_);
}

Status ShardSet::write_index() const {
    if (shards_.size() == 1) return {};
    std::string text =
        fmt::format("{{\n  \"metadata\": {{\n    \"total_size\": {}\n  }},\n  \"weight_map\": {{", total_);
    const char* separator = "\n";
    for (size_t i = 0; i < shards_.size(); ++i) {
        const std::string file = path(i).filename().string();
        for (const TensorInfo& tensor : shards_[i]) {
            text += fmt::format("{}    {}: \"{}\"", separator, json_string(tensor.name), file);
            separator = ",\n";
        }
    }
    return write_text(options_.dir / kIndexName, text + "\n  }\n}\n");
}

void ShardSet::remove() const {
    std::error_code ignored;
    for (size_t i = 0; i < shards_.size(); ++i) fs::remove(path(i), ignored);
    fs::remove(options_.dir / kIndexName, ignored);
}

Status write_text(const fs::path& path, std::string_view text) {
    std::ofstream file(path, std::ios::binary);
    file.write(text.data(), static_cast<std::streamsize>(text.size()));
    file.close();
    if (!file) return bad_input("output ({}): wanted to write it, found the file system refusing", path.string());
    return {};
}

}  // namespace vks
