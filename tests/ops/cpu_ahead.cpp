// What a stream of the CPU plugin says will be read next: that, as soon as a step's launches repeat, and nothing that
// may be gone or isn't decided yet.
#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "plugins/cpu/ahead.h"
#include "plugins/cpu/device.h"

namespace vks::cpu {
namespace {

// Of every weights() call: the kernel, as its first argument's address, and the thread.
std::vector<std::pair<const void*, int64_t>>& calls() {
    static std::vector<std::pair<const void*, int64_t>> list;
    return list;
}
// Two pieces for each thread, at addresses that say whose.
Range weights(const Call& call, int64_t thread, int64_t threads, int64_t piece) {
    EXPECT_EQ(threads, 3);
    calls().emplace_back(call.args.data(), thread);
    if (piece > 1) return {};
    return {reinterpret_cast<const std::byte*>(call.args.data()) + 2 * thread + piece, 400000};
}

const Op kSmall = {"small/1", 0, nullptr, 1, {}};
const Op kDense = {"dense/1", 0, nullptr, 1, {}, weights};
const Op kLists = {"lists/1", 0, nullptr, 1, {}, weights, true};
const Op kComputes = {"computes/1", 0, nullptr, 1, {}, nullptr, false, true};

class CpuAhead : public testing::Test {
protected:
    vks_kernel& kernel(const Op& op, int64_t rows = 1) {
        kernels_.push_back(std::make_unique<vks_kernel>());
        vks_kernel& k = *kernels_.back();
        k.device = &device_;
        k.op = &op;
        k.bound.args = {Arg{VKS_F32, 2, {rows, 1}, nullptr}};
        k.bound.given.resize(1);
        return k;
    }
    // Launches them; "2" for each that the pool was told to read next, "-" where it was told nothing.
    std::string launch(const std::vector<vks_kernel*>& order) {
        std::string told;
        for (const vks_kernel* k : order) {
            calls().clear();
            ahead_.launched(*k);
            if (calls().empty()) {
                told += '-';
                continue;
            }
            EXPECT_EQ(calls().size(), 2u);  // the workers
            for (size_t i = 0; i < order.size(); ++i)
                if (calls()[0].first == order[i]->bound.args.data()) told += static_cast<char>('0' + i);
        }
        return told;
    }

    vks_device device_{3};
    Ahead ahead_;
    std::vector<std::unique_ptr<vks_kernel>> kernels_;
};

TEST_F(CpuAhead, WhatCameLastTime) {
    const std::vector<vks_kernel*> order = {&kernel(kSmall), &kernel(kDense), &kernel(kSmall), &kernel(kDense),
                                            &kernel(kLists), &kernel(kSmall), &kernel(kLists), &kernel(kSmall)};
    EXPECT_EQ(launch(order), "--------");
    for (int step = 0; step < 3; ++step) {
        ahead_.submitted();
        // Not 4, whose lists 3 or what comes before may still write; after 6 the next step's first.
        EXPECT_EQ(launch(order), "13--6-1-");
    }
}

TEST_F(CpuAhead, SeveralStepsInTurn) {
    const std::vector<vks_kernel*> one = {&kernel(kDense), &kernel(kSmall), &kernel(kDense)};
    const std::vector<vks_kernel*> two = {&kernel(kDense), &kernel(kDense)};
    for (const auto& step : {one, two}) {
        launch(step);
        ahead_.submitted();
        ahead_.submitted();  // nothing between: not a step
    }
    for (int round = 0; round < 2; ++round) {
        EXPECT_EQ(launch(one), "2-0");
        ahead_.submitted();
        EXPECT_EQ(launch(two), "10");
        ahead_.submitted();
    }
}

// More than are kept: the oldest is forgotten.
TEST_F(CpuAhead, FiveSteps) {
    std::vector<std::vector<vks_kernel*>> steps;
    for (int i = 0; i < 5; ++i) steps.push_back({&kernel(kDense), &kernel(kDense)});
    for (const auto& step : steps) {
        launch(step);
        ahead_.submitted();
    }
    for (int i = 4; i > 0; --i) {
        EXPECT_EQ(launch(steps[static_cast<size_t>(i)]), "10");
        ahead_.submitted();
    }
    EXPECT_EQ(launch(steps[0]), "--");
}

TEST_F(CpuAhead, AnotherOrderSaysNothing) {
    vks_kernel &a = kernel(kDense), &b = kernel(kDense), &c = kernel(kDense);
    launch({&a, &b, &c});
    ahead_.submitted();
    EXPECT_EQ(launch({&a, &c, &b}), "2--");  // b was to come after a
    ahead_.submitted();
    EXPECT_EQ(launch({&a, &c, &b}), "120");
}

TEST_F(CpuAhead, NothingThatMayBeGone) {
    vks_kernel &a = kernel(kDense), &b = kernel(kDense);
    launch({&a, &b});
    ahead_.submitted();
    ++device_.freed;
    EXPECT_EQ(launch({&a, &b}), "--");
    ahead_.submitted();
    EXPECT_EQ(launch({&a, &b}), "--");  // bound before that
    a.bound.freed = b.bound.freed = device_.freed;
    ahead_.submitted();
    EXPECT_EQ(launch({&a, &b}), "10");
}

// What was launched may be destroyed before it is submitted.
TEST_F(CpuAhead, KernelsThatAreGoneWhenSubmitted) {
    const std::vector<vks_kernel*> order = {&kernel(kDense), &kernel(kSmall), &kernel(kDense)};
    launch(order);
    for (vks_kernel* k : order) k->op = nullptr;
    ++device_.freed;
    ahead_.submitted();
    EXPECT_EQ(launch({&kernel(kDense), &kernel(kDense)}), "--");
}

// Somebody is about to free something: it isn't waited for.
TEST_F(CpuAhead, NothingThatIsBeingFreed) {
    vks_kernel &a = kernel(kDense), &b = kernel(kDense), &c = kernel(kComputes);
    launch({&c, &a, &b});
    ahead_.submitted();
    {
        const std::lock_guard lock(device_.freeing);
        std::string told;
        size_t listed = 0;
        std::thread([&] {  // a lock is not tried for by the thread that has it
            for (const Ranges& ranges : ahead_.launched(c)) listed += ranges.count;
            told = launch({&a, &b});
        })
            .join();
        EXPECT_EQ(told, "--");
        EXPECT_EQ(listed, 0u);
    }
    ahead_.submitted();
    EXPECT_FALSE(ahead_.launched(c)[0].count == 0);
}

// What is looked into can't be freed meanwhile.
TEST_F(CpuAhead, FreeingWaits) {
    static vks_device* device;
    static int looks;
    device = &device_;
    looks = 0;
    const Op watched = {"watched/1", 0, nullptr, 1, {}, [](const Call&, int64_t, int64_t, int64_t) {
                            ++looks;
                            std::thread([] {
                                const std::unique_lock lock(device->freeing, std::try_to_lock);
                                EXPECT_FALSE(lock.owns_lock());
                            }).join();
                            return Range{};
                        }};
    vks_kernel &a = kernel(kComputes), &b = kernel(watched);
    for (int step = 0; step < 2; ++step) {
        launch({&a, &b});
        ahead_.submitted();
    }
    EXPECT_GT(looks, 0);
    device_.forget();  // nobody holds it any more
}

// A stream that is never submitted, or late: nothing is learned of it, but of the next.
TEST_F(CpuAhead, TooManyLaunches) {
    vks_kernel &a = kernel(kDense), &b = kernel(kDense);
    std::vector<vks_kernel*> many;
    for (int i = 0; i < 5000; ++i) many.insert(many.end(), {&a, &b});
    for (int step = 0; step < 2; ++step) {
        EXPECT_EQ(launch(many), std::string(many.size(), '-'));
        ahead_.submitted();
    }
    EXPECT_EQ(launch({&a, &b}), "--");
    ahead_.submitted();
    EXPECT_EQ(launch({&a, &b}), "10");
}

TEST_F(CpuAhead, NotForManyRows) {
    vks_kernel &a = kernel(kDense, 25), &b = kernel(kDense, 24);
    launch({&a, &b});
    ahead_.submitted();
    EXPECT_EQ(launch({&a, &b}), "1-");
}

// An operator that computes hears of both pieces of each that reads behind it: 0.8 MB a thread of the first, as much of
// the second, then it is enough; and of nothing behind lists.
TEST_F(CpuAhead, WhatIsReadAfterComputing) {
    vks_kernel &a = kernel(kComputes), &b = kernel(kDense), &c = kernel(kSmall), &d = kernel(kDense),
               &e = kernel(kDense);
    for (const vks_kernel* k : {&a, &b, &c, &d, &e}) EXPECT_TRUE(ahead_.launched(*k).empty());
    ahead_.submitted();
    const std::span<const Ranges> lists = ahead_.launched(a);
    ASSERT_EQ(lists.size(), 3u);
    for (size_t thread = 0; thread < 3; ++thread) {
        const Ranges& ranges = lists[thread];
        ASSERT_EQ(ranges.count, 4u) << thread;
        for (size_t i = 0; i < 4; ++i) {
            const void* base = (i < 2 ? b : d).bound.args.data();
            EXPECT_EQ(ranges.list[i].data, static_cast<const std::byte*>(base) + 2 * thread + i % 2);
        }
    }
    EXPECT_TRUE(ahead_.launched(b).empty());  // reads itself

    ahead_.submitted();
    vks_kernel &f = kernel(kComputes), &g = kernel(kLists);
    for (const vks_kernel* k : {&f, &g, &b}) ahead_.launched(*k);
    ahead_.submitted();
    for (const Ranges& ranges : ahead_.launched(f)) EXPECT_EQ(ranges.count, 0u);
}

TEST(CpuAheadParts, CoverTheRows) {
    std::vector<std::byte> memory(60);
    const Arg w{VKS_BF16, 2, {10, 3}, memory.data()};
    const std::byte* at = memory.data() + 6;  // from row 1 on
    for (int64_t thread = 0; thread < 4; ++thread) {
        const Range part = part_of(w, 1, 9, thread, 4);
        EXPECT_EQ(part.data, at);
        at += part.bytes;
    }
    EXPECT_EQ(at, memory.data() + 60);
}

}  // namespace
}  // namespace vks::cpu
