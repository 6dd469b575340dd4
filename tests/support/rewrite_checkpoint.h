// Copies of good checkpoints with other tensors in them.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "frontend/io/checkpoint.h"
#include "frontend/io/safetensors_writer.h"
#include "tests/support/edit_checkpoint.h"

namespace vks::test {

struct StoredTensor {
    TensorInfo info;
    std::string bytes;
};

// Makes a zero matrix of another type of it.
inline void retype(StoredTensor& tensor, DType dtype) {
    tensor.info.dtype = dtype;
    tensor.bytes.assign(tensor.info.bytes(), '\0');
}

// Copies tests/golden/MODEL/checkpoint into `dir`, all tensors in one file, each as `edit` leaves it; those it says
// false of are left out.
inline void rewrite_checkpoint(const std::string& model, const std::filesystem::path& dir,
                               const std::function<bool(StoredTensor&)>& edit) {
    const auto original = Checkpoint::open(test::data(model + "/checkpoint"));
    ASSERT_TRUE(original) << original.error().text;
    copy_checkpoint(model, dir);
    std::vector<StoredTensor> kept;
    for (const SafetensorsFile& file : original->files()) {
        std::filesystem::remove(dir / file.file().path().filename());
        for (const TensorView& view : file.tensors()) {
            StoredTensor tensor = {{std::string(view.name), view.dtype, view.shape}, std::string(view.bytes, '\0')};
            std::memcpy(tensor.bytes.data(), view.data, view.bytes);
            if (edit(tensor)) kept.push_back(std::move(tensor));
        }
    }
    std::filesystem::remove(dir / kIndex);
    std::vector<TensorData> tensors;
    for (const StoredTensor& tensor : kept) tensors.push_back({tensor.info, tensor.bytes.data()});
    ASSERT_TRUE(write_safetensors(dir / "model.safetensors", tensors));
}

}  // namespace vks::test
