// Which tensors a synthetic checkpoint has, how they are cut into files, and the threads that write them.
#include "frontend/io/synth.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "backend/base/bad_input.h"
#include "frontend/io/random_weights.h"
#include "frontend/io/safetensors_writer.h"
#include "frontend/model/layout.h"

namespace vks {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBuffer = 4 << 20;  // bytes

enum class Fill { kCodes, kScale, kNormal };

struct SynthTensor {
    TensorInfo info;
    Fill fill = Fill::kNormal;
    double mean = 0, deviation = 0;
    std::string stream;  // tensors of the same stream are copies of each other
};
using Shard = std::vector<SynthTensor>;

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> endings) {
    return std::ranges::any_of(endings, [&](std::string_view ending) { return name.ends_with(ending); });
}

// Standard deviation of a weight. Matrices that write to the residual stream are damped by the number of their writes.
double deviation_of(const TensorSpec& spec, const ModelConfig& config) {
    if (spec.router_bias) return 0.05;
    if (spec.cols == 0) return 0.1;  // norms, around 1
    if (spec.embedding) return 1;
    const double plain = 1 / std::sqrt(static_cast<double>(spec.cols));
    if (spec.head) return 2 * plain;  // clear favourites among the next tokens
    if (ends_with_any(spec.name, {"o_proj.weight", "down_proj.weight"})) {
        return plain / std::sqrt(2 * static_cast<double>(config.num_hidden_layers));
    }
    return plain;
}

void append_tensors(const TensorSpec& spec, const ModelConfig& config, std::vector<SynthTensor>& tensors) {
    SynthTensor tensor;
    tensor.info.name = spec.name;
    tensor.info.shape = spec.cols > 0 ? Shape{spec.rows, spec.cols} : Shape{spec.rows};
    tensor.stream = spec.embedding ? "embedding" : spec.head ? "head" : spec.name;
    tensor.deviation = deviation_of(spec, config);
    tensor.mean = spec.cols == 0 && !spec.router_bias ? 1 : 0;
    tensor.info.dtype = spec.router_bias ? DType::kF32 : DType::kBF16;
    if (!config.fp8 || !spec.may_be_fp8) {
        tensors.push_back(std::move(tensor));
        return;
    }
    SynthTensor scale = tensor;
    tensor.info.dtype = DType::kF8E4M3;
    tensor.fill = Fill::kCodes;
    tensors.push_back(std::move(tensor));

    scale.info.name = scale_name(spec.name);
    scale.info.dtype = DType::kF32;
    scale.info.shape = {scale_blocks(spec.rows), scale_blocks(spec.cols)};
    scale.fill = Fill::kScale;
    scale.stream = scale.info.name;
    tensors.push_back(std::move(scale));
}

// The tensors in the order of the layers, cut into files.
std::vector<Shard> plan_shards(const SynthOptions& options) {
    std::vector<SynthTensor> tensors;
    const Status listed = for_each_tensor(options.config, [&](const TensorSpec& spec) -> Status {
        if (!spec.optional) append_tensors(spec, options.config, tensors);
        return {};
    });
    CHECK(listed, "listing tensors failed: {}", listed.error().text);
    std::vector<Shard> shards(1);
    uint64_t bytes = 0;
    for (SynthTensor& tensor : tensors) {
        const uint64_t size = tensor.info.bytes();
        if (!shards.back().empty() && bytes + size > options.max_shard_bytes) {
            shards.emplace_back();
            bytes = 0;
        }
        bytes += size;
        shards.back().push_back(std::move(tensor));
    }
    return shards;
}

void fill(const SynthTensor& tensor, RandomStream& stream, std::span<std::byte> bytes) {
    void* data = bytes.data();  // a buffer's beginning, aligned for any type
    if (tensor.fill == Fill::kCodes) return random_e4m3(stream, {static_cast<uint8_t*>(data), bytes.size()});
    if (tensor.info.dtype == DType::kBF16) {
        return random_bf16(stream, tensor.mean, tensor.deviation, {static_cast<uint16_t*>(data), bytes.size() / 2});
    }
    const std::span<float> values(static_cast<float*>(data), bytes.size() / 4);
    if (tensor.fill == Fill::kNormal) return random_f32(stream, tensor.mean, tensor.deviation, values);
    // Scales differ from block to block, so that taking the wrong one shows.
    for (float& scale : values) {
        scale = static_cast<float>(tensor.deviation / kCodeDeviation * (0.75 + 0.5 * stream.uniform()));
    }
}

// Writes the shards of one checkpoint; the threads share it.
class Job {
public:
    explicit Job(const SynthOptions& options) : options_(options), shards_(plan_shards(options)) {
        for (const Shard& shard : shards_) {
            for (const SynthTensor& tensor : shard) total_ += tensor.info.bytes();
        }
    }

    uint64_t total() const { return total_; }

    fs::path shard_path(size_t i) const {
        if (shards_.size() == 1) return options_.out / "model.safetensors";
        return options_.out / fmt::format("model-{:05}-of-{:06}.safetensors", i + 1, shards_.size());
    }

    Status write_all() {
        const size_t wanted = options_.threads > 0 ? options_.threads : std::thread::hardware_concurrency();
        std::vector<std::thread> threads;
        for (size_t i = 1; i < std::min(wanted, shards_.size()); ++i) threads.emplace_back([this] { work(); });
        work();
        for (std::thread& thread : threads) thread.join();
        if (failure_) return *failure_;
        return {};
    }

    Status write_index() const {
        if (shards_.size() == 1) return {};
        std::string json =
            fmt::format("{{\n  \"metadata\": {{\n    \"total_size\": {}\n  }},\n  \"weight_map\": {{", total_);
        const char* separator = "\n";
        for (size_t i = 0; i < shards_.size(); ++i) {
            const std::string file = shard_path(i).filename().string();
            for (const SynthTensor& tensor : shards_[i]) {
                json += fmt::format("{}    \"{}\": \"{}\"", separator, tensor.info.name, file);
                separator = ",\n";
            }
        }
        return write_text(options_.out / "model.safetensors.index.json", json + "\n  }\n}\n");
    }

    static Status write_text(const fs::path& path, const std::string& text) {
        std::ofstream file(path, std::ios::binary);
        file << text;
        file.close();
        if (!file) return bad_input("output ({}): wanted to write it, found the file system refusing", path.string());
        return {};
    }

    void remove_all() const {
        std::error_code ignored;
        for (size_t i = 0; i < shards_.size(); ++i) fs::remove(shard_path(i), ignored);
        for (const char* name : {"model.safetensors.index.json", "config.json"})
            fs::remove(options_.out / name, ignored);
    }

private:
    void work() {
        std::vector<std::byte> buffer(options_.sparse ? 0 : kBuffer);
        for (size_t i = next_++; i < shards_.size() && !failed_; i = next_++) {
            const Status status = write_shard(i, buffer);
            if (status) continue;
            failed_ = true;
            const std::lock_guard lock(mutex_);
            if (!failure_) failure_ = status.error();
        }
    }

    Status write_shard(size_t i, std::span<std::byte> buffer) {
        std::vector<TensorInfo> infos;
        std::unordered_map<std::string_view, const SynthTensor*> by_name;
        for (const SynthTensor& tensor : shards_[i]) {
            infos.push_back(tensor.info);
            by_name.emplace(tensor.info.name, &tensor);
        }
        VKS_ASSIGN(SafetensorsWriter writer, SafetensorsWriter::create(shard_path(i), std::move(infos)));
        for (const TensorInfo& info : writer.tensors()) {
            VKS_TRY(options_.sparse ? writer.skip(info.bytes()) : write_tensor(*by_name.at(info.name), buffer, writer));
            if (options_.sparse) report(info.bytes());
        }
        return writer.finish();
    }

    Status write_tensor(const SynthTensor& tensor, std::span<std::byte> buffer, SafetensorsWriter& writer) {
        RandomStream stream(options_.seed, tensor.stream);
        for (uint64_t left = tensor.info.bytes(); left > 0;) {
            const auto piece = buffer.first(std::min<uint64_t>(left, buffer.size()));
            fill(tensor, stream, piece);
            VKS_TRY(writer.write(piece));
            left -= piece.size();
            report(piece.size());
        }
        return {};
    }

    void report(uint64_t bytes) {
        if (!options_.progress) return;
        const std::lock_guard lock(mutex_);
        options_.progress(done_ += bytes, total_);
    }

    const SynthOptions& options_;
    const std::vector<Shard> shards_;
    uint64_t total_ = 0;
    std::atomic<size_t> next_{0};
    std::atomic<bool> failed_{false};
    std::mutex mutex_;
    uint64_t done_ = 0;             // guarded by mutex_
    std::optional<Error> failure_;  // guarded by mutex_ while threads run
};

Status prepare_folder(const SynthOptions& options, uint64_t bytes) {
    std::error_code error;
    fs::create_directories(options.out, error);
    if (error) return bad_input("output ({}): wanted a folder, found: {}", options.out.string(), error.message());
    for (const fs::directory_entry& entry : fs::directory_iterator(options.out, error)) {
        const std::string name = entry.path().filename().string();
        if (name == "config.json" || name.find(".safetensors") != std::string::npos) {
            return bad_input("output ({}): wanted a folder without a model, found {}", options.out.string(),
                             quote(name));
        }
    }
    if (error) return bad_input("output ({}): wanted a folder, found: {}", options.out.string(), error.message());
    if (options.sparse) return {};
    const fs::space_info space = fs::space(options.out, error);
    if (!error && space.available < bytes) {
        return bad_input("output ({}): wanted room for {} bytes, found {}", options.out.string(), bytes,
                         space.available);
    }
    return {};
}

Status copy_tokenizer(const SynthOptions& options) {
    if (options.tokenizer_dir.empty()) return {};
    for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
        std::error_code error;
        fs::copy_file(options.tokenizer_dir / name, options.out / name, fs::copy_options::overwrite_existing, error);
        if (error) {
            return bad_input("tokenizer ({}): wanted to copy it, found: {}", (options.tokenizer_dir / name).string(),
                             error.message());
        }
    }
    return {};
}

// config.json comes last: a folder that has it is complete.
Status write_model(const SynthOptions& options, Job& job) {
    VKS_TRY(copy_tokenizer(options));
    VKS_TRY(job.write_all());
    VKS_TRY(job.write_index());
    return Job::write_text(options.out / "config.json", config_json(options.config));
}

}  // namespace

Status synth(const SynthOptions& options) {
    Job job(options);
    VKS_TRY(prepare_folder(options, job.total()));
    Status status = write_model(options, job);
    if (!status) job.remove_all();
    return status;
}

}  // namespace vks
