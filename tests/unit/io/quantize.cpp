// FP8 rounding to the bit, blocks and their edges, and what a quantised checkpoint keeps. Its logits: tests/e2e/.
#include "frontend/io/quantize.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "backend/base/bad_input.h"
#include "frontend/io/checkpoint.h"
#include "frontend/io/e4m3.h"
#include "frontend/model/layout.h"
#include "tests/support/edit_checkpoint.h"

namespace vks {
namespace {

namespace fs = std::filesystem;
using test::TempDir;

constexpr const char* kUp = "model.layers.0.mlp.up_proj.weight";

template <class T>
std::vector<T> copied(const TensorView& view) {
    std::vector<T> values(view.bytes / sizeof(T));
    std::memcpy(values.data(), view.data, view.bytes);
    return values;
}

QuantizeOptions nano(const fs::path& in, const fs::path& out) {
    QuantizeOptions options;
    options.in = in;
    options.out = out;
    return options;
}

// Names in a folder, sorted.
std::vector<std::string> listing(const fs::path& dir) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(dir)) names.push_back(entry.path().filename().string());
    std::ranges::sort(names);
    return names;
}

std::string failure(const QuantizeOptions& options) {
    const auto summary = quantize(options);
    EXPECT_FALSE(summary);
    return summary ? "" : summary.error().text;
}

TEST(E4m3, GoldenCodec) {
    const auto golden = SafetensorsFile::open(test::data("ops/fp8_codec.safetensors"));
    ASSERT_TRUE(golden);
    const std::vector<float> table = copied<float>(*golden->find("decode.table"));
    ASSERT_EQ(table.size(), 256u);
    for (uint32_t code = 0; code < 256; ++code) {
        const float value = decode_e4m3(static_cast<uint8_t>(code));
        if ((code & 0x7f) == 0x7f) {
            EXPECT_TRUE(std::isnan(value));
        } else {
            EXPECT_EQ(value, table[code]) << code;
            EXPECT_EQ(std::signbit(value), std::signbit(table[code])) << code;
            EXPECT_EQ(encode_e4m3(value), code);
        }
    }
    const std::vector<float> x = copied<float>(*golden->find("encode.x"));
    const std::vector<uint8_t> code = copied<uint8_t>(*golden->find("encode.code"));
    ASSERT_EQ(x.size(), code.size());
    ASSERT_GT(x.size(), 500u);
    for (size_t i = 0; i < x.size(); ++i) {
        const bool nan = (code[i] & 0x7f) == 0x7f;
        EXPECT_EQ(nan ? encode_e4m3(x[i]) & 0x7f : encode_e4m3(x[i]), nan ? 0x7f : code[i]) << x[i];
    }
}

TEST(QuantizeBlocks, ScalesAreTheLargestMagnitudeOver448) {
    std::vector<float> values(3 * 130, 0.5f), scales(2);
    values[2 * 130 + 5] = -7;
    values[128] = 3;  // in the second block of columns, two wide
    std::vector<uint8_t> codes(values.size());
    ASSERT_FALSE(quantize_blocks(values, 130, codes, scales));
    EXPECT_EQ(scales[0], 7.0f / 448);
    EXPECT_EQ(scales[1], 3.0f / 448);
    EXPECT_EQ(decode_e4m3(codes[2 * 130 + 5]), -448);
    EXPECT_EQ(decode_e4m3(codes[128]), 448);
    EXPECT_EQ(decode_e4m3(codes[0]), 32);              // 0.5 / scale = 32
    EXPECT_EQ(decode_e4m3(codes[2 * 130 + 129]), 72);  // 74.67, between 72 and 80
}

TEST(QuantizeBlocks, TiesGoToTheEvenCode) {
    // Scale 1: values are what is encoded.
    std::vector<float> values = {448, 17, 19, -17, -19, 0x1p-10f, 0x3p-10f, -0.0f}, scales(1);
    std::vector<uint8_t> codes(values.size());
    ASSERT_FALSE(quantize_blocks(values, values.size(), codes, scales));
    EXPECT_EQ(scales[0], 1);
    const std::vector<float> wanted = {448, 16, 20, -16, -20, 0, 0x1p-8f, -0.0f};
    for (size_t i = 0; i < wanted.size(); ++i) EXPECT_EQ(decode_e4m3(codes[i]), wanted[i]) << values[i];
    EXPECT_EQ(codes.back(), 0x80);
}

TEST(QuantizeBlocks, ZeroAndTinyBlocksHaveFiniteScales) {
    std::vector<float> values = {0, 0, -0.0f, 0}, scales(1);
    std::vector<uint8_t> codes(4, 99);
    ASSERT_FALSE(quantize_blocks(values, 2, codes, scales));
    EXPECT_EQ(scales[0], 0x1p-126f);
    EXPECT_EQ(codes, (std::vector<uint8_t>{0, 0, 0x80, 0}));

    constexpr float kLeast = std::numeric_limits<float>::denorm_min();
    values = {kLeast, 448 * 0x1p-126f, -448 * 0x1p-126f, 0x1p-126f};
    ASSERT_FALSE(quantize_blocks(values, 2, codes, scales));
    EXPECT_EQ(scales[0], 0x1p-126f);
    EXPECT_EQ(codes, (std::vector<uint8_t>{0, 0x7e, 0xfe, 0x38}));

    values = {std::numeric_limits<float>::max(), 0, 0, 0};
    ASSERT_FALSE(quantize_blocks(values, 2, codes, scales));
    EXPECT_EQ(codes[0], 0x7e);
    EXPECT_TRUE(std::isfinite(scales[0] * 448));
}

TEST(QuantizeBlocks, FindsWhatIsNotFinite) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()}) {
        std::vector<float> values(4 * 300, 1), scales(3);
        std::vector<uint8_t> codes(values.size());
        values[2 * 300 + 290] = bad;
        EXPECT_EQ(quantize_blocks(values, 300, codes, scales), 2u * 300 + 290);
    }
}

// Every element of every type is within half a step of what it was, and what isn't quantised has its bytes.
TEST(Quantize, EveryWeightIsWithinHalfAStep) {
    for (const char* model : {"nano-bf16", "odd-mixed", "micro-mtp2"}) {
        const TempDir dir;
        const fs::path in = test::data(std::string(model) + "/checkpoint");
        const auto summary = quantize(nano(in, dir / "out"));
        ASSERT_TRUE(summary) << summary.error().text;
        const auto before = Checkpoint::open(in), after = Checkpoint::open(dir / "out");
        ASSERT_TRUE(before && after) << after.error().text;
        EXPECT_TRUE(after->config().fp8);
        EXPECT_EQ(after->tensor_count(), before->tensor_count() + summary->quantized);
        EXPECT_EQ(after->tensor_bytes(), summary->bytes_out);
        EXPECT_NEAR(summary->relative_error, 0.0265, 0.0003) << model;  // docs/numerics.md
        uint64_t quantized = 0;
        const Status compared = for_each_tensor(before->config(), [&](const TensorSpec& spec) -> Status {
            const TensorView *was = before->find(spec.name), *is = after->find(spec.name);
            if (!spec.may_be_fp8) {
                EXPECT_EQ(is->dtype, was->dtype) << spec.name;
                EXPECT_EQ(std::memcmp(is->data, was->data, was->bytes), 0) << spec.name;
                return {};
            }
            ++quantized;
            EXPECT_EQ(is->dtype, DType::kF8E4M3) << spec.name;
            const TensorView* scale = after->find(scale_name(spec.name));
            const std::vector<float> scales = copied<float>(*scale);
            for (int64_t i = 0; i < spec.elements(); ++i) {
                const int64_t block = i / spec.cols / 128 * scale->shape[1] + i % spec.cols / 128;
                double value = 0;
                if (was->dtype == DType::kF32) {
                    float x = 0;
                    std::memcpy(&x, was->data + 4 * i, 4);
                    value = x;
                } else {
                    uint16_t x = 0;
                    std::memcpy(&x, was->data + 2 * i, 2);
                    const int exponent = x >> 10 & 31, fraction = x & 1023;
                    const double half =
                        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
                    value = was->dtype == DType::kBF16 ? std::bit_cast<float>(static_cast<uint32_t>(x) << 16)
                            : (x & 0x8000) != 0        ? -half
                                                       : half;
                }
                const double s = scales[static_cast<size_t>(block)];
                const double got = decode_e4m3(static_cast<uint8_t>(is->data[i])) * s;
                const double half_step = std::max(std::fabs(value) / 16, s * 0x1p-10) * (1 + 1e-6);
                if (std::fabs(got - value) > half_step) {
                    return bad_input("{} at {}: wanted {}, found {}", spec.name, i, value, got);
                }
            }
            return {};
        });
        EXPECT_TRUE(compared) << model << ": " << (compared ? "" : compared.error().text);
        EXPECT_EQ(quantized, summary->quantized);
    }
}

// The same weights are FP8 as in a checkpoint of the release's layout, and config.json says so as it does.
TEST(Quantize, HasTheReleasedLayout) {
    const TempDir dir;
    const auto summary = quantize(nano(test::data("nano-bf16/checkpoint"), dir / "out"));
    ASSERT_TRUE(summary) << summary.error().text;
    const test::Json ours = test::Json::parse(test::read_bytes(dir / "out/config.json"));
    const test::Json released = test::Json::parse(test::read_bytes(test::data("nano-fp8/checkpoint/config.json")));
    EXPECT_EQ(ours["quantization_config"], released["quantization_config"]);
    test::Json without = ours;
    without.erase("quantization_config");
    EXPECT_EQ(without, test::Json::parse(test::read_bytes(test::data("nano-bf16/checkpoint/config.json"))));
    for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
        EXPECT_EQ(test::read_bytes(dir / "out" / name), test::read_bytes(test::data("nano-bf16/checkpoint") / name));
    }
    const auto after = Checkpoint::open(dir / "out"), golden = Checkpoint::open(test::data("nano-fp8/checkpoint"));
    ASSERT_TRUE(after && golden);
    for (const TensorView& tensor : after->files().front().tensors()) {
        const TensorView* same = golden->find(tensor.name);
        ASSERT_NE(same, nullptr) << tensor.name;
        EXPECT_EQ(tensor.dtype, same->dtype) << tensor.name;
    }
}

TEST(Quantize, SameBytesWhateverTheShards) {
    const TempDir dir;
    const fs::path in = test::data("micro-mtp2/checkpoint");
    QuantizeOptions options = nano(in, dir / "one");
    ASSERT_TRUE(quantize(options));
    fs::create_directory(dir / "many");  // an empty folder is as good as none
    options = nano(in, dir / "many");
    options.max_shard_bytes = 400'000;
    options.threads = 3;
    uint64_t last = 0, total = 0;
    options.progress = [&](uint64_t done, uint64_t all) {
        EXPECT_GT(done, last);
        last = done;
        total = all;
    };
    const auto summary = quantize(options);
    ASSERT_TRUE(summary) << summary.error().text;
    EXPECT_GT(summary->shards, 5u);
    EXPECT_EQ(last, total);
    EXPECT_EQ(total, summary->bytes_out);
    const auto one = Checkpoint::open(dir / "one"), many = Checkpoint::open(dir / "many");
    ASSERT_TRUE(one && many);
    EXPECT_EQ(many->files().size(), summary->shards);
    ASSERT_EQ(one->tensor_count(), many->tensor_count());
    for (const TensorView& tensor : one->files().front().tensors()) {
        const TensorView* same = many->find(tensor.name);
        EXPECT_EQ(std::memcmp(tensor.data, same->data, tensor.bytes), 0) << tensor.name;
        EXPECT_TRUE(same->aligned());
    }
    // And a sharded checkpoint can be read in turn.
    const std::string fp8 = failure(nano(dir / "many", dir / "again"));
    EXPECT_NE(fp8.find("wanted a model that isn't quantised yet, found FP8"), std::string::npos) << fp8;
}

// Only the model's weights are converted, whatever else the file has.
TEST(Quantize, CopiesStrangersThatHaveAScale) {
    const TempDir dir;
    test::copy_checkpoint("nano-bf16", dir / "in");
    test::RawFile raw = test::read_raw(dir / "in/model.safetensors");
    const uint64_t end = raw.data.size();
    raw.data += "sixteen bytes...scal";
    test::Json header = test::Json::parse(raw.header);
    header["foo"] = {{"dtype", "U8"}, {"shape", {4, 4}}, {"data_offsets", {end, end + 16}}};
    header["foo_scale_inv"] = {{"dtype", "F32"}, {"shape", {1, 1}}, {"data_offsets", {end + 16, end + 20}}};
    raw.header = header.dump();
    test::write_raw(dir / "in/model.safetensors", raw);
    const auto summary = quantize(nano(dir / "in", dir / "out"));
    ASSERT_TRUE(summary) << summary.error().text;
    const auto after = Checkpoint::open(dir / "out");
    ASSERT_TRUE(after) << after.error().text;
    const TensorView *foo = after->find("foo"), *scale = after->find("foo_scale_inv");
    ASSERT_TRUE(foo != nullptr && scale != nullptr);
    EXPECT_EQ(foo->dtype, DType::kU8);
    EXPECT_EQ(std::memcmp(foo->data, "sixteen bytes...", 16), 0);
    EXPECT_EQ(std::memcmp(scale->data, "scal", 4), 0);
}

TEST(Quantize, RefusesAndLeavesNothing) {
    const TempDir dir;
    const fs::path in = dir / "in";
    test::copy_checkpoint("nano-bf16", in);
    fs::create_directory(dir / "full");
    test::write_bytes(dir / "full/x", "x");
    test::write_bytes(dir / "file", "");
    for (const char* out : {"full", "file", "in"}) {
        EXPECT_NE(failure(nano(in, dir / out)).find("wanted an empty folder or none"), std::string::npos) << out;
    }
    EXPECT_NE(failure(nano(in, dir / "none/out")).find("No such file"), std::string::npos);
    fs::create_symlink("nowhere", dir / "link");
    for (const char* out : {"link", "link/"})
        EXPECT_NE(failure(nano(in, dir / out)).find("found a link to nothing"), std::string::npos) << out;
    fs::remove(dir / "link");
    std::atomic<bool> interrupted{true};
    QuantizeOptions options = nano(in, dir / "out");
    options.interrupted = &interrupted;
    EXPECT_NE(failure(options).find("found an interrupt"), std::string::npos);

    // One NaN, in the middle of a weight.
    const auto weight = [&] {
        const auto checkpoint = Checkpoint::open(in);
        const TensorView* view = checkpoint->find(kUp);
        return static_cast<size_t>(view->data - view->file->data());
    }();
    std::string bytes = test::read_bytes(in / "model.safetensors");

    bytes[weight + 2 * (5 * 64 + 7) + 1] = '\x7f';
    bytes[weight + 2 * (5 * 64 + 7)] = '\x81';
    test::write_bytes(in / "model.safetensors", bytes);
    const std::string nan = failure(nano(in, dir / "out"));
    EXPECT_NE(nan.find(std::string("tensor \"") + kUp + "\" (" + (in / "model.safetensors").string() +
                       "): wanted finite weights, found nan at [5, 7]"),
              std::string::npos)
        << nan;
    EXPECT_EQ(listing(dir.path()), (std::vector<std::string>{"file", "full", "in"}));
    fs::create_directory(dir / "empty");
    failure(nano(in, dir / "empty"));
    EXPECT_TRUE(fs::is_empty(dir / "empty"));
}

// It may be a mount point, a shell's current folder, one with a mode that somebody chose: it is filled, not replaced.
TEST(Quantize, AFolderThatIsThereStaysItself) {
    const TempDir dir;
    const fs::path in = test::data("nano-bf16/checkpoint"), out = dir / "out";
    fs::create_directory(out);
    fs::permissions(out, fs::perms::owner_all | fs::perms::group_all);
    fs::create_symlink(out, dir / "link");
    struct stat before {
    }, after{};
    ASSERT_EQ(stat(out.c_str(), &before), 0);
    QuantizeOptions options = nano(in, dir / "link");
    options.progress = [&](uint64_t, uint64_t) {
        EXPECT_EQ(listing(dir.path()), (std::vector<std::string>{"link", "out"}));  // nothing beside it
        EXPECT_FALSE(Checkpoint::open(out));
    };
    const auto summary = quantize(options);
    ASSERT_TRUE(summary) << summary.error().text;
    ASSERT_EQ(stat(out.c_str(), &after), 0);
    EXPECT_EQ(before.st_ino, after.st_ino);
    EXPECT_EQ(before.st_mode, after.st_mode);
    EXPECT_EQ(listing(out), (std::vector<std::string>{"config.json", "generation_config.json", "model.safetensors",
                                                      "tokenizer.json", "tokenizer_config.json"}));
    EXPECT_TRUE(Checkpoint::open(out));
}

TEST(Quantize, OthersFilesAreLeftAlone) {
    const TempDir dir;
    fs::create_directory(dir / "out");
    QuantizeOptions options = nano(test::data("nano-bf16/checkpoint"), dir / "out");
    options.progress = [&](uint64_t, uint64_t) { test::write_bytes(dir / "out/model.safetensors", "theirs"); };
    EXPECT_NE(failure(options).find("wanted it still empty, found \"model.safetensors\""), std::string::npos);
    EXPECT_EQ(listing(dir / "out"), std::vector<std::string>{"model.safetensors"});
    EXPECT_EQ(test::read_bytes(dir / "out/model.safetensors"), "theirs");
}

}  // namespace
}  // namespace vks
