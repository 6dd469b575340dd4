// Reading a checkpoint in rows of blocks and writing it in FP8. Files are read, not looked at through their maps: one
// that shrinks meanwhile is then an Error like any other, and what was written can be removed.
#include "frontend/io/quantize.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "backend/base/bad_input.h"
#include "frontend/io/checkpoint.h"
#include "frontend/io/e4m3.h"
#include "frontend/io/json.h"
#include "frontend/io/to_float.h"
#include "frontend/model/layout.h"

namespace vks {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kPiece = 4 << 20;  // bytes copied at a time
constexpr uint64_t kMaxSmallFile = 256 << 20;

// What belongs to a checkpoint besides weights and config.json, copied where it is there.
constexpr std::array kCopied = {"generation_config.json", "tokenizer.json", "tokenizer_config.json",
                                "special_tokens_map.json", "chat_template.jinja"};

Status read_exactly(const TensorView& tensor, uint64_t offset, std::span<std::byte> bytes) {
    offset += static_cast<uint64_t>(tensor.data - tensor.file->data());
    while (!bytes.empty()) {
        const ssize_t got = pread(tensor.file->fd(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            return bad_input("tensor {} ({}): wanted {} more bytes, found {}", quote(tensor.name), tensor.file_name(),
                             bytes.size(), got == 0 ? "the file's end: it was truncated" : std::strerror(errno));
        }
        bytes = bytes.subspan(static_cast<size_t>(got));
        offset += static_cast<uint64_t>(got);
    }
    return {};
}

// Sums of squares over weights: of what was lost, and of all.
struct Squares {
    double error = 0, all = 0;
};

void add_squares(std::span<const float> values, size_t cols, std::span<const uint8_t> codes,
                 std::span<const float> scales, Squares& sums) {
    static constexpr std::array<float, 256> kValue = [] {
        std::array<float, 256> table{};
        for (uint32_t code = 0; code < 256; ++code) table[code] = decode_e4m3(static_cast<uint8_t>(code));
        return table;
    }();
    for (size_t row = 0; row < values.size(); row += cols) {
        for (size_t col = 0; col < cols; ++col) {
            const double value = values[row + col];
            const double error = double{kValue[codes[row + col]]} * double{scales[col / kScaleBlock]} - value;
            sums.error += error * error;
            sums.all += value * value;
        }
    }
}

// One run, shared by the threads that fill shards.
class Job {
public:
    Job(const QuantizeOptions& options, const Checkpoint& checkpoint, const fs::path& dir)
        : options_(options),
          checkpoint_(checkpoint),
          weights_(list_weights(checkpoint)),
          shards_({dir, options.max_shard_bytes, options.threads, options.progress}, groups()) {}

    Result<QuantizeSummary> run() {
        VKS_TRY(shards_.check_room());
        VKS_TRY(shards_.write([this](SafetensorsWriter& writer) { return fill(writer); }));
        VKS_TRY(shards_.write_index());
        VKS_TRY(checkpoint_.check_unchanged());
        summary_.tensors = checkpoint_.tensor_count();
        summary_.quantized = weights_.size();
        summary_.bytes_in = checkpoint_.tensor_bytes();
        summary_.bytes_out = shards_.total_bytes();
        summary_.shards = shards_.size();
        if (sums_.all > 0) summary_.relative_error = std::sqrt(sums_.error / sums_.all);
        return summary_;
    }

private:
    using Names = std::unordered_set<std::string>;

    static Names list_weights(const Checkpoint& checkpoint) {
        Names names;
        const Status listed = for_each_tensor(checkpoint.config(), [&](const TensorSpec& spec) -> Status {
            if (spec.may_be_fp8) names.insert(spec.name);
            return {};
        });
        CHECK(listed, "listing tensors failed: {}", listed.error().text);
        return names;
    }

    // The tensors in the order of the files that are read, each weight with its scale.
    std::vector<ShardSet::Group> groups() {
        std::vector<ShardSet::Group> list;
        for (const SafetensorsFile& file : checkpoint_.files()) {
            for (const TensorView& tensor : file.tensors()) {
                if (checkpoint_.find(tensor.name) != &tensor) continue;  // the index takes it from another file
                const std::string name(tensor.name);
                list.push_back({{name, tensor.dtype, tensor.shape}});
                if (!weights_.contains(name)) continue;
                summary_.parameters += static_cast<uint64_t>(tensor.shape.elements());
                list.back().front().dtype = DType::kF8E4M3;
                list.back().push_back(
                    {scale_name(name), DType::kF32, {scale_blocks(tensor.shape[0]), scale_blocks(tensor.shape[1])}});
            }
        }
        return list;
    }

    Status fill(SafetensorsWriter& writer) {
        std::unordered_map<std::string_view, size_t> at;
        for (size_t i = 0; i < writer.tensors().size(); ++i) at.emplace(writer.tensors()[i].name, i);
        for (size_t i = 0; i < writer.tensors().size(); ++i) {
            const std::string& name = writer.tensors()[i].name;
            const TensorView* tensor = checkpoint_.find(name);
            if (tensor == nullptr) continue;  // a scale, written with its weight
            // Others may have a tensor named like a scale, too.
            VKS_TRY(weights_.contains(name) ? convert(*tensor, i, at.at(scale_name(name)), writer)
                                            : copy(*tensor, i, writer));
        }
        return {};
    }

    Status check_interrupt() const {
        if (options_.interrupted == nullptr || !options_.interrupted->load()) return {};
        return bad_input("run (interrupted): wanted to finish {}, found an interrupt", options_.out.string());
    }

    Status copy(const TensorView& tensor, size_t to, SafetensorsWriter& writer) {
        std::vector<std::byte> buffer(std::min(kPiece, tensor.bytes));
        for (uint64_t done = 0; done < tensor.bytes;) {
            const auto piece = std::span(buffer).first(std::min(tensor.bytes - done, kPiece));
            VKS_TRY(check_interrupt());
            VKS_TRY(read_exactly(tensor, done, piece));
            VKS_TRY(writer.write_at(to, done, piece));
            done += piece.size();
            shards_.report(piece.size());
        }
        return {};
    }

    Status convert(const TensorView& tensor, size_t to, size_t scale_to, SafetensorsWriter& writer) {
        const auto rows = static_cast<size_t>(tensor.shape[0]), cols = static_cast<size_t>(tensor.shape[1]);
        const size_t element = dtype_bits(tensor.dtype) / 8, band = std::min<size_t>(rows, kScaleBlock) * cols;
        std::vector<std::byte> raw(band * element);
        std::vector<float> values(band), scales(static_cast<size_t>(scale_blocks(tensor.shape[1])));
        std::vector<uint8_t> codes(band);
        Squares sums;
        for (size_t row = 0; row < rows; row += kScaleBlock) {
            const size_t count = std::min<size_t>(rows - row, kScaleBlock) * cols;
            VKS_TRY(check_interrupt());
            VKS_TRY(read_exactly(tensor, row * cols * element, std::span(raw).first(count * element)));
            for (size_t i = 0; i < count; ++i) values[i] = to_float(tensor.dtype, &raw[i * element]);
            const std::span<const float> in = std::span(values).first(count);
            const std::span<uint8_t> out = std::span(codes).first(count);
            if (const auto bad = quantize_blocks(in, cols, out, scales)) {
                return bad_input("tensor {} ({}): wanted finite weights, found {} at [{}, {}]", quote(tensor.name),
                                 tensor.file_name(), in[*bad], row + *bad / cols, *bad % cols);
            }
            const auto scale_bytes = std::as_bytes(std::span(scales));
            VKS_TRY(writer.write_at(to, row * cols, std::as_bytes(out)));
            VKS_TRY(writer.write_at(scale_to, row / kScaleBlock * scale_bytes.size(), scale_bytes));
            add_squares(in, cols, out, scales, sums);
            shards_.report(count + scale_bytes.size());
        }
        const std::lock_guard lock(mutex_);
        sums_.error += sums.error;
        sums_.all += sums.all;
        return {};
    }

    const QuantizeOptions& options_;
    const Checkpoint& checkpoint_;
    const Names weights_;
    QuantizeSummary summary_;
    ShardSet shards_;
    std::mutex mutex_;
    Squares sums_;  // guarded by mutex_
};

Status copy_small_files(const fs::path& in, const fs::path& out) {
    for (const char* name : kCopied) {
        std::error_code ignored;
        if (!fs::exists(in / name, ignored)) continue;
        VKS_ASSIGN(const std::string text, read_file(in / name, kMaxSmallFile));
        VKS_TRY(write_text(out / name, text));
    }
    return {};
}

// config.json as it was, and what the release says of its weights. It was read and found fine before.
Status write_config(const fs::path& in, const fs::path& out) {
    VKS_ASSIGN(const std::string text, read_file(in / "config.json", kMaxSmallFile));
    auto config = nlohmann::ordered_json::parse(text, nullptr, false);
    if (!config.is_object()) return bad_input("config ({}): wanted it unchanged", (in / "config.json").string());
    config["quantization_config"] = {{"activation_scheme", "dynamic"},
                                     {"fmt", "e4m3"},
                                     {"quant_method", "fp8"},
                                     {"weight_block_size", {kScaleBlock, kScaleBlock}}};
    return write_text(out / "config.json", config.dump(2) + "\n");
}

// `out` with links followed: a new folder takes the name's place, not a link's.
Result<fs::path> resolve_target(const fs::path& out) {
    std::error_code error;
    fs::path target = fs::absolute(out, error);
    if (!error) target = fs::weakly_canonical(target, error);
    if (!error && !target.has_filename()) target = target.parent_path();
    std::error_code absent;
    if (!error && fs::is_symlink(target, absent))  // its end would have been followed
        return bad_input("output ({}): wanted an empty folder or none, found a link to nothing", out.string());
    if (!error && fs::exists(target, error) && !fs::is_empty(target, error) && !error) {
        return bad_input("output ({}): wanted an empty folder or none, found {}", out.string(),
                         fs::is_directory(target, error) ? "files in it" : "a file");
    }
    if (!error && fs::exists(target, error) && !fs::is_directory(target, error)) {
        return bad_input("output ({}): wanted an empty folder or none, found a file", out.string());
    }
    if (error)
        return bad_input("output ({}): wanted an empty folder or none, found: {}", out.string(), error.message());
    return target;
}

// Where files are until all of them are there: a folder that is there stays the one it is, with its mode, and may be a
// file system of its own; of a new one the name appears at the end.
class Staging {
public:
    static Result<Staging> make(const fs::path& target) {
        std::error_code error;
        const bool inside = fs::exists(target, error);
        const std::string prefix = target.string() + (inside ? "/quantize." : ".");
        for (int i = 0;; ++i) {
            fs::path dir = fmt::format("{}{}-{}.tmp", prefix, getpid(), i);
            if (fs::create_directory(dir, error)) return Staging(target, dir, inside);
            if (error) return bad_input("output ({}): wanted to make it, found: {}", target.string(), error.message());
        }
    }
    Staging(Staging&& other) noexcept
        : target_(other.target_), dir_(std::exchange(other.dir_, {})), inside_(other.inside_) {}
    Staging& operator=(Staging&&) = delete;
    ~Staging() {
        std::error_code ignored;
        if (!dir_.empty()) fs::remove_all(dir_, ignored);
    }
    const fs::path& dir() const { return dir_; }

    Status finish() {
        if (inside_) VKS_TRY(move_up());
        std::error_code error;
        if (inside_) {
            fs::remove(dir_, error);
        } else {
            fs::rename(dir_, target_, error);
        }
        if (error) return not_there(error);
        dir_.clear();
        return {};
    }

private:
    Staging(fs::path target, fs::path dir, bool inside)
        : target_(std::move(target)), dir_(std::move(dir)), inside_(inside) {}

    Error not_there(const std::error_code& error) const {
        return bad_input("output ({}): wanted to put it there, found: {}", target_.string(), error.message());
    }

    // config.json last: without it a folder is no model.
    Status move_up() const {
        std::error_code error;
        std::vector<fs::path> names;
        for (const auto& entry : fs::directory_iterator(dir_, error)) names.push_back(entry.path().filename());
        std::ranges::stable_partition(names, [](const fs::path& name) { return name != "config.json"; });
        for (const auto& entry : fs::directory_iterator(target_, error))
            if (entry.path() != dir_)
                return bad_input("output ({}): wanted it still empty, found {}", target_.string(),
                                 quote(entry.path().filename().string()));
        if (error) return not_there(error);
        for (size_t i = 0; i < names.size(); ++i) {
            fs::rename(dir_ / names[i], target_ / names[i], error);
            if (!error) continue;
            std::error_code ignored;
            for (size_t moved = 0; moved < i; ++moved) fs::remove(target_ / names[moved], ignored);
            return not_there(error);
        }
        return {};
    }

    fs::path target_, dir_;
    bool inside_ = false;
};

Result<QuantizeSummary> write_all(const QuantizeOptions& options, const Checkpoint& checkpoint, Staging& staging) {
    Job job(options, checkpoint, staging.dir());
    VKS_TRY(copy_small_files(options.in, staging.dir()));
    VKS_TRY(write_config(options.in, staging.dir()));
    VKS_ASSIGN(const QuantizeSummary summary, job.run());
    VKS_TRY(staging.finish());
    return summary;
}

}  // namespace

std::optional<size_t> quantize_blocks(std::span<const float> values, size_t cols, std::span<uint8_t> codes,
                                      std::span<float> scales) {
    constexpr uint32_t kInfinity = 0x7f800000u;
    std::ranges::fill(scales, 0.0f);
    for (size_t block = 0; block < scales.size(); ++block) {
        const size_t begin = block * kScaleBlock, end = std::min<size_t>(begin + kScaleBlock, cols);
        uint32_t most = 0;  // bits of magnitudes have their order, NaN above infinity
        for (size_t row = 0; row < values.size(); row += cols) {
            for (size_t i = row + begin; i < row + end; ++i) {
                most = std::max(most, std::bit_cast<uint32_t>(values[i]) & 0x7fffffffu);
            }
        }
        if (most >= kInfinity) {
            const auto bad = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
            return static_cast<size_t>(bad - values.begin());
        }
        const float scale = std::max(std::bit_cast<float>(most) / kE4m3Max, 0x1p-126f);
        scales[block] = scale;
        for (size_t row = 0; row < values.size(); row += cols) {
            for (size_t i = row + begin; i < row + end; ++i) codes[i] = encode_e4m3(values[i] / scale);
        }
    }
    return std::nullopt;
}

Result<QuantizeSummary> quantize(const QuantizeOptions& options) {
    VKS_ASSIGN(const fs::path target, resolve_target(options.out));
    VKS_ASSIGN(const Checkpoint checkpoint, Checkpoint::open(options.in));
    if (checkpoint.config().fp8) {
        return bad_input("quantization_config ({}): wanted a model that isn't quantised yet, found FP8",
                         (options.in / "config.json").string());
    }
    VKS_ASSIGN(Staging staging, Staging::make(target));
    return write_all(options, checkpoint, staging);
}

}  // namespace vks
