// Reading and writing safetensors files.
#include "frontend/io/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "frontend/io/safetensors_writer.h"
#include "tests/support/edit_checkpoint.h"
#include "tests/support/paths.h"
#include "tests/support/temp_dir.h"

namespace vks {
namespace {

using test::TempDir;

TEST(Safetensors, ReadsAGoldenFile) {
    const auto file = SafetensorsFile::open(test::data("ops/rope_yarn.safetensors"));
    ASSERT_TRUE(file) << file.error().text;
    EXPECT_EQ(file->tensors().size(), 41u);
    const TensorView* x = file->find("c0.x");
    ASSERT_NE(x, nullptr);
    EXPECT_EQ(x->dtype, DType::kF32);
    EXPECT_EQ(x->shape, (Shape{13, 64}));
    EXPECT_EQ(x->bytes, 13u * 64 * 4);
    EXPECT_TRUE(x->aligned());
    EXPECT_EQ(file->find("c0"), nullptr);
    EXPECT_EQ(file->find(""), nullptr);
}

TEST(Safetensors, ReadsEveryGoldenFile) {
    int files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(test::data(""))) {
        if (entry.path().extension() != ".safetensors") continue;
        const auto file = SafetensorsFile::open(entry.path());
        EXPECT_TRUE(file) << file.error().text;
        ++files;
    }
    EXPECT_GT(files, 15);
}

TEST(Safetensors, ViewsStayValidWhenTheFileMoves) {
    auto opened = SafetensorsFile::open(test::data("ops/rope_yarn.safetensors"));
    ASSERT_TRUE(opened);
    const TensorView* before = opened->find("positions");
    const SafetensorsFile moved = *std::move(opened);
    EXPECT_EQ(moved.find("positions"), before);
    EXPECT_EQ(before->name, "positions");
    EXPECT_EQ(before->file, &moved.file());
}

TEST(Safetensors, WritesWhatItReads) {
    const TempDir dir;
    std::vector<float> floats(6);
    std::iota(floats.begin(), floats.end(), 0.5f);
    const uint8_t bytes[] = {1, 2, 3};
    const int64_t scalar = -7;
    const TensorData tensors[] = {{{"bytes", DType::kU8, {3}}, bytes},
                                  {{"quote\" and \u00e9", DType::kF32, {2, 3}}, floats.data()},
                                  {{"scalar", DType::kI64, {}}, &scalar},
                                  {{"empty", DType::kBF16, {0, 4}}, nullptr}};
    ASSERT_TRUE(write_safetensors(dir / "out.safetensors", tensors));

    const auto file = SafetensorsFile::open(dir / "out.safetensors");
    ASSERT_TRUE(file) << file.error().text;
    ASSERT_EQ(file->tensors().size(), 4u);
    for (const TensorData& tensor : tensors) {
        const TensorView* view = file->find(tensor.info.name);
        ASSERT_NE(view, nullptr) << tensor.info.name;
        EXPECT_EQ(view->dtype, tensor.info.dtype);
        EXPECT_EQ(view->shape, tensor.info.shape);
        EXPECT_TRUE(view->aligned()) << tensor.info.name;
        ASSERT_EQ(view->bytes, tensor.info.bytes());
        EXPECT_TRUE(view->bytes == 0 || std::memcmp(view->data, tensor.data, view->bytes) == 0);
    }
    EXPECT_EQ(file->metadata().at("format"), "pt");
    EXPECT_EQ((sizeof(uint64_t) + test::read_raw(dir / "out.safetensors").header.size()) % 256, 0u);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1) << "a temporary file is left";
}

TEST(Safetensors, WriterReplacesAFileOnlyWhenFinished) {
    const TempDir dir;
    const auto target = dir / "out.safetensors";
    test::write_bytes(target, "old");
    {
        auto writer = SafetensorsWriter::create(target, {{"a", DType::kU8, {4}}});
        ASSERT_TRUE(writer) << writer.error().text;
    }
    EXPECT_EQ(test::read_bytes(target), "old");
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1);

    auto writer = SafetensorsWriter::create(target, {{"a", DType::kU8, {4}}, {"b", DType::kF32, {1000}}});
    ASSERT_TRUE(writer);
    ASSERT_EQ(writer->tensors()[0].name, "b");  // larger elements first
    ASSERT_TRUE(writer->skip(4000));
    ASSERT_TRUE(writer->write(std::as_bytes(std::span("wxyz", 4))));
    ASSERT_TRUE(writer->finish());
    const auto file = SafetensorsFile::open(target);
    ASSERT_TRUE(file) << file.error().text;
    EXPECT_EQ(std::memcmp(file->find("a")->data, "wxyz", 4), 0);
    EXPECT_EQ(file->file().size(), writer->file_bytes());
}

TEST(Safetensors, WriterGoesThroughLinks) {
    namespace fs = std::filesystem;
    const TempDir dir;
    fs::create_directory(dir / "there");
    test::write_bytes(dir / "there/old.safetensors", "old");
    fs::create_symlink("there/old.safetensors", dir / "relative");
    fs::create_symlink(dir / "relative", dir / "chain");
    fs::create_symlink("there/new.safetensors", dir / "dangling");
    const float one = 1;
    const TensorData tensor{{"a", DType::kF32, {1}}, &one};
    for (const auto& [link, file] :
         {std::pair("chain", "there/old.safetensors"), {"dangling", "there/new.safetensors"}}) {
        const Status written = write_safetensors(dir / link, {&tensor, 1});
        ASSERT_TRUE(written) << written.error().text;
        EXPECT_TRUE(fs::is_symlink(dir / link)) << link;
        EXPECT_FALSE(fs::is_symlink(dir / file)) << link;
        EXPECT_TRUE(SafetensorsFile::open(dir / file)) << link;
    }
    EXPECT_TRUE(fs::is_symlink(dir / "relative"));
    fs::create_symlink("loop", dir / "loop");
    EXPECT_FALSE(write_safetensors(dir / "loop", {&tensor, 1}));
}

TEST(Safetensors, WriterRefusesWhatItShouldNotReplace) {
    const TempDir dir;
    EXPECT_FALSE(SafetensorsWriter::create("/dev/null", {}));
    EXPECT_FALSE(SafetensorsWriter::create(dir.path(), {}));
    EXPECT_FALSE(SafetensorsWriter::create(dir / "none/out.safetensors", {}));
    EXPECT_FALSE(SafetensorsWriter::create(dir / "out", {{"a", DType::kU8, {1}}, {"a", DType::kU8, {1}}}));
}

// The types that no operator computes with are read all the same.
TEST(Safetensors, KnowsEveryType) {
    const TempDir dir;
    for (const DTypeInfo& info : kDTypes) {
        const std::string zeros(64, '\0');
        const TensorData tensor = {{"t", info.dtype, {4, 2}}, zeros.data()};
        ASSERT_TRUE(write_safetensors(dir / "t", {&tensor, 1}));
        const auto file = SafetensorsFile::open(dir / "t");
        ASSERT_TRUE(file) << file.error().text;
        EXPECT_EQ(file->tensors()[0].dtype, info.dtype) << info.name;
        EXPECT_EQ(file->tensors()[0].bytes, info.bits) << info.name;
    }
}

TEST(Safetensors, AcceptsAFileWithoutTensors) {
    const TempDir dir;
    test::write_raw(dir / "none", {"{}", ""});
    const auto file = SafetensorsFile::open(dir / "none");
    ASSERT_TRUE(file) << file.error().text;
    EXPECT_TRUE(file->tensors().empty());
}

// Older writers did not pad the header.
TEST(Safetensors, SaysWhenDataIsNotAligned) {
    const TempDir dir;
    std::string header = R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
    header.resize(header.size() + (9 - header.size() % 8) % 8, ' ');
    test::write_raw(dir / "odd", {header, std::string(8, 'x')});
    const auto file = SafetensorsFile::open(dir / "odd");
    ASSERT_TRUE(file) << file.error().text;
    EXPECT_FALSE(file->tensors()[0].aligned());
}

// Names from the file are shown, cut and on one line.
TEST(Safetensors, MessagesStayOnOneLine) {
    const TempDir dir;
    const std::string name = "evil\\n\\u001b[31m" + std::string(100000, 'n');
    test::write_raw(dir / "evil", {R"({")" + name + R"(":{"dtype":"X","shape":[],"data_offsets":[0,0]}})", ""});
    const auto file = SafetensorsFile::open(dir / "evil");
    ASSERT_FALSE(file);
    EXPECT_LT(file.error().text.size(), 1000u);
    for (const char c : file.error().text) EXPECT_GE(static_cast<unsigned char>(c), 0x20);
}

}  // namespace
}  // namespace vks
