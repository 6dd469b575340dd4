// An engine on the CPU plugin for tests below the program.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "frontend/gen/engine.h"
#include "tests/support/paths.h"
#include "tests/support/plugins.h"

namespace vks::test {

struct TestEngine {
    std::unique_ptr<Registry> registry;
    std::unique_ptr<Engine> engine;
};

// Under f32 unless told; `dir` holds the checkpoint. Aborts the test program when there is none to be had.
inline TestEngine test_engine(const std::filesystem::path& dir, EngineOptions options,
                              const std::vector<std::filesystem::path>& plugins = {cpu_dir()}, bool half = false) {
    auto checkpoint = Checkpoint::open(dir);
    CHECK(checkpoint, "{}", checkpoint.error().text);
    options.half = half;
    if (options.placement == Placement()) options.placement.backends = {"cpu"};
    options.threads = 1;
    TestEngine made;
    made.registry = std::make_unique<Registry>(plugins);
    auto engine =
        Engine::create(std::make_shared<const Checkpoint>(*std::move(checkpoint)), *made.registry, options, nullptr);
    CHECK(engine, "{}", engine.error().text);
    made.engine = *std::move(engine);
    return made;
}

// With `modules` MTP modules and up to `draft` drafts a step.
inline TestEngine drafting_engine(const std::filesystem::path& dir, int modules, int64_t draft, int64_t context = 128) {
    EngineOptions options;
    options.mtp = modules;
    options.draft = draft;
    options.context = context;
    return test_engine(dir, options);
}

// Models with MTP modules.
struct DraftingModel {
    const char* name;
    const char* dir;  // absolute, or below the goldens
    int modules;
    std::filesystem::path path() const {
        const std::filesystem::path given = dir;
        return given.is_absolute() ? given : data(dir);
    }
};
inline const DraftingModel kMicro = {"micro", "micro-mtp2/checkpoint", 2}, kNano = {"nano", "nano-fp8/checkpoint", 1},
                           kBf16 = {"bf16", "nano-bf16/checkpoint", 1}, kDemo = {"demo", VKS_DEMO_MODEL, 1};
inline const auto drafting_models = testing::Values(kMicro, kNano, kDemo);
inline void PrintTo(const DraftingModel& model, std::ostream* out) {
    *out << model.name;
}
inline std::string drafting_name(const testing::TestParamInfo<DraftingModel>& info) {
    return info.param.name;
}

}  // namespace vks::test
