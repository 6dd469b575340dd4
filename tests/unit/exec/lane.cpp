// Lane: bytes to and from a device whose memory the host can't see, in pieces through staging memory.
#include "backend/registry/lane.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "backend/registry/registry.h"
#include "tests/support/fake_device.h"
#include "tests/support/plugins.h"

namespace vks {
namespace {

std::vector<uint8_t> pattern(size_t bytes, unsigned seed) {
    std::vector<uint8_t> data(bytes);
    for (size_t i = 0; i < bytes; ++i) data[i] = uint8_t((i * 2654435761u + seed) >> 13);
    return data;
}

class Lanes : public ::testing::Test {
protected:
    Device& remote(const std::string& options) {
        auto found = registry.select("remote");
        CHECK(found, "{}", found.error().text);
        auto device = registry.open(*found->front(), options);
        CHECK(device, "{}", device.error().text);
        return **device;
    }
    static Buffer buffer(Device& device, uint64_t bytes) {
        auto made = device.buffer(bytes, VKS_BUFFER_DEVICE, nullptr, "test memory");
        CHECK(made, "{}", made.error().text);
        return std::move(*made);
    }
    static std::unique_ptr<Lane> lane(Device& device) {
        auto made = Lane::create(device);
        CHECK(made, "{}", made.error().text);
        return std::move(*made);
    }

    Registry registry{{test::test_dir()}};
};

// Staging memory grows while an earlier copy still reads the smaller one: "remote" ends the program if that is dropped.
TEST_F(Lanes, UploadsOfGrowingSizesInFlight) {
    Device& device = remote("delay_us=3000");
    std::vector<Buffer> buffers;
    const auto uploads = lane(device);
    std::vector<std::vector<uint8_t>> data;
    for (const size_t bytes : {1, 100, 5000, 70'001}) {
        data.push_back(pattern(bytes, unsigned(bytes)));
        buffers.push_back(buffer(device, bytes));
        ASSERT_TRUE(uploads->upload(data.back().data(), {buffers.back().get(), 0, nullptr}, bytes));
    }
    for (size_t i = 0; i < data.size(); ++i) {
        std::vector<uint8_t> back(data[i].size());
        ASSERT_TRUE(uploads->download({buffers[i].get(), 0, nullptr}, back.data(), back.size()));
        EXPECT_EQ(back, data[i]);
    }
}

TEST_F(Lanes, MoreThanTheStagingMemoryHolds) {
    Device& device = remote("");
    const size_t bytes = (size_t{65} << 20) + 12'345;  // two full pieces and a rest
    const auto data = pattern(bytes, 1);
    const Buffer there = buffer(device, bytes + 64);
    const auto transfers = lane(device);
    ASSERT_TRUE(transfers->upload(data.data(), {there.get(), 64, nullptr}, bytes));
    std::vector<uint8_t> back(bytes);
    ASSERT_TRUE(transfers->download({there.get(), 64, nullptr}, back.data(), bytes));
    EXPECT_TRUE(back == data);
    std::vector<uint8_t> part(1000);
    ASSERT_TRUE(transfers->download({there.get(), 64 + 40'000'000, nullptr}, part.data(), part.size()));
    EXPECT_TRUE(std::equal(part.begin(), part.end(), data.begin() + 40'000'000));
}

TEST_F(Lanes, NothingIsNothing) {
    Device& device = remote("");
    const Buffer there = buffer(device, 16);
    const auto transfers = lane(device);
    EXPECT_TRUE(transfers->upload(nullptr, {there.get(), 0, nullptr}, 0));
    EXPECT_TRUE(transfers->download({there.get(), 0, nullptr}, nullptr, 0));
    EXPECT_TRUE(transfers->submit());
    EXPECT_TRUE(transfers->finish());
}

// Dropped with copies still to run: the lane waits for them before its memory goes.
TEST_F(Lanes, DestroyedWithWorkInFlight) {
    Device& device = remote("delay_us=5000");
    const Buffer there = buffer(device, 1000);
    const auto data = pattern(1000, 2);
    const auto transfers = lane(device);
    ASSERT_TRUE(transfers->upload(data.data(), {there.get(), 0, nullptr}, 1000));
}

TEST_F(Lanes, PacksAndUnpacks) {
    Device& device = remote("delay_us=500");
    std::vector<float> w(33);
    std::iota(w.begin(), w.end(), 1.0f);
    const Buffer packed = buffer(device, 33 * 4);
    vks_tensor plain = abi::tensor(VKS_F32, {33});
    plain.flags = VKS_TENSOR_CONSTANT;  // as the graph describes a weight; a copy has no use for it
    vks_tensor reversed = plain;
    reversed.layout = VKS_LAYOUT_PRIVATE + 7;  // what "remote" calls f32, last element first
    reversed.buffer = packed.get();
    const auto transfers = lane(device);
    const Status status = transfers->pack(w.data(), plain, reversed);
    ASSERT_TRUE(status) << status.error().text;
    std::vector<float> back(33);
    ASSERT_TRUE(transfers->download({packed.get(), 0, nullptr}, back.data(), 33 * 4));
    std::reverse(back.begin(), back.end());
    EXPECT_EQ(back, w);
}

TEST_F(Lanes, AnErrorIsToldOnce) {
    test::Fake fake;
    fake.await = VKS_INTERNAL;
    const auto device = test::open(fake);
    const auto work = lane(*device);
    work->touched();
    const Status status = work->finish();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().text, "await (fake): internal error: told to fail");
    EXPECT_EQ(device->health(), Health::kUnhealthy);
    EXPECT_TRUE(work->finish());
}

// Memory that the host sees is written directly, after the work before it.
TEST_F(Lanes, MappedMemoryIsWrittenDirectly) {
    test::Fake fake;
    const auto device = test::open(fake);
    const auto transfers = lane(*device);
    const Buffer memory = buffer(*device, 8);
    auto* mapped = static_cast<std::byte*>(device->map(memory));
    const float x[2] = {1, 2};
    transfers->touched();
    ASSERT_TRUE(transfers->upload(x, {memory.get(), 0, mapped}, 8));
    float written[2];
    std::memcpy(written, mapped, 8);
    EXPECT_EQ(written[0], 1);
    EXPECT_EQ(written[1], 2);
    EXPECT_EQ(fake.log, (std::vector<std::string>{"buffer 8 device", "submit"}));
    float y[2] = {};
    ASSERT_TRUE(transfers->download({memory.get(), 0, mapped}, y, 8));
    EXPECT_EQ(y[1], 2);
}

}  // namespace
}  // namespace vks
