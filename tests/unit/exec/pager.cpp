// Residency of ranges of a file: within the budget, by use, and right whatever is resident.
#include "backend/exec/pager.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include "tests/support/temp_dir.h"

namespace vks {
namespace {

constexpr uint64_t kBytes = 16384;  // of a range; whole pages
constexpr size_t kRanges = 8;

class PagerTest : public testing::Test {
protected:
    PagerTest() {
        std::string text;
        for (size_t i = 0; i < kRanges; ++i) text.append(kBytes, static_cast<char>('a' + i));
        test::write_bytes(dir_ / "f", text);
        file_.emplace(*FileMap::open(dir_ / "f"));
    }
    void add(Pager& pager, RangeUse use) {
        for (size_t i = 0; i < kRanges; ++i) {
            EXPECT_EQ(pager.add(*file_, file_->data() + i * kBytes, kBytes, use), i);
        }
    }
    // Holds and releases these, one after the other, and looks at their bytes.
    void use(Pager& pager, std::initializer_list<Pager::Range> ranges) {
        for (const Pager::Range range : ranges) {
            const Status held = pager.hold({&range, 1});
            ASSERT_TRUE(held) << held.error().text;
            EXPECT_EQ(file_->data()[range * kBytes + 5], static_cast<std::byte>('a' + range));
            pager.release({&range, 1});
        }
    }
    uint64_t reads(Pager& pager) { return pager.stats().bytes_read / kBytes; }

    test::TempDir dir_;
    std::optional<FileMap> file_;
};

TEST_F(PagerTest, ReadsOnceWhatFits) {
    Pager pager(kRanges * kBytes, 2);
    add(pager, RangeUse::kCached);
    for (int round = 0; round < 3; ++round) use(pager, {0, 1, 2, 3, 4, 5, 6, 7});
    EXPECT_EQ(reads(pager), kRanges);
    EXPECT_EQ(pager.stats().cached_uses, 3 * kRanges);
    EXPECT_EQ(pager.stats().cached_hits, 2 * kRanges);
}

TEST_F(PagerTest, KeepsWithinTheBudget) {
    Pager pager(3 * kBytes, 3);
    add(pager, RangeUse::kCached);
    for (int round = 0; round < 5; ++round) use(pager, {0, 1, 2, 3, 4, 5, 6, 7});
    EXPECT_LE(pager.stats().peak_bytes, 3 * kBytes);
}

TEST_F(PagerTest, WhatIsUsedOftenStays) {
    Pager pager(3 * kBytes, 1);
    add(pager, RangeUse::kCached);
    use(pager, {0, 0, 0, 1, 1, 1});
    const uint64_t before = reads(pager);
    use(pager, {2, 0, 1, 3, 0, 1, 4, 0, 1});  // the strangers give way to each other
    EXPECT_EQ(reads(pager), before + 3);
    for (int round = 0; round < 20; ++round) use(pager, {5, 6, 7});  // until what was used long ago has aged
    const uint64_t aged = reads(pager);
    use(pager, {5, 6, 7, 5, 6, 7});
    EXPECT_EQ(reads(pager), aged);
}

TEST_F(PagerTest, PinnedStayAndStreamedGoFirst) {
    Pager pager(3 * kBytes, 1);
    pager.add(*file_, file_->data(), kBytes, RangeUse::kPinned);
    pager.add(*file_, file_->data() + kBytes, kBytes, RangeUse::kCached);
    for (size_t i = 2; i < kRanges; ++i) pager.add(*file_, file_->data() + i * kBytes, kBytes, RangeUse::kStreamed);
    for (int round = 0; round < 3; ++round) use(pager, {0, 1, 2, 3, 4, 5, 6, 7});
    EXPECT_EQ(pager.stats().pinned_bytes, kBytes);
    EXPECT_EQ(reads(pager), 2 + 3 * 6u);
}

TEST_F(PagerTest, HoldsMoreThanTheBudgetIfItMust) {
    Pager pager(kBytes / 2, 2);
    add(pager, RangeUse::kCached);
    const std::array<Pager::Range, 4> all = {3, 1, 4, 6};
    ASSERT_TRUE(pager.hold(all));
    EXPECT_EQ(file_->data()[4 * kBytes], std::byte{'e'});
    pager.release(all);
    EXPECT_EQ(pager.stats().peak_bytes, 4 * kBytes);
    use(pager, {3, 1, 4, 6});
    EXPECT_EQ(reads(pager), 8u);
}

TEST_F(PagerTest, WantedAheadIsThereInOrder) {
    Pager pager(2 * kBytes, 2);
    add(pager, RangeUse::kCached);
    const std::array<Pager::Range, 5> soon = {7, 6, 5, 4, 3};
    pager.want(soon);
    use(pager, {7, 6, 5, 4, 3});
    EXPECT_EQ(reads(pager), 5u);
    EXPECT_LE(pager.stats().peak_bytes, 2 * kBytes);
}

// With and without io_uring.
class PagerReading : public PagerTest, public testing::WithParamInterface<Pager::Reading> {};

// Pages that are given back are gone from the process; mincore() would count the page cache.
TEST_P(PagerReading, GivesMemoryBack) {
    constexpr size_t kLarge = size_t{32} << 20;
    std::string large(kLarge, 'x');
    test::write_bytes(dir_ / "large", large);
    const auto file = FileMap::open(dir_ / "large");
    ASSERT_TRUE(file);
    constexpr uint64_t kPart = uint64_t{4} << 20;
    Pager pager(kPart, 2, GetParam());
    for (uint64_t at = 0; at < kLarge; at += kPart) pager.add(*file, file->data() + at, kPart, RangeUse::kCached);
    std::string().swap(large);
    const auto resident = []() -> uint64_t {
        const std::string statm = test::read_bytes("/proc/self/statm");
        const size_t second = statm.find(' ');
        return std::stoull(statm.substr(second)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    };
    const uint64_t before = resident();
    uint64_t most = 0;
    for (Pager::Range range = 0; range < kLarge / kPart; ++range) {
        ASSERT_TRUE(pager.hold({&range, 1}));
        most = std::max(most, resident());
        pager.release({&range, 1});
    }
    // What is being given back counts for a moment, and so does a sanitizer's shadow of it. Nothing given back would
    // be 8.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    constexpr uint64_t kAtOnce = 7;
#else
    constexpr uint64_t kAtOnce = 4;
#endif
    EXPECT_GE(most, before + kPart / 2);
    EXPECT_LE(most, before + kAtOnce * kPart);
}

// What is read past the page cache is what the file has, at any offset, as often as it comes and goes; and so it is
// when the pager is gone.
TEST_P(PagerReading, LargeRangesHaveTheirBytes) {
    constexpr size_t kLarge = 3'000'001, kCount = 5;
    std::string text(kLarge * kCount, '\0');
    for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>((i * 2654435761u) >> 13);
    test::write_bytes(dir_ / "large", text);
    const auto file = FileMap::open(dir_ / "large");
    ASSERT_TRUE(file);
    const auto right = [&](size_t range) {
        return std::memcmp(file->data() + range * kLarge, text.data() + range * kLarge, kLarge) == 0;
    };
    {
        Pager pager(2 * kLarge, 2, GetParam());
        for (size_t i = 0; i < kCount; ++i) pager.add(*file, file->data() + i * kLarge, kLarge, RangeUse::kCached);
        for (const Pager::Range range : {0u, 1u, 2u, 0u, 3u, 4u, 4u, 1u, 0u, 2u}) {
            ASSERT_TRUE(pager.hold({&range, 1}));
            EXPECT_TRUE(right(range)) << range;
            pager.release({&range, 1});
            EXPECT_TRUE(right((range + 1) % kCount)) << range;  // there or not
        }
        EXPECT_LE(pager.stats().peak_bytes, 2 * kLarge);
    }
    for (size_t i = 0; i < kCount; ++i) EXPECT_TRUE(right(i)) << i;
}

// What is late in being given back doesn't take what was read anew.
TEST_P(PagerReading, LargeRangesComeAndGoFast) {
    constexpr size_t kLarge = 300'001, kCount = 12;
    std::string text(kLarge * kCount, '\0');
    for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i / kLarge + 1);
    test::write_bytes(dir_ / "large", text);
    const auto file = FileMap::open(dir_ / "large");
    ASSERT_TRUE(file);
    Pager pager(2 * kLarge, 1, GetParam());
    for (size_t i = 0; i < kCount; ++i) pager.add(*file, file->data() + i * kLarge, kLarge, RangeUse::kCached);
    for (Pager::Range round = 0; round < 200; ++round) {
        const Pager::Range range = round * 7 % 3;
        ASSERT_TRUE(pager.hold({&range, 1}));
        ASSERT_EQ(std::memcmp(file->data() + range * kLarge, text.data() + range * kLarge, kLarge), 0) << round;
        pager.release({&range, 1});
    }
}

// Others read the same addresses meanwhile: a builder of another plan, a check. They find the file's bytes, whether
// these come, are there or go.
TEST_P(PagerReading, OthersAlwaysFindTheFilesBytes) {
    constexpr size_t kLarge = size_t{1} << 20, kCount = 4;
    test::write_bytes(dir_ / "large", std::string(kLarge * kCount, 'x'));
    const auto file = FileMap::open(dir_ / "large");
    ASSERT_TRUE(file);
    Pager pager(kLarge, 1, GetParam());
    for (size_t i = 0; i < kCount; ++i) pager.add(*file, file->data() + i * kLarge, kLarge, RangeUse::kCached);
    std::atomic<bool> over{false};
    std::atomic<uint64_t> wrong{0};
    std::thread other([&] {
        while (!over.load())
            for (size_t at = 0; at < kLarge * kCount; at += 4096) wrong += file->data()[at] == std::byte{'x'} ? 0 : 1;
    });
    for (Pager::Range round = 0; round < 300; ++round) {
        const Pager::Range range = round % kCount;
        EXPECT_TRUE(pager.hold({&range, 1}));
        pager.release({&range, 1});
    }
    over = true;
    other.join();
    EXPECT_EQ(wrong.load(), 0u);
}

TEST_P(PagerReading, SaysThatALargeRangeWasCut) {
    constexpr size_t kLarge = size_t{4} << 20;
    test::write_bytes(dir_ / "large", std::string(kLarge, 'x'));
    const auto file = FileMap::open(dir_ / "large");
    ASSERT_TRUE(file);
    Pager pager(kLarge, 2, GetParam());
    const Pager::Range range = pager.add(*file, file->data(), kLarge, RangeUse::kCached);
    std::filesystem::resize_file(dir_ / "large", kLarge / 2);
    const Status held = pager.hold({&range, 1});
    ASSERT_FALSE(held);
    EXPECT_NE(held.error().text.find("wanted 4194304 bytes"), std::string::npos) << held.error().text;
}

// Bytes that were to be read past the page cache.
std::atomic<uint64_t> asked_for{0};
ssize_t refuse(int, void*, size_t bytes, off_t) {
    asked_for += bytes;
    errno = EINVAL;
    return -1;
}

// Some file systems let a file be opened for direct reads, and refuse each.
TEST_F(PagerTest, ReadsAsOthersDoWhatCannotBeReadDirectly) {
    constexpr size_t kLarge = 3'000'001, kCount = 4;
    std::string text(kLarge * kCount, '\0');
    for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>((i * 2654435761u) >> 13);
    test::write_bytes(dir_ / "large", text);
    const auto file = FileMap::open(dir_ / "large");
    ASSERT_TRUE(file);
    asked_for = 0;
    Pager pager(2 * kLarge, 1, Pager::Reading::kThreads, {.read = refuse});
    for (size_t i = 0; i < kCount; ++i) pager.add(*file, file->data() + i * kLarge, kLarge, RangeUse::kCached);
    for (const Pager::Range range : {0u, 1u, 2u, 0u, 3u}) {
        const Status held = pager.hold({&range, 1});
        ASSERT_TRUE(held) << held.error().text;
        EXPECT_EQ(std::memcmp(file->data() + range * kLarge, text.data() + range * kLarge, kLarge), 0) << range;
        pager.release({&range, 1});
    }
    EXPECT_LE(asked_for.load(), kLarge);  // of the first one
    EXPECT_LE(pager.stats().peak_bytes, 2 * kLarge);
}

ssize_t count(int fd, void* to, size_t bytes, off_t offset) {
    const ssize_t n = pread(fd, to, bytes, offset);
    asked_for += n > 0 ? static_cast<uint64_t>(n) : 0;
    return n;
}

// Each takes mappings, of which the system grants a process so many.
TEST_F(PagerTest, ReadsAsOthersDoWhatIsTooManyRanges) {
    constexpr size_t kLarge = size_t{1} << 20, kCount = 4;
    std::string text(kLarge * kCount, '\0');
    for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i / kLarge + 1);
    test::write_bytes(dir_ / "large", text);
    const auto file = FileMap::open(dir_ / "large");
    ASSERT_TRUE(file);
    for (int pagers = 0; pagers < 2; ++pagers) {  // the second finds that the first has given all back
        asked_for = 0;
        Pager pager(kCount * kLarge, 1, Pager::Reading::kThreads, {.read = count, .most_direct = 2});
        for (size_t i = 0; i < kCount; ++i) pager.add(*file, file->data() + i * kLarge, kLarge, RangeUse::kCached);
        for (const Pager::Range range : {0u, 1u, 2u, 3u}) {
            ASSERT_TRUE(pager.hold({&range, 1}));
            EXPECT_EQ(std::memcmp(file->data() + range * kLarge, text.data() + range * kLarge, kLarge), 0) << range;
        }
        EXPECT_EQ(pager.stats().bytes_read, kCount * kLarge);
        const bool direct = DirectFile(*file).fd() >= 0;  // which this file system may not have
        EXPECT_EQ(asked_for.load(), direct ? 2 * kLarge : 0);
    }
    EXPECT_GT(DirectFile::most(), 100u);
}

INSTANTIATE_TEST_SUITE_P(All, PagerReading, testing::Values(Pager::Reading::kBest, Pager::Reading::kThreads));

// What is suggested is read while there is room, and takes the place of what is worth less only.
TEST_F(PagerTest, ReadsWhatIsSuggested) {
    Pager pager(3 * kBytes, 1);
    add(pager, RangeUse::kCached);
    for (const Pager::Range range : {4u, 5u, 6u}) pager.expect(range, 3);
    const std::array<Pager::Range, 4> good = {4, 5, 6, 7};
    pager.suggest(good);
    while (pager.stats().bytes_suggested < 3 * kBytes) std::this_thread::yield();
    use(pager, {4, 5, 6});
    EXPECT_EQ(pager.stats().cached_hits, 3u);
    EXPECT_EQ(reads(pager), 3u);
    const std::array<Pager::Range, 2> worse = {0, 7};
    pager.suggest(worse);
    use(pager, {4, 5, 6});
    EXPECT_EQ(reads(pager), 3u);
    EXPECT_EQ(pager.uses(4), 5u);
}

TEST_F(PagerTest, SaysThatAFileWasCut) {
    Pager pager(2 * kBytes, 2);
    add(pager, RangeUse::kCached);
    use(pager, {0});
    std::filesystem::resize_file(dir_ / "f", kBytes);
    const Pager::Range gone = 5;
    const Status held = pager.hold({&gone, 1});
    ASSERT_FALSE(held);
    EXPECT_EQ(held.error().code, Code::kBadInput);
    EXPECT_NE(held.error().text.find((dir_ / "f").string()), std::string::npos) << held.error().text;
}

}  // namespace
}  // namespace vks
