#include "backend/registry/left_behind.h"

#include <mutex>
#include <vector>

namespace vks {

void leave_behind(const void* memory) {
    static std::mutex mutex;
    // NOLINTNEXTLINE(*-non-const-global-variables): the list is kept to the end, for leak checkers; never destroyed
    static auto& left = *new std::vector<const void*>;
    const std::lock_guard lock(mutex);
    left.push_back(memory);
}

}  // namespace vks
