#include "frontend/gen/expert_statistics.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <numeric>
#include <span>

#include "backend/base/log.h"
#include "frontend/gen/residency.h"
#include "frontend/io/cache_dir.h"

namespace vks {
namespace {

// The file: this, then a count for each expert.
struct Header {
    char magic[8] = {'V', 'K', 'S', 'E', 'X', 'P', 'T', '1'};
    uint64_t model = 0, experts = 0, sum = 0;
};

// Counts beyond it are all halved until they aren't, so that what was long ago fades.
constexpr uint32_t kMostKept = 1u << 16;
// What a pager is told at most: a run that uses other experts than those before soon goes by its own.
constexpr uint64_t kMostTold = 16;
constexpr size_t kSample = 4096;

uint64_t hash(std::span<const std::byte> data, uint64_t sum = 0xcbf29ce484222325u) {
    for (const std::byte b : data) sum = (sum ^ static_cast<uint8_t>(b)) * 0x100000001b3u;
    return sum;
}

// What makes a model another one: its configuration, and of its weights the beginning of a router.
uint64_t model_hash(const Checkpoint& checkpoint) {
    const std::string config = config_json(checkpoint.config());
    uint64_t sum = hash(std::as_bytes(std::span(config)));
    for (int64_t layer = 0; layer < checkpoint.config().num_hidden_layers; ++layer) {
        const TensorView* router = checkpoint.find(fmt::format("model.layers.{}.mlp.gate.weight", layer));
        if (router == nullptr) continue;
        return hash({router->data, std::min<size_t>(kSample, router->bytes)}, sum);
    }
    return sum;
}

std::filesystem::path path_of(uint64_t model) {
    const std::filesystem::path folder = cache_dir();
    return folder.empty() ? folder : folder / "experts" / fmt::format("{:016x}.counts", model);
}

// False: there is a file, and it isn't one of these.
bool read_counts(const std::filesystem::path& path, uint64_t model, std::vector<uint32_t>& counts) {
    std::error_code none;
    if (path.empty() || !std::filesystem::exists(path, none)) return true;
    std::ifstream file(path, std::ios::binary);
    const Header wanted;
    Header header;
    std::vector<uint32_t> found(counts.size());
    const uint64_t bytes = found.size() * sizeof(uint32_t);
    if (!std::filesystem::is_regular_file(path, none) ||
        std::filesystem::file_size(path, none) != sizeof header + bytes ||
        !file.read(reinterpret_cast<char*>(&header), sizeof header) ||
        !file.read(reinterpret_cast<char*>(found.data()), static_cast<std::streamsize>(bytes)))
        return false;
    if (std::memcmp(header.magic, wanted.magic, sizeof header.magic) != 0 || header.model != model ||
        header.experts != found.size() || header.sum != hash(std::as_bytes(std::span(found))))
        return false;
    counts = std::move(found);
    return true;
}

}  // namespace

ExpertStatistics::ExpertStatistics(const Checkpoint& checkpoint, int64_t mtp) : model_(model_hash(checkpoint)) {
    for (ModelPiece& piece : checkpoint_pieces(checkpoint, mtp))
        if (is_expert(piece) && piece.reads > 0) experts_.push_back(std::move(piece));
    counts_.resize(experts_.size());
    model_ = hash(std::as_bytes(std::span(&mtp, 1)), model_);
    path_ = path_of(model_);
    if (!read_counts(path_, model_, counts_))
        log_line(LogLevel::kInfo, fmt::format("expert statistics ({}): damaged, begun anew", path_.string()));
}

void ExpertStatistics::weigh(std::vector<ModelPiece>& pieces) const {
    constexpr double kMost = 0.99;  // less than what every token reads
    std::map<int64_t, double> uses, experts;
    for (size_t i = 0; i < experts_.size(); ++i) {
        uses[experts_[i].layer] += counts_[i];
        experts[experts_[i].layer] += 1;
    }
    auto count = counts_.begin();
    for (ModelPiece& piece : pieces) {
        if (!is_expert(piece) || piece.reads <= 0) continue;
        // One use more for each, so that nobody who wasn't used counts as never read.
        const double all = uses.at(piece.layer) + experts.at(piece.layer);
        piece.reads = std::min(kMost, piece.reads * experts.at(piece.layer) * (*count++ + 1) / all);
    }
}

void ExpertStatistics::prepare(Pager& pager) {
    const uint32_t most = counts_.empty() ? 0 : *std::ranges::max_element(counts_);
    std::vector<size_t> order(experts_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::stable_sort(order, [&](size_t a, size_t b) { return counts_[a] > counts_[b]; });
    std::vector<Pager::Range> hottest;
    for (const size_t i : order) {
        const uint64_t count = counts_[i];
        const uint64_t told = most == 0 ? 0 : (count * kMostTold + most - 1) / most;
        for (const TensorView* tensor : experts_[i].tensors) {
            const auto range = pager.find(tensor->data);
            if (!range) continue;
            pager.expect(*range, told);
            if (counts_[i] > 0) hottest.push_back(*range);
        }
    }
    pager.suggest(hottest);
}

void ExpertStatistics::add(const std::unordered_map<const std::byte*, uint64_t>& uses) {
    for (size_t i = 0; i < experts_.size(); ++i)
        for (const TensorView* tensor : experts_[i].tensors)
            if (const auto at = uses.find(tensor->data); at != uses.end())
                counts_[i] += static_cast<uint32_t>(std::min<uint64_t>(at->second, kMostKept));
    while (!counts_.empty() && *std::ranges::max_element(counts_) > kMostKept)
        for (uint32_t& count : counts_) count /= 2;
}

void ExpertStatistics::save() const {
    if (path_.empty() || experts_.empty()) return;
    Header header;
    header.model = model_;
    header.experts = counts_.size();
    header.sum = hash(std::as_bytes(std::span(counts_)));
    std::error_code error;
    std::filesystem::create_directories(path_.parent_path(), error);
    const std::filesystem::path beside = path_.string() + "." + std::to_string(getpid()) + ".tmp";
    std::ofstream file(beside, std::ios::binary);
    file.write(reinterpret_cast<const char*>(&header), sizeof header);
    file.write(reinterpret_cast<const char*>(counts_.data()),
               static_cast<std::streamsize>(counts_.size() * sizeof(uint32_t)));
    file.close();
    if (file) std::filesystem::rename(beside, path_, error);
    if (!file || error) {
        log_line(LogLevel::kInfo, fmt::format("expert statistics ({}): not written", path_.string()));
        std::filesystem::remove(beside, error);
    }
}

}  // namespace vks
