// FileMap: what it maps, what it refuses, and what a file that shrinks under it does.
#include "backend/base/file_map.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

namespace vks {
namespace {

namespace fs = std::filesystem;

class FileMapTest : public ::testing::Test {
protected:
    void SetUp() override {
        dir_ = fs::path(::testing::TempDir()) / ("file_map_" + std::to_string(getpid()));
        fs::create_directories(dir_);
    }
    void TearDown() override { fs::remove_all(dir_); }
    fs::path write(const std::string& name, const std::string& text) const {
        std::ofstream(dir_ / name, std::ios::binary) << text;
        return dir_ / name;
    }
    fs::path dir_;
};

// Keeps the compiler from dropping the reads that must fault.
unsigned sum(const FileMap& map) {
    const volatile auto* bytes = reinterpret_cast<const volatile unsigned char*>(map.data());
    unsigned total = 0;
    for (size_t i = 0; i < map.size(); i += 512) total += bytes[i];
    return total;
}

TEST_F(FileMapTest, MapsTheWholeFile) {
    auto map = FileMap::open(write("a", "hello"));
    ASSERT_TRUE(map) << map.error().text;
    ASSERT_EQ(map->size(), 5u);
    EXPECT_EQ(std::memcmp(map->data(), "hello", 5), 0);
    EXPECT_EQ(map->path(), dir_ / "a");
    EXPECT_TRUE(map->check_size());

    const std::byte* data = map->data();
    FileMap moved = *std::move(map);
    EXPECT_EQ(moved.data(), data);
    FileMap other = *FileMap::open(write("b", "world"));
    other = std::move(moved);
    EXPECT_EQ(other.data(), data);
    EXPECT_EQ(std::memcmp(other.data(), "hello", 5), 0);
}

TEST_F(FileMapTest, EmptyFileHasNoData) {
    auto map = FileMap::open(write("empty", ""));
    ASSERT_TRUE(map);
    EXPECT_EQ(map->size(), 0u);
    EXPECT_EQ(map->data(), nullptr);
    map->advise(0, 100, FileMap::Advice::kWillNeed);
}

TEST_F(FileMapTest, AdviceNeverChangesWhatIsRead) {
    const auto map = FileMap::open(write("a", std::string(100000, 'x')));
    ASSERT_TRUE(map);
    const unsigned expected = sum(*map);
    for (int advice = 0; advice <= static_cast<int>(FileMap::Advice::kLargePages); ++advice) {
        map->advise(5000, 70000, static_cast<FileMap::Advice>(advice));
        map->advise(99999, SIZE_MAX, static_cast<FileMap::Advice>(advice));
        map->advise(100000, 1, static_cast<FileMap::Advice>(advice));
        EXPECT_EQ(sum(*map), expected);
    }
}

TEST_F(FileMapTest, RefusesWhatIsNotAFileAndNamesIt) {
    auto missing = FileMap::open(dir_ / "nothing\nhere");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, Code::kBadInput);
    EXPECT_NE(missing.error().text.find("nothing\\x0ahere"), std::string::npos) << missing.error().text;
    EXPECT_EQ(missing.error().text.find('\n'), std::string::npos);

    auto folder = FileMap::open(dir_);
    ASSERT_FALSE(folder);
    EXPECT_NE(folder.error().text.find("a folder"), std::string::npos);

    ASSERT_EQ(mkfifo((dir_ / "fifo").c_str(), 0600), 0);
    EXPECT_FALSE(FileMap::open(dir_ / "fifo"));
    EXPECT_FALSE(FileMap::open("/dev/zero"));
}

TEST_F(FileMapTest, OpensManyAndGivesTheSlotsBack) {
    const fs::path path = write("a", "x");
    for (int i = 0; i < 10000; ++i) ASSERT_TRUE(FileMap::open(path));
}

TEST_F(FileMapTest, CheckSizeSeesAFileCutWithinItsLastPage) {
    const fs::path path = write("a", std::string(300, 'x'));
    const auto map = FileMap::open(path);
    ASSERT_TRUE(map);
    fs::resize_file(path, 100);
    const Status status = map->check_size();
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().text.find("wanted 300 bytes"), std::string::npos) << status.error().text;
}

using FileMapDeathTest = FileMapTest;

TEST_F(FileMapDeathTest, TruncatedFileEndsTheRunWithOneLine) {
    const fs::path path = write("shard.safetensors", std::string(1 << 20, 'x'));
    EXPECT_EXIT(
        {
            const auto map = FileMap::open(path);
            fs::resize_file(path, 4096);
            sum(*map);
            _exit(0);
        },
        ::testing::ExitedWithCode(3),
        "^vkseek: read of a mapped file \\(.*shard.safetensors\\): wanted 1048576 bytes, found fewer: the file was "
        "truncated or the disk failed\n$");
}

// A fault in someone else's mapping stays what it was.
TEST_F(FileMapDeathTest, OtherFaultsKeepTheHandlerFromBefore) {
    const fs::path path = write("ours", "x");
    const fs::path other = write("theirs", std::string(1 << 16, 'x'));
    EXPECT_EXIT(
        {
            struct sigaction before = {};
            before.sa_handler = [](int) { _exit(42); };
            sigaction(SIGBUS, &before, nullptr);
            const auto ours = FileMap::open(path);
            FILE* file = fopen(other.c_str(), "rb");
            const void* theirs = mmap(nullptr, 1 << 16, PROT_READ, MAP_SHARED, fileno(file), 0);
            fs::resize_file(other, 0);
            static_cast<void>(*static_cast<const volatile char*>(theirs));
            _exit(0);
        },
        ::testing::ExitedWithCode(42), "");
}

TEST_F(FileMapDeathTest, ASignalSentByHandStillKills) {
    const fs::path path = write("ours", "x");
    EXPECT_EXIT(
        {
            signal(SIGBUS, SIG_DFL);
            const auto ours = FileMap::open(path);
            raise(SIGBUS);
            _exit(0);
        },
        ::testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace vks
