// Which tensors a synthetic checkpoint has and what fills them.
#include "frontend/io/synth.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <vector>

#include "backend/base/bad_input.h"
#include "frontend/io/random_weights.h"
#include "frontend/io/shards.h"
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

// The tensors in the order of the layers.
std::vector<SynthTensor> list_tensors(const SynthOptions& options) {
    std::vector<SynthTensor> tensors;
    const Status listed = for_each_tensor(options.config, [&](const TensorSpec& spec) -> Status {
        if (spec.optional) return {};
        append_tensors(spec, options.config, tensors);
        // Without it the biases alone decide.
        if (options.one_route && spec.name.ends_with(".mlp.gate.weight")) tensors.back().deviation = 0;
        return {};
    });
    CHECK(listed, "listing tensors failed: {}", listed.error().text);
    return tensors;
}

ShardSet cut_into_shards(const SynthOptions& options, const std::vector<SynthTensor>& tensors) {
    std::vector<ShardSet::Group> groups;
    groups.reserve(tensors.size());
    for (const SynthTensor& tensor : tensors) groups.push_back({tensor.info});
    return ShardSet({options.out, options.max_shard_bytes, options.threads, options.progress}, groups);
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

// What fills the files of one checkpoint; the threads share it.
class Synthesis {
public:
    explicit Synthesis(const SynthOptions& options)
        : options_(options), tensors_(list_tensors(options)), shards_(cut_into_shards(options, tensors_)) {
        for (const SynthTensor& tensor : tensors_) by_name_.emplace(tensor.info.name, &tensor);
    }

    ShardSet& shards() { return shards_; }
    Status write_all() {
        return shards_.write([this](SafetensorsWriter& writer) { return write_shard(writer); });
    }

private:
    Status write_shard(SafetensorsWriter& writer) {
        std::vector<std::byte> buffer(options_.sparse ? 0 : kBuffer);
        for (const TensorInfo& info : writer.tensors()) {
            VKS_TRY(check_interrupt());
            VKS_TRY(options_.sparse ? writer.skip(info.bytes())
                                    : write_tensor(*by_name_.at(info.name), buffer, writer));
            if (options_.sparse) shards_.report(info.bytes());
        }
        return {};
    }

    Status check_interrupt() const {
        if (options_.interrupted == nullptr || !options_.interrupted->load()) return {};
        return bad_input("run (interrupted): wanted to finish {}, found an interrupt", options_.out.string());
    }

    Status write_tensor(const SynthTensor& tensor, std::span<std::byte> buffer, SafetensorsWriter& writer) {
        RandomStream stream(options_.seed, tensor.stream);
        for (uint64_t left = tensor.info.bytes(); left > 0;) {
            const auto piece = buffer.first(std::min<uint64_t>(left, buffer.size()));
            VKS_TRY(check_interrupt());
            fill(tensor, stream, piece);
            VKS_TRY(writer.write(piece));
            left -= piece.size();
            shards_.report(piece.size());
        }
        return {};
    }

    const SynthOptions& options_;
    const std::vector<SynthTensor> tensors_;
    std::unordered_map<std::string_view, const SynthTensor*> by_name_;
    ShardSet shards_;
};

Status prepare_folder(const SynthOptions& options, const ShardSet& shards) {
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
    return options.sparse ? Status() : shards.check_room();
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
Status write_model(const SynthOptions& options, Synthesis& job) {
    VKS_TRY(copy_tokenizer(options));
    VKS_TRY(job.write_all());
    VKS_TRY(job.shards().write_index());
    return write_text(options.out / "config.json", config_json(options.config));
}

}  // namespace

Status synth(const SynthOptions& options) {
    Synthesis job(options);
    VKS_TRY(prepare_folder(options, job.shards()));
    Status status = write_model(options, job);
    if (!status) {
        std::error_code ignored;
        job.shards().remove();
        fs::remove(options.out / "config.json", ignored);
    }
    return status;
}

}  // namespace vks
