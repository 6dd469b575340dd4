// A file that is opened before the work and written after it.
#include "backend/base/output_file.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/temp_dir.h"

namespace vks {
namespace {

namespace fs = std::filesystem;

TEST(OutputFile, TakesThePlaceOfWhatWasThereWhenItIsWritten) {
    const test::TempDir dir;
    test::write_bytes(dir / "f", "a longer text than what comes");
    auto file = OutputFile::open("trace", dir / "f");
    ASSERT_TRUE(file) << file.error().text;
    EXPECT_EQ(test::read_bytes(dir / "f"), "a longer text than what comes");
    OutputFile moved = *std::move(file);
    ASSERT_TRUE(moved.write("new"));
    EXPECT_EQ(test::read_bytes(dir / "f"), "new");
}

TEST(OutputFile, LeavesNothingUnlessItIsWritten) {
    const test::TempDir dir;
    test::write_bytes(dir / "old", "old");
    for (const char* name : {"old", "fresh"}) {
        const auto file = OutputFile::open("trace", dir / name);
        ASSERT_TRUE(file) << file.error().text;
        EXPECT_TRUE(fs::exists(dir / name));
    }
    EXPECT_EQ(test::read_bytes(dir / "old"), "old");
    EXPECT_FALSE(fs::exists(dir / "fresh"));
}

TEST(OutputFile, SaysWhyItCannotBeWritten) {
    const test::TempDir dir;
    const auto none = OutputFile::open("trace", dir / "nowhere/t.json");
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, Code::kBadInput);
    EXPECT_EQ(none.error().text, "trace (" + (dir / "nowhere/t.json").string() +
                                     "): wanted a file that can be written, found: No such file or directory");
    EXPECT_FALSE(OutputFile::open("trace", dir.path()));
    auto full = OutputFile::open("trace", "/dev/full");
    ASSERT_TRUE(full) << full.error().text;
    const Status written = full->write("x");
    ASSERT_FALSE(written);
    EXPECT_NE(written.error().text.find("No space left"), std::string::npos) << written.error().text;
}

}  // namespace
}  // namespace vks
