// libFuzzer's entry to a target. Counts what libFuzzer does not: the bytes of all inputs.
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/fuzz.h"

namespace {

std::uint64_t executions = 0, bytes = 0;

void print_totals() {
    std::fprintf(stderr, "fuzz: %" PRIu64 " executions, %" PRIu64 " bytes\n", executions, bytes);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    return std::atexit(print_totals);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ++executions;
    bytes += size;
    vks::fuzz::run_input({reinterpret_cast<const char*>(data), size});
    return 0;
}
