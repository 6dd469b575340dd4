// A plugin's library loaded anew beside the one in use: the registry's part, and an engine that goes on with it.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/temp_dir.h"
#include "tests/unit/gen/test_engine.h"

namespace vks {
namespace {

namespace fs = std::filesystem;

// A file is replaced as a linker or package manager does it: the old one's bytes stay what they are.
void put(const fs::path& path, const std::string& bytes) {
    const fs::path fresh = path.string() + ".new";
    test::write_bytes(fresh, bytes);
    fs::rename(fresh, path);
}

class Reloading : public testing::Test {
protected:
    Reloading() { put(path_, good_); }

    // The plugin's file as if its source had another version.
    std::string rebuilt() {
        Registry registry({mine_.path()});
        const std::string build = registry.plugins()[0]->build;
        std::string other = build, bytes = good_;
        other.back() = other.back() == '9' ? '8' : '9';
        const size_t at = bytes.find(build + '\0');
        CHECK(at != std::string::npos, "{} is not in the file", build);
        bytes.replace(at, build.size(), other);
        return bytes;
    }
    std::string build(Registry& registry) { return registry.plugins()[0]->build; }

    const test::TempDir mine_;
    const fs::path path_ = mine_ / "libvkseek_cpu.so";
    const std::string good_ = test::read_bytes(test::cpu_dir() / "libvkseek_cpu.so");
};

TEST_F(Reloading, NamesMeanTheNewDevices) {
    const std::string other = rebuilt();
    Registry registry({mine_.path()});
    const std::string before = build(registry);
    Device* const old = *registry.open(*registry.select("cpu")->front(), "threads=1");
    put(path_, other);
    ASSERT_TRUE(registry.replace("cpu"));
    EXPECT_EQ(registry.replaced(), std::vector<Device*>{old});
    EXPECT_NE(build(registry), before);
    Device* const fresh = *registry.open(*registry.select("cpu")->front(), "threads=1");
    EXPECT_NE(fresh, old);
    EXPECT_NE(&fresh->plugin(), &old->plugin());
    EXPECT_EQ(fresh->id(), "cpu");
    EXPECT_EQ(registry.opened().size(), 2u);
    registry.retire();
    ASSERT_EQ(registry.opened().size(), 1u);
    EXPECT_EQ(registry.opened()[0]->device.get(), fresh);
}

TEST_F(Reloading, OrTheOldOnesAgain) {
    Registry registry({mine_.path()});
    const std::string before = build(registry);
    Device* const old = *registry.open(*registry.select("cpu")->front(), "threads=1");
    ASSERT_TRUE(registry.replace("cpu"));
    ASSERT_TRUE(registry.open(*registry.select("cpu")->front(), "threads=1"));
    registry.restore();
    EXPECT_EQ(*registry.open(*registry.select("cpu")->front(), ""), old);
    EXPECT_EQ(registry.opened().size(), 1u);
    EXPECT_EQ(build(registry), before);
}

TEST_F(Reloading, ARefusedFileChangesNothing) {
    Registry registry({mine_.path()});
    Device* const old = *registry.open(*registry.select("cpu")->front(), "threads=1");
    const auto refused = [&](const std::string& plugin) {
        const Status status = registry.replace(plugin);
        EXPECT_FALSE(status);
        EXPECT_EQ(*registry.open(*registry.select("cpu")->front(), ""), old);
        return status ? "" : status.error().text;
    };
    EXPECT_EQ(refused("vulkan"), "plugin (vulkan): wanted one of cpu, found another");
    put(path_, "no library");
    EXPECT_TRUE(refused("cpu").starts_with("plugin (" + path_.string() + "): "));
    put(path_, good_.substr(0, good_.size() / 2));
    EXPECT_NE(refused("cpu"), "");
    put(path_, test::read_bytes(test::test_dir() / "libvkseek_remote.so"));
    EXPECT_TRUE(refused("cpu").ends_with("plugin name: wanted cpu, found remote"));
    fs::remove(path_);
    EXPECT_NE(refused("cpu"), "");
    put(path_, good_);
    EXPECT_TRUE(registry.replace("cpu"));
}

// One that was no library when the program started.
TEST_F(Reloading, WhatWasRefusedBefore) {
    put(path_, "no library");
    Registry registry({mine_.path()});
    EXPECT_FALSE(registry.select("cpu"));
    put(path_, good_);
    ASSERT_TRUE(registry.replace("cpu"));
    registry.retire();
    EXPECT_TRUE(registry.open(*registry.select("cpu")->front(), "threads=1"));
}

TEST_F(Reloading, AnEngineGoesOnWithIt) {
    EngineOptions options;
    options.context = 32;
    const auto model = test::data("nano-fp8/checkpoint");
    const auto stays = test::test_engine(model, options), moves = test::test_engine(model, options, {mine_.path()});
    const std::string other = rebuilt(), before = build(*moves.registry);
    const std::vector<int32_t> prompt{5, 9, 2, 7};
    const auto same_step = [&](int64_t position) {
        for (Engine* engine : {stays.engine.get(), moves.engine.get()}) {
            const int32_t id = 3;
            ASSERT_TRUE(engine->verify({&id, 1}, position));
        }
        EXPECT_EQ(*moves.engine->logits(), *stays.engine->logits());
    };
    ASSERT_TRUE(stays.engine->step(prompt, 0));
    ASSERT_TRUE(moves.engine->step(prompt, 0));
    put(path_, "no library");
    EXPECT_FALSE(moves.engine->reload("cpu"));
    same_step(4);
    put(path_, other);
    const auto swap = moves.engine->reload("cpu");
    ASSERT_TRUE(swap) << swap.error().text;
    EXPECT_TRUE(swap->changed);
    EXPECT_EQ(swap->rows, std::vector<int64_t>{5});
    EXPECT_EQ(swap->after, swap->before);
    EXPECT_NE(build(*moves.registry), before);
    EXPECT_EQ(moves.registry->opened().size(), 1u);
    same_step(5);
    put(path_, good_);
    ASSERT_TRUE(moves.engine->reload("cpu"));
    EXPECT_EQ(build(*moves.registry), before);
    same_step(6);
}

// What is checked, and what isn't as it runs on the CPU plugin, goes by the library in use.
TEST_F(Reloading, ChecksGoOnWithIt) {
    const std::string other = rebuilt();
    for (const std::string backend : {"cpu", "remote"}) {
        SCOPED_TRACE(backend);
        put(path_, good_);
        EngineOptions options;
        options.context = 32;
        options.check = 1;
        options.placement.backends = {backend, "cpu"};
        const auto made =
            test::test_engine(test::data("nano-fp8/checkpoint"), options, {mine_.path(), test::test_dir()});
        Engine& engine = *made.engine;
        int64_t position = 0;
        const auto steps = [&] {
            for (const int32_t id : {5, 9, 2, 7}) ASSERT_TRUE(engine.verify({&id, 1}, position++));
        };
        const auto checked = [&] { return engine.checker()->checked(); };
        steps();
        EXPECT_EQ(checked(), backend == "cpu" ? 0 : 4);
        put(path_, "no library");
        ASSERT_FALSE(engine.reload("cpu"));
        steps();
        EXPECT_EQ(checked(), backend == "cpu" ? 0 : 8);
        put(path_, other);
        const auto swap = engine.reload("cpu");
        ASSERT_TRUE(swap) << swap.error().text;
        steps();
        EXPECT_EQ(checked(), backend == "cpu" ? 0 : 12);
        EXPECT_TRUE(engine.checker()->disagreements().empty());
    }
}

}  // namespace
}  // namespace vks
