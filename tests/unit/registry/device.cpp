// Device: health, and texts of plugins made fit to print.
#include "backend/registry/device.h"

#include <gtest/gtest.h>

#include "tests/support/fake_device.h"

namespace vks {
namespace {

TEST(Health, OnlyGetsWorseAndKeepsTheFirstReason) {
    test::Fake fake;
    const auto device = test::open(fake);
    EXPECT_EQ(device->health(), Health::kOk);
    EXPECT_EQ(device->health_reason(), "");
    device->mark(Health::kUnhealthy, "first");
    device->mark(Health::kUnhealthy, "second");
    EXPECT_EQ(device->health_reason(), "first");
    device->mark(Health::kLost, "third");
    device->mark(Health::kUnhealthy, "fourth");
    EXPECT_EQ(device->health(), Health::kLost);
    EXPECT_EQ(device->health_reason(), "third");
}

TEST(Health, RefusalsAreNoIllness) {
    test::Fake fake;
    fake.imports = false;
    fake.prepare = [](const vks_op&, std::string& reason) {
        reason = "too large";
        return vks_status{VKS_NO_MEMORY};
    };
    const auto device = test::open(fake);
    float memory[4] = {};
    auto refused = device->buffer(16, VKS_BUFFER_IMPORT, memory, "import of w");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().text, "import of w of 16 bytes (fake): unsupported: no import");
    EXPECT_EQ(refused.error().code, Code::kNoBackend);
    vks_op op{};
    op.size = sizeof op;
    op.op = "add/1";
    auto kernel = device->prepare(op, "add layers.0");
    ASSERT_FALSE(kernel);
    EXPECT_EQ(kernel.error().text, "prepare add layers.0 (fake): out of memory: too large");
    EXPECT_EQ(device->health(), Health::kOk);
}

TEST(Health, InternalErrorsAre) {
    test::Fake fake;
    fake.prepare = [](const vks_op&, std::string&) { return vks_status{VKS_INTERNAL}; };
    const auto device = test::open(fake);
    vks_op op{};
    op.size = sizeof op;
    op.op = "add/1";
    auto kernel = device->prepare(op, "add");
    ASSERT_FALSE(kernel);
    EXPECT_EQ(device->health(), Health::kUnhealthy);
    EXPECT_EQ(device->health_reason(), "prepare add (fake): internal error");
}

// What a compiler refuses is no illness: prepare says so from then on. A device that doesn't keep to that would have
// plans made again and again.
TEST(Health, TheSameKernelTwiceIs) {
    test::Fake fake;
    std::string refused = "no pipeline 1";
    fake.finish = [&](std::string& reason) {
        reason = refused;
        return vks_status{refused.empty() ? VKS_OK : VKS_UNSUPPORTED};
    };
    const auto device = test::open(fake);
    vks_op op{};
    op.size = sizeof op;
    op.op = "add/1";
    const auto kernel = device->prepare(op, "add");
    ASSERT_TRUE(kernel);
    const auto finish = [&] {
        const Status status = device->finish(*kernel, "add");
        return status ? "" : status.error().text;
    };
    EXPECT_EQ(finish(), "prepare add (fake): unsupported: no pipeline 1");
    refused = "no pipeline 2";
    EXPECT_EQ(finish(), "prepare add (fake): unsupported: no pipeline 2");
    refused = "";
    EXPECT_EQ(finish(), "");
    EXPECT_EQ(device->health(), Health::kOk);
    refused = "no pipeline 1";
    EXPECT_EQ(finish(), "prepare add (fake): unsupported: no pipeline 1");
    EXPECT_EQ(device->health(), Health::kUnhealthy);
}

TEST(PluginText, IsOneTerminatedPrintableLine) {
    const char raw[6] = {'a', '\n', '\x07', '\xff', 'b', 'c'};  // no terminator
    EXPECT_EQ(plugin_text(raw, sizeof raw), "a\\x0a\\x07\\xffbc");
    EXPECT_EQ(plugin_text("short\0long", 10), "short");
    EXPECT_EQ(plugin_text("\xc2\xae \xe2\x82\xac \xf0\x9f\x98\x80", 16), "\xc2\xae \xe2\x82\xac \xf0\x9f\x98\x80");
    EXPECT_EQ(plugin_text("\xc0\x80|\xed\xa0\x80|\xf5|\xe2\x82", 16), "\\xc0\\x80|\\xed\\xa0\\x80|\\xf5|\\xe2\\x82");
}

TEST(PluginText, CutInPlaceAtACharacter) {
    char text[8];
    std::memcpy(text, "abcdefgh", 8);
    make_printable(text, sizeof text);
    EXPECT_STREQ(text, "abcdefg");
    std::memcpy(text, "abcdef\xc3\xa9", 8);  // the two bytes no longer fit with a terminator
    make_printable(text, sizeof text);
    EXPECT_STREQ(text, "abcdef");
    std::memcpy(text, "ab\ncd\0zz", 8);
    make_printable(text, sizeof text);
    EXPECT_STREQ(text, "ab\\x0ac");
    text[0] = 0;
    make_printable(text, sizeof text);
    EXPECT_STREQ(text, "");
}

TEST(Queries, TheAnswerIsCopied) {
    test::Fake fake;
    fake.query = [](const vks_op&, Support& answer) {
        answer.scratch_bytes = 77;
        answer.est_ns = 5;
        answer.variant = "quick";
        answer.arg_layout[1] = VKS_LAYOUT_PRIVATE;
    };
    const auto device = test::open(fake);
    const vks_tensor args[2] = {};
    vks_op op{};
    op.size = sizeof op;
    op.op = "add/1";
    op.args = args;
    op.arg_count = 2;
    const Support support = device->query(op);
    EXPECT_TRUE(support.ok);
    EXPECT_EQ(support.scratch_bytes, 77u);
    EXPECT_EQ(support.est_ns, 5u);
    EXPECT_EQ(support.variant, "quick");
    EXPECT_EQ(support.arg_layout, (std::vector<uint32_t>{VKS_ROW_MAJOR, VKS_LAYOUT_PRIVATE}));
}

TEST(Handles, AreMovedAndDestroyedOnce) {
    test::Fake fake;
    {
        const auto device = test::open(fake);
        auto a = device->buffer(8, VKS_BUFFER_HOST, nullptr, "a"), b = device->buffer(8, VKS_BUFFER_HOST, nullptr, "b");
        ASSERT_TRUE(a && b);
        Buffer first = std::move(*a), second = std::move(*b);
        EXPECT_EQ(fake.alive, 2);
        first = std::move(second);
        Buffer third = std::move(first);
        EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): that it is empty is the point
        EXPECT_TRUE(third);
    }
    EXPECT_EQ(fake.alive, 0);
}

}  // namespace
}  // namespace vks
