// Opening, verifying and looking up the weights of a model folder.
#include "frontend/io/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <new>

#include "backend/base/bad_input.h"
#include "frontend/io/index.h"
#include "frontend/io/to_float.h"
#include "frontend/model/layout.h"

namespace vks {
namespace {

std::string names_of(std::initializer_list<DType> dtypes) {
    std::string text;
    for (const DType dtype : dtypes) text += (text.empty() ? "" : " or ") + std::string(dtype_name(dtype));
    return text;
}

bool is_there(const std::filesystem::path& path) {
    std::error_code ignored;
    return std::filesystem::exists(path, ignored);
}

// 3 for "model.layers.3.<anything>", -1 for other names and for what is no number of a layer.
int64_t layer_of(std::string_view name) {
    constexpr std::string_view kPrefix = "model.layers.";
    if (!name.starts_with(kPrefix)) return -1;
    int64_t layer = -1;
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), layer);
    return layer;
}

std::string expert_prefix(int64_t layer, int64_t expert) {
    return layer_prefix(layer) + "mlp.experts." + std::to_string(expert) + ".";
}

}  // namespace

Result<Checkpoint> Checkpoint::open(const std::filesystem::path& dir) {
    std::error_code ignored;
    if (!std::filesystem::is_directory(dir, ignored)) {
        return bad_input("model ({}): wanted a folder with config.json and *.safetensors, found {}", dir.string(),
                         is_there(dir) ? "a file" : "nothing");
    }
    Checkpoint checkpoint;
    checkpoint.dir_ = dir;
    VKS_ASSIGN(checkpoint.config_, ModelConfig::load(dir));
    VKS_ASSIGN(checkpoint.generation_, GenerationDefaults::load(dir, checkpoint.config_.vocab_size));
    if (!checkpoint.generation_.eos_token_ids.empty()) {
        checkpoint.config_.eos_token_ids = checkpoint.generation_.eos_token_ids;
    }
    const std::filesystem::path single = dir / "model.safetensors", index = dir / "model.safetensors.index.json";
    if (is_there(single)) {
        VKS_TRY(checkpoint.map_single(single));
    } else if (is_there(index)) {
        VKS_TRY(checkpoint.map_shards(index));
    } else {
        return bad_input("weights ({}): wanted model.safetensors or model.safetensors.index.json, found neither",
                         dir.string());
    }
    checkpoint.forget_missing_modules();
    VKS_TRY(checkpoint.verify());
    return checkpoint;
}

Status Checkpoint::map_single(const std::filesystem::path& path) {
    weights_ = path;
    VKS_ASSIGN(SafetensorsFile file, SafetensorsFile::open(path));
    files_.push_back(std::move(file));
    tensors_.reserve(files_.front().tensors().size());
    for (const TensorView& tensor : files_.front().tensors()) tensors_.emplace(tensor.name, &tensor);
    return {};
}

Status Checkpoint::map_shards(const std::filesystem::path& path) {
    weights_ = path;
    VKS_ASSIGN(const ShardIndex index, ShardIndex::load(path));
    files_.reserve(index.shards.size());
    for (const std::string& shard : index.shards) {
        if (!is_there(dir_ / shard)) {
            return bad_input("shard ({}): wanted {}, which the index names, found nothing", (dir_ / shard).string(),
                             quote(shard));
        }
        VKS_ASSIGN(SafetensorsFile file, SafetensorsFile::open(dir_ / shard));
        files_.push_back(std::move(file));
    }
    VKS_TRY(refuse_copies());
    tensors_.reserve(index.tensors.size());
    for (const ShardIndex::Tensor& entry : index.tensors) {
        const TensorView* tensor = files_[entry.shard].find(entry.name);
        if (tensor == nullptr) {
            return bad_input("tensor {} ({}): wanted it in {}, as the index says, found nothing", quote(entry.name),
                             path.string(), quote(index.shards[entry.shard]));
        }
        tensors_.emplace(tensor->name, tensor);
    }
    return {};
}

// Readers differ in which of two they take.
Status Checkpoint::refuse_copies() const {
    std::unordered_map<std::string_view, const TensorView*> seen;
    for (const SafetensorsFile& file : files_) {
        for (const TensorView& tensor : file.tensors()) {
            const auto [first, fresh] = seen.try_emplace(tensor.name, &tensor);
            if (fresh) continue;
            return bad_input("tensor {} ({}): wanted it in one shard, found it in {} too", quote(tensor.name),
                             tensor.file_name(), first->second->file_name());
        }
    }
    return {};
}

// Who converts or saves a model with other software often loses the modules and leaves their number as it was.
void Checkpoint::forget_missing_modules() {
    if (config_.num_nextn_predict_layers == 0) return;
    for (const auto& [name, tensor] : tensors_) {
        if (layer_of(name) >= config_.num_hidden_layers) return;
    }
    warnings_.push_back(fmt::format("MTP modules ({}): wanted {}, as num_nextn_predict_layers says, found none",
                                    weights_.string(), config_.num_nextn_predict_layers));
    config_.num_nextn_predict_layers = 0;
}

Status Checkpoint::verify() const {
    std::unordered_set<const TensorView*> used;
    std::unordered_map<std::string, const TensorView*> first_expert;  // of the layer, by the rest of the name
    VKS_TRY(for_each_tensor(config_, [&](const TensorSpec& spec) -> Status {
        if (spec.may_be_missing() && find(spec.name) == nullptr) return {};
        if (spec.cols == 0) {
            const auto found = require(spec.name, {DType::kBF16, DType::kF16, DType::kF32}, {spec.rows});
            if (!found) return found.error();
        } else {
            const auto found = matrix_views(spec.name, spec.rows, spec.cols, spec.may_be_fp8);
            if (!found) return found.error();
            if (found->scale) used.insert(find(scale_name(spec.name)));
        }
        const TensorView* tensor = find(spec.name);
        used.insert(tensor);
        if (spec.expert < 0) return {};
        // A layer's experts are multiplied together.
        const std::string part = spec.name.substr(expert_prefix(spec.layer, spec.expert).size());
        const TensorView*& first = first_expert[part];
        if (spec.expert == 0) first = tensor;
        if (tensor->dtype == first->dtype) return {};
        return bad_input("tensor {} ({}): wanted {}, as {} is, found {}", quote(spec.name), tensor->file_name(),
                         dtype_name(first->dtype), quote(first->name), dtype_name(tensor->dtype));
    }));
    return refuse_unexpected(used);
}

// A model with more than the configuration explains would run, and give wrong text.
Status Checkpoint::refuse_unexpected(const std::unordered_set<const TensorView*>& used) const {
    const TensorView* first = nullptr;
    for (const auto& [name, tensor] : tensors_) {
        if (!name.starts_with("model.") && !name.starts_with("lm_head.")) continue;
        if (used.contains(tensor) || name.find(".rotary_emb.") != std::string_view::npos) continue;
        // MTP modules may be left aside by setting their number to 0.
        const int64_t layer = layer_of(name);
        if (layer >= config_.total_layers() && find(layer_prefix(layer) + "eh_proj.weight") != nullptr) continue;
        if (first == nullptr || name < first->name) first = tensor;
    }
    if (first == nullptr) return {};
    return bad_input("tensor {} ({}): wanted only weights that config.json explains, found this one",
                     quote(first->name), first->file_name());
}

uint64_t Checkpoint::tensor_bytes() const {
    uint64_t sum = 0;
    for (const auto& [name, tensor] : tensors_) sum += tensor->bytes;
    return sum;
}

const TensorView* Checkpoint::find(std::string_view name) const {
    const auto at = tensors_.find(name);
    return at == tensors_.end() ? nullptr : at->second;
}

Result<TensorView> Checkpoint::require(std::string_view name, std::initializer_list<DType> dtypes,
                                       const Shape& shape) const {
    const TensorView* tensor = find(name);
    if (tensor == nullptr) {
        return bad_input("tensor {} ({}): wanted {} {}, found nothing", quote(name), weights_.string(),
                         names_of(dtypes), shape.text());
    }
    if (std::ranges::find(dtypes, tensor->dtype) == dtypes.end() || tensor->shape != shape) {
        return bad_input("tensor {} ({}): wanted {} {}, found {} {}", quote(name), tensor->file_name(),
                         names_of(dtypes), shape.text(), dtype_name(tensor->dtype), tensor->shape.text());
    }
    return *tensor;
}

Result<Matrix> Checkpoint::matrix_views(std::string_view name, int64_t rows, int64_t cols, bool fp8) const {
    const Shape shape = {rows, cols};
    auto weight = fp8 ? require(name, {DType::kF8E4M3, DType::kBF16, DType::kF16, DType::kF32}, shape)
                      : require(name, {DType::kBF16, DType::kF16, DType::kF32}, shape);
    if (!weight) return weight.error();
    Matrix matrix = {*weight, std::nullopt, rows, cols};
    const std::string scale = scale_name(name);
    if (weight->dtype != DType::kF8E4M3) {
        if (find(scale) == nullptr) return matrix;
        return bad_input("tensor {} ({}): wanted F8_E4M3, as there is {}, found {}", quote(name), weight->file_name(),
                         quote(scale), dtype_name(weight->dtype));
    }
    if (!config_.fp8) {
        return bad_input(
            "tensor {} ({}): wanted a quantization_config in config.json that explains F8_E4M3, found none",
            quote(name), weight->file_name());
    }
    VKS_ASSIGN(matrix.scale, require(scale, {DType::kF32}, {scale_blocks(rows), scale_blocks(cols)}));
    return matrix;
}

Result<Matrix> Checkpoint::matrix(std::string_view name, int64_t rows, int64_t cols, bool fp8) const {
    VKS_ASSIGN(Matrix matrix, matrix_views(name, rows, cols, fp8));
    VKS_TRY(settle(matrix.weight));
    if (matrix.scale) VKS_TRY(settle(*matrix.scale));
    return matrix;
}

Result<Vector> Checkpoint::vector(std::string_view name, int64_t size) const {
    VKS_ASSIGN(TensorView view, require(name, {DType::kBF16, DType::kF16, DType::kF32}, {size}));
    VKS_TRY(settle(view));
    return Vector{view, size};
}

Result<Vector> Checkpoint::f32_vector(std::string_view name, int64_t size) const {
    VKS_ASSIGN(TensorView view, require(name, {DType::kBF16, DType::kF16, DType::kF32}, {size}));
    if (view.dtype == DType::kF32) return vector(name, size);
    const auto count = static_cast<size_t>(size), element = static_cast<size_t>(dtype_bits(view.dtype) / 8);
    const std::lock_guard lock(copies_->mutex);
    auto& copy = copies_->f32[view.name];
    if (copy == nullptr) {
        VKS_ASSIGN(copy, memory_for(view, count * sizeof(float)));
        for (size_t i = 0; i < count; ++i) {
            const float value = to_float(view.dtype, view.data + i * element);
            std::memcpy(copy.get() + i * sizeof value, &value, sizeof value);
        }
    }
    view.dtype = DType::kF32;
    view.data = copy.get();
    view.bytes = count * sizeof(float);
    return Vector{view, size};
}

Result<Matrix> Checkpoint::head() const {
    const bool tied = config_.tie_word_embeddings && find("lm_head.weight") == nullptr;
    return matrix(tied ? "model.embed_tokens.weight" : "lm_head.weight", config_.vocab_size, config_.hidden_size,
                  false);
}

Status Checkpoint::settle(TensorView& view) const {
    if (view.aligned()) return {};
    const std::lock_guard lock(copies_->mutex);
    auto& copy = copies_->aligned[view.name];
    if (copy == nullptr) {
        VKS_ASSIGN(copy, memory_for(view, view.bytes));
        std::memcpy(copy.get(), view.data, view.bytes);
    }
    view.data = copy.get();
    return {};
}

Result<std::unique_ptr<std::byte[]>> Checkpoint::memory_for(const TensorView& view, uint64_t bytes) const {
    std::unique_ptr<std::byte[]> memory(new (std::nothrow) std::byte[bytes]);
    if (memory == nullptr) {
        return bad_input("tensor {} ({}): wanted memory for a copy of {} bytes, found too little", quote(view.name),
                         view.file_name(), bytes);
    }
    copies_->bytes += bytes;
    return memory;
}

uint64_t Checkpoint::copied_bytes() const {
    const std::lock_guard lock(copies_->mutex);
    return copies_->bytes;
}

bool Checkpoint::prefer_large_pages(uint64_t memory) const {
    uint64_t bytes = 0;
    for (const SafetensorsFile& file : files_) bytes += file.file().size();
    // Beyond that they would push each other out, each taking its neighbours with it.
    if (bytes >= memory) return false;
    for (const SafetensorsFile& file : files_) {
        file.file().advise(0, file.file().size(), FileMap::Advice::kLargePages);
    }
    return true;
}

Status Checkpoint::check_unchanged() const {
    for (const SafetensorsFile& file : files_) VKS_TRY(file.file().check_size());
    return {};
}

}  // namespace vks
