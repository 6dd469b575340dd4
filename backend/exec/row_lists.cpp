#include "backend/exec/row_lists.h"

#include <algorithm>

#include "backend/base/check.h"

namespace vks {

Result<vks_tensor> RowLists::of(vks_tensor tensor, const int32_t* offset, size_t first, size_t last) {
    const auto count = static_cast<size_t>(tensor.dim[0]);
    if (count_ < count) {
        VKS_ASSIGN(offsets_, device_.buffer(count * sizeof(int32_t), VKS_BUFFER_DEVICE, nullptr, "memory for offsets"));
        map_ = static_cast<int32_t*>(device_.map(offsets_));
        CHECK(map_ != nullptr, "{}: memory without an address", device_.id());
        count_ = count;
    }
    for (size_t e = 0; e < count; ++e) map_[e] = std::clamp(offset[e], offset[first], offset[last]);
    tensor.buffer = offsets_.get();
    tensor.offset = 0;
    return tensor;
}

}  // namespace vks
