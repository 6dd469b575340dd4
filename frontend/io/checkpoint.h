// A Hugging Face model folder as released: its configuration and its weights, mapped. Weights are looked up by name and
// checked against the shape the caller expects; of their data nothing is read here but what must be copied: tensors
// that aren't aligned in their file, and vectors that are wanted wider than they are stored.
#pragma once
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "backend/base/result.h"
#include "frontend/io/config.h"
#include "frontend/io/safetensors.h"

namespace vks {

// A weight matrix [rows, cols] as stored: BF16, F16 or F32; or F8_E4M3 with its scale, F32
// [ceil(rows/128), ceil(cols/128)], weight = e4m3(code) × scale[row/128][col/128].
struct Matrix {
    TensorView weight;
    std::optional<TensorView> scale;  // there exactly if the weight is F8_E4M3
    int64_t rows = 0, cols = 0;
};

// A norm's weight or a bias [size]: BF16, F16 or F32.
struct Vector {
    TensorView view;
    int64_t size = 0;
};

// Move-only. What it returns is borrowed from it and stays valid when it moves; const members may be called from any
// thread. Every Error names the file and the field or tensor.
class Checkpoint {
public:
    // Reads config.json, generation_config.json, the index and the headers of all shards, and verifies that the folder
    // holds every weight of the configuration with a type and shape that fit, in its layers no others, and of a layer's
    // experts each matrix as one type. MTP modules of which there is nothing at all count as not configured. Data is
    // not read.
    static Result<Checkpoint> open(const std::filesystem::path& dir);

    const std::filesystem::path& dir() const { return dir_; }
    const ModelConfig& config() const { return config_; }  // end-of-text ids are those of generation(), if it has any
    const GenerationDefaults& generation() const { return generation_; }
    const std::vector<std::string>& warnings() const { return warnings_; }  // a line each, of what open() put up with
    const std::vector<SafetensorsFile>& files() const { return files_; }
    uint64_t tensor_bytes() const;  // of all tensors the folder offers, used or not
    size_t tensor_count() const { return tensors_.size(); }

    // nullptr: no such tensor.
    const TensorView* find(std::string_view name) const;

    // A tensor of one of these types and of exactly this shape.
    Result<TensorView> require(std::string_view name, std::initializer_list<DType> dtypes, const Shape& shape) const;
    // `fp8`: whether F8_E4M3 will do. `name` is the weight's full name; its scale may be in another shard.
    Result<Matrix> matrix(std::string_view name, int64_t rows, int64_t cols, bool fp8 = true) const;
    Result<Vector> vector(std::string_view name, int64_t size) const;
    // The same as F32, for operators that take no other: what is stored in another type is widened, in a copy.
    Result<Vector> f32_vector(std::string_view name, int64_t size) const;
    // The output head [vocab_size, hidden_size]: lm_head.weight, or the embedding if they are tied.
    Result<Matrix> head() const;

    // Memory of the copies that what was asked for so far has needed; they stay.
    uint64_t copied_bytes() const;

    // For a run that reads weights where they are mapped, before it does: large pages, whose tables take less time to
    // walk, if the whole checkpoint fits into `memory`, bytes that the process may use. A hint; nothing is read. Says
    // whether it fits.
    bool prefer_large_pages(uint64_t memory) const;

    // Whether all files still have the size they had when they were opened; a run asks this before it reports success.
    Status check_unchanged() const;

private:
    Checkpoint() = default;
    Status map_single(const std::filesystem::path& path);
    Status map_shards(const std::filesystem::path& path);
    Status refuse_copies() const;
    void forget_missing_modules();
    Status verify() const;
    Status refuse_unexpected(const std::unordered_set<const TensorView*>& used) const;
    Result<Matrix> matrix_views(std::string_view name, int64_t rows, int64_t cols, bool fp8) const;
    // Makes the view's data aligned to its type, if need be by a copy.
    Status settle(TensorView& view) const;

    // Made when they are first asked for: of tensors that lie at odd addresses in their file, and of vectors as f32.
    struct Copies {
        using ByName = std::unordered_map<std::string_view, std::unique_ptr<std::byte[]>>;
        std::mutex mutex;
        ByName aligned, f32;
        uint64_t bytes = 0;  // of them all
    };
    // Memory for a copy of this tensor; counts it. Under the copies' mutex.
    Result<std::unique_ptr<std::byte[]>> memory_for(const TensorView& view, uint64_t bytes) const;

    std::filesystem::path dir_, weights_;  // weights_: the file that lists the tensors, for messages
    ModelConfig config_;
    GenerationDefaults generation_;
    std::vector<std::string> warnings_;
    std::vector<SafetensorsFile> files_;
    std::unordered_map<std::string_view, const TensorView*> tensors_;
    std::unique_ptr<Copies> copies_ = std::make_unique<Copies>();
};

}  // namespace vks
