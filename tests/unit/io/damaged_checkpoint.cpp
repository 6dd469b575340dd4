// Every damaged checkpoint is refused with one line that names the file and what was wanted.
#include <gtest/gtest.h>

#include <ctime>

#include "frontend/io/checkpoint.h"
#include "tests/support/damaged_checkpoint.h"
#include "tests/support/edit_checkpoint.h"

namespace vks {
namespace {

namespace fs = std::filesystem;
using test::Damage;

class DamagedCheckpoint : public ::testing::TestWithParam<Damage> {};

TEST_P(DamagedCheckpoint, IsRefusedWithOneLine) {
    const Damage& damage = GetParam();
    const test::TempDir temp;
    const fs::path dir = temp / "model";
    test::copy_checkpoint(damage.model, dir);
    ASSERT_NO_FATAL_FAILURE(damage.apply(dir));

    const std::clock_t begin = std::clock();
    const auto checkpoint = Checkpoint::open(dir);
    const double cpu_seconds = double(std::clock() - begin) / CLOCKS_PER_SEC;
    ASSERT_FALSE(checkpoint) << "it was accepted";
    const std::string& message = checkpoint.error().text;
    EXPECT_EQ(checkpoint.error().code, Code::kBadInput);
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_LT(message.size(), 1000u) << message;
    EXPECT_NE(message.find("wanted "), std::string::npos) << message;
    EXPECT_NE(message.find("found"), std::string::npos) << message;
    EXPECT_NE(message.find((damage.file.empty() ? dir : dir / damage.file).string()), std::string::npos) << message;
    EXPECT_NE(message.find(damage.wanted), std::string::npos) << message;
    EXPECT_LT(cpu_seconds, 5);
}

std::string name_of(const ::testing::TestParamInfo<Damage>& info) {
    return test::test_name(info.param) + "_" + std::to_string(info.index);
}

INSTANTIATE_TEST_SUITE_P(All, DamagedCheckpoint, ::testing::ValuesIn(test::damaged_checkpoints()), name_of);

}  // namespace
}  // namespace vks
