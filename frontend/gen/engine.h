// A model ready to run: checkpoint, devices, plans and latent caches for one sequence. It takes token ids and gives
// logits; sampling, text and stopping are the generator's.
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/exec/executor.h"
#include "backend/registry/registry.h"
#include "frontend/io/checkpoint.h"
#include "frontend/model/deepseek_v3.h"

namespace vks {

struct EngineOptions {
    std::vector<std::string> backends = {"auto"};   // ordered preference: "cpu", "vulkan", "vulkan:1", "auto"
    std::map<std::string, std::string> op_backend;  // "mla_attention" -> "cpu"
    bool half = true;                               // --math half: bf16 activations and latent cache
    bool w8a8 = false;                              // --precision w8a8
    int threads = 0;                                // CPU plugin; 0: the cores this process may use
    int64_t context = 0;                            // positions of the latent caches; 0: max_position_embeddings
    int64_t chunk = 512;                            // most tokens in one step
    bool all_rows = false;                          // logits of every position, not only the last of a step
    bool trace = false;                             // hidden.{l}, router.{l}.* as outputs
    int mtp = 0;                                    // how many MTP modules to run
    int64_t draft = 0;                              // most drafted ids that verify() takes; 0: no verify()
};

// Where plugin libraries are looked for, in order: `extra` (from --plugin-dir), $VKSEEK_PLUGIN_PATH (colon-separated),
// <program>/../lib/vkseek/plugins.
std::vector<std::filesystem::path> plugin_dirs(const std::vector<std::filesystem::path>& extra);

// Not thread-safe.
class Engine {
public:
    // `registry` must outlive the engine. `trace` may be null. Makes the plans for chunk and for single tokens.
    // kNoBackend errors name the operator that has no backend.
    static Result<std::unique_ptr<Engine>> create(std::shared_ptr<const Checkpoint> checkpoint, Registry& registry,
                                                  const EngineOptions& options, Trace* trace);

    const Checkpoint& checkpoint() const { return *checkpoint_; }
    const ModelConfig& config() const { return checkpoint_->config(); }
    const EngineOptions& options() const { return options_; }
    int64_t context() const { return options_.context; }

    // Runs `ids` (1 to chunk of them) at positions position, position + 1, ... of the sequence; the cache entries
    // from there on are replaced. position + ids.size() <= context(). Ids are within the vocabulary.
    Status step(std::span<const int32_t> ids, int64_t position);
    // The same for an id and up to options.draft drafted ones after it; gives the logits of each.
    Status verify(std::span<const int32_t> ids, int64_t position);
    // Of the last step: [rows, vocab] with rows = all its tokens under all_rows and after verify(), else 1 (the last).
    Result<std::vector<float>> logits();
    // Of the last step, under options.trace: "hidden.3", "router.3.topk_idx"; raw elements, converted to f32 where
    // they are bf16. `T`: float or int32_t, as stated in goldens/README.md.
    template <class T>
    Result<std::vector<T>> traced(const std::string& name);
    // Latent cache of layer l (MTP module k is layer num_hidden_layers + k - 1), rows [first, first + count):
    // [count, kv_lora + rope], latent first.
    Result<std::vector<float>> cache(int64_t layer, int64_t first, int64_t count);

    // MTP module k = 1..options.mtp at the positions of the last step() (after module k - 1 ran there too):
    // next_ids[i] = t[position + i + k]. V3 report, section 2.2.
    Status mtp_step(int k, std::span<const int32_t> next_ids);
    // The same at positions position, position + 1, ...; `hidden` [n, hidden_bytes()] is what hidden() was after the
    // main model (k = 1) or module k - 1 ran there. At most max(chunk, draft + 1) of them.
    Status mtp_step(int k, std::span<const int32_t> next_ids, int64_t position, const std::byte* hidden);
    // Final norm of the last step of the main model or a module, a row per token; empty without modules.
    std::span<const std::byte> hidden() const { return hidden_; }
    size_t hidden_bytes() const { return size_t(config().hidden_size) * (options_.half ? 2 : 4); }
    // Of the last mtp_step of module k, as logits().
    Result<std::vector<float>> mtp_logits(int k);

    // What ran where: "fp8_gemm" -> "cpu".  Several devices: "cpu,vulkan".
    std::map<std::string, std::string> placement() const;
    // The plans' node reports, one line each.
    std::string explain() const;
    // Bytes each device holds: weights it reads, caches, activations.
    std::map<std::string, uint64_t> bytes_by_device() const;

private:
    // One graph and what is known about it.
    struct Part {
        std::shared_ptr<const Plan> plan;
        StepInputs inputs;
        int64_t max_tokens = 0;
    };
    // main (module 0) or an MTP module, in its sizes; those not wanted have no plan.
    struct Module {
        Part chunk, few, single;       // few: an id and its drafts
        Part* last = nullptr;          // the one of the last step
        int64_t tokens = 0, rows = 0;  // of the last step

        std::vector<const Part*> parts() const;  // those there are
    };
    Engine() = default;
    Status prepare(Registry& registry);
    Result<Preference> preference(Registry& registry, const std::string& first_op);
    Result<Part> make_part(int module, int64_t max_tokens, int64_t max_rows, const Preference& preference);
    Status run(int module, Part& part, std::span<const int32_t> ids, int64_t position, const std::byte* hidden);
    Result<std::vector<float>> read_floats(const Module& module, const std::string& name);

    std::shared_ptr<const Checkpoint> checkpoint_;
    EngineOptions options_;
    std::vector<double> inv_freq_;
    std::unique_ptr<State> state_;  // outlives plans
    WeightStores weights_;
    std::vector<Module> modules_;  // [0] main, [k] MTP module k
    std::unique_ptr<Executor> executor_;
    int64_t position_ = 0;           // of the last step
    std::vector<std::byte> hidden_;  // final_norm of the last step of a module, for the next one
};

template <>
Result<std::vector<float>> Engine::traced<float>(const std::string& name);
template <>
Result<std::vector<int32_t>> Engine::traced<int32_t>(const std::string& name);

}  // namespace vks
