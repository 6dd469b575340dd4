// Reads that the system answers in parts.
#include "backend/exec/read_ring.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace vks {
namespace {

using Next = PartialRead::Next;

TEST(PartialRead, GoesOnWithWhatIsLeft) {
    std::array<std::byte, 100> memory{};
    PartialRead read(7, 4096, memory.data(), memory.size());
    EXPECT_EQ(read.add(30), Next::kAgain);
    EXPECT_EQ(read.fd(), 7);
    EXPECT_EQ(read.offset(), 4096u + 30);
    EXPECT_EQ(read.to(), memory.data() + 30);
    EXPECT_EQ(read.left(), 70u);
    EXPECT_EQ(read.add(-EINTR), Next::kAgain);
    EXPECT_EQ(read.add(-EAGAIN), Next::kAgain);
    EXPECT_EQ(read.left(), 70u);
    EXPECT_EQ(read.add(69), Next::kAgain);
    EXPECT_EQ(read.add(1), Next::kDone);
}

TEST(PartialRead, FailsAtTheEndAndOnErrors) {
    std::array<std::byte, 100> memory{};
    for (const int result : {0, -EIO, 71}) {
        PartialRead read(7, 0, memory.data(), memory.size());
        EXPECT_EQ(read.add(30), Next::kAgain);
        EXPECT_EQ(read.add(result), Next::kFailed) << result;
    }
}

TEST(PartialRead, SaysThatAnotherWayMayDo) {
    std::array<std::byte, 100> memory{};
    for (const int result : {-EINVAL, -EOPNOTSUPP, -ENOSYS}) {
        PartialRead read(7, 0, memory.data(), memory.size());
        EXPECT_EQ(read.add(result), Next::kRefused) << result;
    }
}

}  // namespace
}  // namespace vks
