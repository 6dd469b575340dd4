// The CPU plugin's pool: every item once, by one thread at a time under each worker number; callers may be many or
// nested.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "plugins/cpu/pool.h"

namespace vks::cpu {
namespace {

TEST(CpuPool, CoversEveryItemOnce) {
    for (int threads : {1, 2, 3, 5}) {
        Pool pool(threads);
        EXPECT_EQ(pool.threads(), threads);
        for (int64_t count : {0, 1, 2, 7, 64, 1000}) {
            for (int64_t grain : {1, 3, 64, 5000}) {
                std::vector<std::atomic<int>> seen(static_cast<size_t>(count));
                std::vector<std::atomic<int>> inside(static_cast<size_t>(threads));
                std::atomic<bool> sound{true};
                pool.parallel_for(count, grain, [&](int64_t first, int64_t last, int worker) {
                    if (worker < 0 || worker >= threads || ++inside[static_cast<size_t>(worker)] != 1) sound = false;
                    if (first % grain != 0 || (last % grain != 0 && last != count) || first >= last) sound = false;
                    for (int64_t i = first; i < last; ++i) ++seen[static_cast<size_t>(i)];
                    --inside[static_cast<size_t>(worker)];
                });
                EXPECT_TRUE(sound);
                for (const auto& times : seen) ASSERT_EQ(times, 1);
            }
        }
    }
}

TEST(CpuPool, ManyShortRegions) {
    Pool pool(3);
    std::vector<int64_t> data(300);
    for (int round = 0; round < 20000; ++round) {
        pool.parallel_for(300, 16, [&](int64_t first, int64_t last, int) {
            for (int64_t i = first; i < last; ++i) data[static_cast<size_t>(i)] += i;
        });
    }
    for (size_t i = 0; i < data.size(); ++i) ASSERT_EQ(data[i], 20000 * static_cast<int64_t>(i));
}

TEST(CpuPool, WorkersWakeAfterSleeping) {
    Pool pool(2);
    for (int round = 0; round < 20; ++round) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        std::atomic<int64_t> sum{0};
        pool.parallel_for(1000, 1, [&](int64_t first, int64_t last, int) {
            for (int64_t i = first; i < last; ++i) sum += i;
        });
        ASSERT_EQ(sum, 999 * 500);
    }
}

// Of each thread in order, none before or after its region; taken out piece by piece.
TEST(CpuPool, NotesWhenThreadsWorkIfAsked) {
    Pool pool(3);
    const auto region = [&] { pool.parallel_for(100, 1, [](int64_t, int64_t, int) {}); };
    const auto now = [] {
        return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
    };
    std::vector<Pool::Span> spans(1);
    region();
    EXPECT_EQ(pool.take_times(spans), 0U);
    pool.note_times(true);
    const int64_t begin = now();
    for (int i = 0; i < 5; ++i) region();
    const int64_t end = now();
    std::vector<int64_t> last(3, begin);
    size_t taken = 0;
    for (; pool.take_times(spans) == 1; ++taken) {
        ASSERT_TRUE(spans[0].worker >= 0 && spans[0].worker < 3);
        int64_t& before = last[static_cast<size_t>(spans[0].worker)];
        EXPECT_LE(before, spans[0].begin);
        EXPECT_LE(spans[0].begin, spans[0].end);
        EXPECT_LE(spans[0].end, end);
        before = spans[0].end;
    }
    EXPECT_TRUE(taken >= 5 && taken <= 15) << taken;
    pool.note_times(false);
    region();
    EXPECT_EQ(pool.take_times(spans), 0U);
}

TEST(CpuPool, NestedCallsRunInline) {
    Pool pool(3), other(2);
    std::atomic<int64_t> items{0};
    std::atomic<bool> sound{true};
    pool.parallel_for(12, 1, [&](int64_t from, int64_t to, int worker) {
        const auto thread = std::this_thread::get_id();
        for (int64_t i = from; i < to; ++i) {
            pool.parallel_for(10, 3, [&](int64_t first, int64_t last, int nested) {
                if (nested != worker || std::this_thread::get_id() != thread) sound = false;
                items += last - first;
            });
            other.parallel_for(4, 1, [&](int64_t first, int64_t last, int) { items += last - first; });
        }
    });
    EXPECT_TRUE(sound);
    EXPECT_EQ(items, 12 * 14);
}

TEST(CpuPool, ConcurrentCallersTakeTurns) {
    Pool pool(2);
    std::atomic<int> regions{0};
    std::vector<std::thread> callers;
    for (int c = 0; c < 3; ++c) {
        callers.emplace_back([&] {
            for (int round = 0; round < 500; ++round) {
                std::vector<int> seen(40);
                pool.parallel_for(40, 1, [&](int64_t first, int64_t last, int) {
                    for (int64_t i = first; i < last; ++i) ++seen[static_cast<size_t>(i)];
                });
                if (seen == std::vector<int>(40, 1)) ++regions;
            }
        });
    }
    for (auto& caller : callers) caller.join();
    EXPECT_EQ(regions, 1500);
}

TEST(CpuPool, UsableCores) {
    EXPECT_GE(usable_cores(), 1);
    EXPECT_LE(usable_cores(), static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace vks::cpu
