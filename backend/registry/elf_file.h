// An ELF file as elf.h checks it, step by step: elf.cpp has the file, its segments and its dynamic section,
// elf_symbols.cpp what is linked. Each step relies on those before it.
#pragma once
#include <elf.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "backend/base/result.h"

namespace vks::elf {

template <class... Args>
Error wrong(fmt::format_string<Args...> format, Args&&... args) {
    return Error{Code::kNoBackend, fmt::format(format, std::forward<Args>(args)...)};
}

inline constexpr size_t kMaxSegments = 64;  // usual: about 10

class Elf {
public:
    explicit Elf(std::span<const std::byte> file) : file_(file) {}
    Status look();

private:
    Status identity();
    Status headers();
    Status segments();
    Status loads();
    Status dynamic();
    Status tables();
    Status strings();
    Status count_symbols();
    Status count_by_gnu_hash(uint64_t address);
    Status symbols();
    Status entry(const Elf64_Sym& symbol);
    Status versions();
    Status needed_versions(uint64_t address, unsigned& highest);
    Status defined_versions(uint64_t address, unsigned& highest);
    bool is_needed(uint32_t name) const;
    Status functions();
    Status relocations(int64_t address_tag, int64_t size_tag, int64_t count_tag);

    // A T at `offset` of `bytes`; the caller has checked that it is there.
    template <class T>
    static T at(std::span<const std::byte> bytes, uint64_t offset) {
        CHECK(offset <= bytes.size() && sizeof(T) <= bytes.size() - offset, "read at {} of {}", offset, bytes.size());
        T value{};
        std::memcpy(&value, bytes.data() + offset, sizeof value);
        return value;
    }
    bool in_file(uint64_t offset, uint64_t bytes) const {
        return offset <= file_.size() && bytes <= file_.size() - offset;
    }
    std::span<const Elf64_Phdr> segment_list() const { return std::span(segment_).first(segment_count_); }
    // Whether a loaded segment with these rights (PF_W) covers the addresses; with `whole_pages`, up to the end of its
    // last page.
    bool loaded(uint64_t address, uint64_t bytes, uint32_t rights = 0, bool whole_pages = false) const;
    // The file's bytes from `address` to the end of what its segment has in the file; empty when there are none.
    std::span<const std::byte> from(uint64_t address) const;
    // The value of a tag of the dynamic section; the last one counts, as in the loader.
    std::optional<uint64_t> tag(int64_t wanted) const;

    std::span<const std::byte> file_;
    Elf64_Ehdr header_{};
    std::array<Elf64_Phdr, kMaxSegments> segment_{};
    size_t segment_count_ = 0;
    std::span<const std::byte> dynamic_;  // without the terminator
    std::span<const std::byte> strings_;
    std::span<const std::byte> symbols_;
};

}  // namespace vks::elf
