#include "backend/registry/left_behind.h"

#include <mutex>
#include <vector>

namespace vks {
namespace {

struct Left {
    std::mutex mutex;
    std::vector<const void*> list;
};

Left& left() {
    // NOLINTNEXTLINE(*-non-const-global-variables): the list is kept to the end, for leak checkers; never destroyed
    static auto& all = *new Left;
    return all;
}

}  // namespace

void leave_behind(const void* memory) {
    const std::lock_guard lock(left().mutex);
    left().list.push_back(memory);
}

bool anything_left_behind() {
    const std::lock_guard lock(left().mutex);
    return !left().list.empty();
}

}  // namespace vks
