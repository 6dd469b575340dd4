// A model ready to run: checkpoint, devices, plans and latent caches for one sequence. It takes token ids and gives
// logits; sampling, text and stopping are the generator's. Where operators run can change between two steps.
#pragma once
#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "backend/conformance/checker.h"
#include "backend/exec/executor.h"
#include "backend/registry/registry.h"
#include "frontend/gen/expert_statistics.h"
#include "frontend/gen/found_room.h"
#include "frontend/gen/placement.h"
#include "frontend/io/checkpoint.h"
#include "frontend/model/deepseek_v3.h"

namespace vks {

struct EngineOptions {
    Placement placement;    // to begin with
    bool half = true;       // --math half: bf16 activations and latent cache
    bool w8a8 = false;      // --precision w8a8
    int threads = 0;        // CPU plugin; 0: the cores this process may use
    int64_t context = 0;    // positions of the latent caches; 0: max_position_embeddings
    int64_t chunk = 512;    // most tokens in one step
    bool all_rows = false;  // logits of every position, not only the last of a step
    bool trace = false;     // hidden.{l}, router.{l}.* as outputs
    int mtp = 0;            // how many MTP modules to run
    int64_t draft = 0;      // most drafted ids that verify() takes; 0: only one id
    double watchdog = 60;   // seconds until a device that doesn't answer counts as lost
    int64_t check = 0;      // every so many steps an operator is computed again on the CPU plugin; 0: never
    conformance::CheckAction check_action = conformance::CheckAction::kWarn;
    // "cpu", "vulkan:0" -> bytes that its caches, activations and weights may take.
    std::map<std::string, uint64_t> memory;
};

// Where plugin libraries are looked for, in order: `extra` (from --plugin-dir), $VKSEEK_PLUGIN_PATH (colon-separated),
// <program>/../lib/vkseek/plugins.
std::vector<std::filesystem::path> plugin_dirs(const std::vector<std::filesystem::path>& extra);

using DeviceBytes = std::map<std::string, uint64_t>;  // by device id

// A change of placement that took place.
struct Swap {
    Placement from, to;
    bool changed = false;             // false: every operator was where it was wanted; nothing was made or moved
    double seconds = 0;               // for which steps had to wait
    double build_seconds = 0;         // that making the plans took, while steps went on
    uint64_t moved_bytes = 0;         // of latent caches
    std::vector<int64_t> rows;        // by module: how many rows of its caches are right now, from the first on
    DeviceBytes before, peak, after;  // held before it, while both were there, and since
};

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
    // Whether steps of a prompt may take attention's expanded form (mla_expanded) where a device offers it: nobody sent
    // what it replaces elsewhere, and a cap's plans are made for the weights that each operator reads.
    static bool may_expand(const EngineOptions& options, const Placement& placement);
    int64_t context() const { return options_.context; }

    // Runs `ids` of a prompt (1 to chunk of them) at positions position, position + 1, ... of the sequence; the cache
    // entries from there on are replaced. position + ids.size() <= context(). Ids are within the vocabulary.
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

    // For measurements at a depth that would take long to compute: rows [have, count) of all latent caches become
    // copies of the `have` >= 1 ones before, over and over.
    Status repeat_rows(int64_t have, int64_t count) { return executor_->repeat_rows(*plans_, have, count); }

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

    // Begins to make the plans of another placement, in the background; steps go on. Takes the place of one that was
    // begun and not committed. An error, such as a name that means no device, begins nothing.
    Status prepare(const Placement& to);
    // Between two steps, after prepare(): waits for the plans, moves the latent caches, goes on with the new plans and
    // gives the memory of the old ones back. What the last step gave (logits, traces) can't be read after it. After an
    // error all is as it was. Rows whose only copies were on a lost device are gone: see Swap::rows.
    Result<Swap> commit();
    // Between two steps: loads a plugin's library anew, from its file as it is now, and goes on with it where the old
    // one was used, which is given up. After an error all is as it was.
    Result<Swap> reload(const std::string& plugin);
    // What was prepared isn't wanted after all.
    void abandon() { building_.reset(); }
    // Whether there is something to commit().
    bool prepared() const { return building_ != nullptr; }
    const Placement& placement() const { return placement_; }
    // `placement` as far as it can still be: operators by name and lists for prompts without devices that failed.
    Placement without_failed(Placement placement);
    // After `error` in a step: goes on without the devices that failed, as commit() does with another placement, and
    // with operators that were placed on one of them by name wherever the rest of the placement has them; where a
    // kernel turned out to be none, without it. Gives `error` back when nothing of that is so, and says which operator
    // is left without a device when one is. What was prepared may want those devices, and is given up.
    Result<Swap> leave_failed(const Error& error);
    // Under options().check; else null.
    const conformance::Checker* checker() const { return checker_.get(); }

    // Whether logits of an id have the same bits from a verify() of it alone and from one of several: the devices
    // promise as much, and both run on the same ones.
    bool row_bits() const { return row_bits_; }

    // What ran where: "fp8_gemm" -> "cpu".  Several devices: "cpu,vulkan".
    std::map<std::string, std::string> where() const;
    // The plans' node reports, one line each.
    std::string explain() const;
    // Bytes each device holds: weights it reads, caches, activations; and the most it ever held. Of weights under a
    // cap: the most at a time.
    DeviceBytes bytes_by_device() const;
    DeviceBytes peak_bytes() const;
    // What was read to keep within the cap of options().memory; nothing where all weights fit.
    std::optional<PagerStats> paging() const;
    // Of a device with a cap that leaves room for some of a layer's experts.
    std::optional<SlotStats> slots() const;
    // Of which experts were used, for later runs of the model under a cap.
    void keep_statistics();
    // What is to be said once the run has succeeded, each thing once: of caps, under all plans that there were.
    const std::vector<std::string>& warnings() const { return warnings_; }

private:
    // In how many sizes of step a graph is planned: of a prompt's chunk in both forms of
    // attention, an id and its drafts, one id.
    enum Size : size_t { kChunk, kExpanded, kFew, kSingle, kSizes };
    struct Part {
        ModelGraph model;  // without a graph: not wanted
        int64_t max_tokens = 0;
        bool expanded = false;         // attention's form
        ValueId final_norm = kAbsent;  // what MTP modules read, if any will
    };
    // main (module 0) or an MTP module.
    struct Module {
        std::array<Part, kSizes> parts;
        Size last = kSingle;           // of the last step
        bool read = false;             // its outputs can be
        int64_t tokens = 0, rows = 0;  // of the last step
    };
    Engine() = default;
    std::string open_options() const;
    Result<Device*> trusted_device();
    Status make_checker();
    Result<Part> make_part(int module, int64_t max_tokens, int64_t max_rows, bool expanded = false);
    bool expands(const Placement& placement, const Preference& prompt) const;
    Status make_parts();
    Result<std::vector<PlanRequest>> requests(const Placement& placement);
    const Plan* plan(size_t module, Size size) const { return plans_->plan(module * kSizes + size).get(); }
    Size size_for(int module, size_t tokens, int64_t position) const;
    Status run(int module, Size size, std::span<const int32_t> ids, int64_t position, const std::byte* hidden);
    const Plan& last_plan(int module) const;
    Result<std::vector<float>> read_floats(int module, const std::string& name);
    std::vector<int64_t> rows_by_module(const std::map<std::string, int64_t>& rows) const;
    bool failed(const std::string& backend);
    std::vector<Health> health() const;  // of all devices that are open
    void exchange(std::unique_ptr<PlanSet> next);
    void note_peak(const DeviceBytes& bytes);
    std::vector<std::string> with_fallback(std::vector<std::string> backends);
    Device* capped(const std::string& name) const;
    ExpertStatistics& statistics();
    Status keep_within_caps(std::vector<PlanRequest>& requests);
    Replan replan();
    void note_found_room();
    void use_slots();
    bool find_row_bits() const;
    Status check_caps() const;
    void warn(std::string text);
    void limit_memory();
    uint64_t bytes_beside_weights(const Device& device) const;
    std::set<const std::byte*> weights_on(const Device& device) const;
    // Of modules in order, in each the sizes in order.
    template <class F>
    void each_plan(F visit) const {
        for (size_t m = 0; m < modules_.size(); ++m)
            for (const Size size : {kChunk, kExpanded, kFew, kSingle})
                if (const Plan* there = plan(m, size)) visit(*there, modules_[m].parts[size]);
    }

    std::shared_ptr<const Checkpoint> checkpoint_;
    Registry* registry_ = nullptr;
    EngineOptions options_;
    Placement placement_, wanted_;  // in force, and of what is being built
    std::vector<double> inv_freq_;
    std::vector<Module> modules_;  // [0] main, [k] MTP module k
    std::unique_ptr<PlanSet> plans_;
    std::unique_ptr<conformance::Checker> checker_;
    std::unique_ptr<Executor> executor_;
    std::unique_ptr<ExpertStatistics> statistics_;  // once there is a cap
    std::unique_ptr<FoundRoom> found_room_;
    std::unique_ptr<PlanBuilder> building_;              // may use found_room_
    std::pair<Device*, uint64_t> slots_, slots_wanted_;  // room for them under the plans in force, and those being made
    DeviceBytes peak_;
    bool prompt_ = true;  // the last step of the main model was of a prompt
    bool row_bits_ = false;
    std::vector<std::string> warnings_;
    int64_t position_ = 0;           // of the last step
    std::vector<std::byte> hidden_;  // final_norm of the last step of a module, for the next one
};

template <>
Result<std::vector<float>> Engine::traced<float>(const std::string& name);
template <>
Result<std::vector<int32_t>> Engine::traced<int32_t>(const std::string& name);

}  // namespace vks
