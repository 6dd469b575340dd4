// The look at a plugin's file before it is opened.
#include <span>

#include "backend/registry/elf.h"
#include "tests/fuzz/fuzz.h"

namespace vks::fuzz {

void run_input(std::string_view input) {
    const Status status = look_at_elf(std::as_bytes(std::span(input)));
    if (!status) check_error(status.error(), Code::kNoBackend);
}

}  // namespace vks::fuzz
