// What can be told from a plugin's file before the dynamic loader gets it: whether it is a library of this machine, all
// there, and with the entry symbol. The loader believes what such a file says, and crashes the program where it lies.
// Not a defence against code: a library that passes may still do anything once it is opened.
#pragma once
#include <cstddef>
#include <span>

#include "backend/base/result.h"

namespace vks {

// Success, or the first thing that is wrong with it. Reads nothing but `file`, allocates nothing but the message, and
// takes time linear in the file's size. Thread-safe.
Result<void> look_at_elf(std::span<const std::byte> file);

}  // namespace vks
