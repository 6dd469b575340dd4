#include "frontend/model/pieces.h"

#include "frontend/model/inspect.h"

namespace vks {
namespace {

// What a token reads of this weight, see ModelPiece::reads.
double reads_of(const ModelConfig& c, const TensorSpec& spec, int64_t mtp) {
    const bool module = spec.kind == TensorKind::kMtp;
    // Modules use the embedding and the head of the main model.
    if (module && (spec.embedding || spec.head || spec.layer >= c.num_hidden_layers + mtp)) return 0;
    if (spec.expert >= 0) return static_cast<double>(c.num_experts_per_tok) / static_cast<double>(c.n_routed_experts);
    if (spec.embedding && !c.tie_word_embeddings) return 1 / static_cast<double>(c.vocab_size);
    return 1;
}

class Collector {
public:
    Collector(const ModelConfig& config, int64_t mtp) : config_(config), mtp_(mtp) {}

    ModelPiece& add(const TensorSpec& spec, const TensorBytes& bytes) {
        const double reads = reads_of(config_, spec, mtp_);
        const auto belongs = [&](const ModelPiece& piece) {
            return piece.kind == spec.kind && piece.layer == spec.layer && piece.expert == spec.expert &&
                   piece.reads == reads;
        };
        if (pieces_.empty() || !belongs(pieces_.back())) {
            ModelPiece& fresh = pieces_.emplace_back();
            fresh.reads = reads;
            fresh.kind = spec.kind;
            fresh.layer = spec.layer;
            fresh.expert = spec.expert;
        }
        ModelPiece& piece = pieces_.back();
        piece.bytes += bytes.weight + bytes.scale;
        piece.scale_bytes += bytes.scale;
        piece.parameters += spec.elements();
        return piece;
    }
    std::vector<ModelPiece> take() { return std::move(pieces_); }

private:
    const ModelConfig& config_;
    const int64_t mtp_;
    std::vector<ModelPiece> pieces_;
};

}  // namespace

std::vector<ModelPiece> shape_pieces(const ModelConfig& config, int64_t mtp) {
    Collector collector(config, mtp);
    const Status status = for_each_tensor(config, [&](const TensorSpec& spec) -> Status {
        if (!spec.optional) collector.add(spec, released_bytes(config, spec));
        return {};
    });
    CHECK(status, "listing tensors failed: {}", status.error().text);
    return collector.take();
}

std::vector<ModelPiece> checkpoint_pieces(const Checkpoint& checkpoint, int64_t mtp) {
    Collector collector(checkpoint.config(), mtp);
    const Status status = for_each_tensor(checkpoint.config(), [&](const TensorSpec& spec) -> Status {
        const TensorView* weight = checkpoint.find(spec.name);
        if (weight == nullptr) return {};  // an optional one: open() verified the others
        const TensorView* scale = checkpoint.find(scale_name(spec.name));
        ModelPiece& piece = collector.add(spec, {weight->bytes, scale != nullptr ? scale->bytes : 0});
        piece.tensors.push_back(weight);
        if (scale != nullptr) piece.tensors.push_back(scale);
        return {};
    });
    CHECK(status, "listing tensors failed: {}", status.error().text);
    return collector.take();
}

}  // namespace vks
