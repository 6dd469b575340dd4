// What the dynamic loader links: symbols, their versions, the functions it calls, the places it fills in.
#include <algorithm>
#include <string_view>

#include "backend/abi/plugin.h"
#include "backend/registry/elf_file.h"

namespace vks::elf {
namespace {

#if defined(__x86_64__)
constexpr unsigned kRelative = R_X86_64_RELATIVE;
#elif defined(__aarch64__)
constexpr unsigned kRelative = R_AARCH64_RELATIVE;
#else
constexpr unsigned kRelative = R_RISCV_RELATIVE;
#endif

constexpr std::string_view kEntrySymbol = "vks_plugin_entry";
constexpr uint64_t kEntryBytes = offsetof(vks_entry, negotiate) + sizeof(vks_entry::negotiate);  // version 1.0
constexpr unsigned kVersionBits = 0x7fff;
constexpr size_t kMaxFileName = 255;  // longer ones are alike for us
constexpr size_t kMaxNeeded = 256;    // libraries whose versions are wanted; usual: 5

}  // namespace

// Only a hash table says how many symbols there are. GNU's is the one that the loader prefers.
Status Elf::count_symbols() {
    if (!tag(DT_SYMTAB)) return wrong("symbol table: wanted one, found none");
    symbols_ = from(*tag(DT_SYMTAB));
    if (const auto gnu = tag(DT_GNU_HASH)) return count_by_gnu_hash(*gnu);
    const auto hash = from(tag(DT_HASH).value_or(0));
    if (!tag(DT_HASH) || hash.size() < 8) return wrong("symbol hash table: wanted one, found none");
    const uint64_t buckets = at<uint32_t>(hash, 0), count = at<uint32_t>(hash, 4);
    if (buckets == 0 || (2 + buckets + count) * 4 > hash.size() || count * sizeof(Elf64_Sym) > symbols_.size())
        return wrong("symbol table: wanted {} symbols in the library's file, found fewer", count);
    symbols_ = symbols_.first(count * sizeof(Elf64_Sym));
    return {};
}

// Header, Bloom filter, buckets, then a word for each symbol from `first` on whose lowest bit ends a chain. The chain
// of the highest bucket is the last one.
Status Elf::count_by_gnu_hash(uint64_t address) {
    const auto table = from(address);
    if (table.size() < 16) return wrong("symbol hash table: wanted 16 bytes, found {}", table.size());
    const uint64_t buckets = at<uint32_t>(table, 0), first = at<uint32_t>(table, 4), words = at<uint32_t>(table, 8);
    const uint64_t chains = 16 + words * 8 + buckets * 4;
    if (buckets == 0 || words == 0 || (words & (words - 1)) != 0 || chains > table.size())
        return wrong("symbol hash table: wanted {} buckets and {} words of filter in the file, found fewer", buckets,
                     words);
    uint64_t last = 0;
    for (uint64_t i = 0; i < buckets; ++i) {
        const uint64_t start = at<uint32_t>(table, 16 + words * 8 + i * 4);
        if (start != 0 && start < first)
            return wrong("symbol hash table: wanted symbols from {} on, found {}", first, start);
        last = std::max(last, start);
    }
    uint64_t count = first;
    if (last != 0) {
        const auto word = [&](uint64_t symbol) { return chains + (symbol - first) * 4; };
        while (word(last) + 4 <= table.size() && (at<uint32_t>(table, word(last)) & 1) == 0) ++last;
        if (word(last) + 4 > table.size())
            return wrong("symbol hash table: wanted an end of the last chain, found none");
        count = last + 1;
    }
    if (count * sizeof(Elf64_Sym) > symbols_.size())
        return wrong("symbol table: wanted {} symbols in the library's file, found fewer", count);
    symbols_ = symbols_.first(count * sizeof(Elf64_Sym));
    return {};
}

Status Elf::symbols() {
    std::optional<Elf64_Sym> found;
    for (uint64_t i = 0; i < symbols_.size(); i += sizeof(Elf64_Sym)) {
        const auto symbol = at<Elf64_Sym>(symbols_, i);
        if (symbol.st_name >= strings_.size())
            return wrong("symbol {}: wanted a name within {} bytes, found it at {}", i / sizeof(Elf64_Sym),
                         strings_.size(), symbol.st_name);
        const auto name = strings_.subspan(symbol.st_name);
        if (symbol.st_shndx != SHN_UNDEF && name.size() > kEntrySymbol.size() &&
            std::memcmp(name.data(), kEntrySymbol.data(), kEntrySymbol.size()) == 0 &&
            name[kEntrySymbol.size()] == std::byte{0})
            found = symbol;
    }
    if (!found) return wrong("wanted the symbol {}, found none", kEntrySymbol);
    return entry(*found);
}

Status Elf::entry(const Elf64_Sym& symbol) {
    const unsigned type = ELF64_ST_TYPE(symbol.st_info);
    if (type != STT_OBJECT)
        return wrong("{}: wanted data ({}), found a symbol of type {}", kEntrySymbol, STT_OBJECT, type);
    if (symbol.st_size < kEntryBytes)
        return wrong("{}: wanted at least {} bytes, found {}", kEntrySymbol, kEntryBytes, symbol.st_size);
    if (!loaded(symbol.st_value, symbol.st_size))
        return wrong("{}: wanted it within a loaded segment, found it at {:#x}", kEntrySymbol, symbol.st_value);
    return {};
}

// A symbol's version is an index into what the two lists below number. The loader trusts it.
Status Elf::versions() {
    const auto needed = tag(DT_VERNEED), defined = tag(DT_VERDEF), list = tag(DT_VERSYM);
    if (!needed && !defined && !list) return {};
    if (!list) return wrong("symbol versions: wanted a list, found none");
    unsigned highest = 1;  // 0 local, 1 global without a version
    if (needed) VKS_TRY(needed_versions(*needed, highest));
    if (defined) VKS_TRY(defined_versions(*defined, highest));
    const uint64_t count = symbols_.size() / sizeof(Elf64_Sym);
    const auto versions = from(*list);
    if (versions.size() < count * 2) return wrong("symbol versions: wanted {}, found fewer", count);
    for (uint64_t i = 0; i < count; ++i) {
        const unsigned version = at<uint16_t>(versions, i * 2) & kVersionBits;
        if (version > highest) return wrong("symbol {}: wanted a version up to {}, found {}", i, highest, version);
    }
    return {};
}

// Per library the versions wanted of it, each list linked by distances.
Status Elf::needed_versions(uint64_t address, unsigned& highest) {
    const auto list = from(address);
    uint64_t left = list.size() / sizeof(Elf64_Vernaux);  // more steps than that go in circles
    uint64_t at_file = 0;
    for (size_t i = 0; i < kMaxNeeded; ++i) {
        if (at_file + sizeof(Elf64_Verneed) > list.size()) return wrong("needed versions: wanted an end, found none");
        const auto file = at<Elf64_Verneed>(list, at_file);
        if (!is_needed(file.vn_file)) return wrong("needed versions: wanted a library that is needed, found another");
        for (uint64_t at_version = at_file + file.vn_aux;;) {
            if (at_version + sizeof(Elf64_Vernaux) > list.size() || left-- == 0)
                return wrong("needed versions: wanted an end, found none");
            const auto version = at<Elf64_Vernaux>(list, at_version);
            if (version.vna_name >= strings_.size()) return wrong("needed versions: wanted a name, found none");
            highest = std::max(highest, version.vna_other & kVersionBits);
            if (version.vna_next == 0) break;
            at_version += version.vna_next;
        }
        if (file.vn_next == 0) return {};
        at_file += file.vn_next;
    }
    return wrong("needed versions: wanted at most {} libraries, found more", kMaxNeeded);
}

Status Elf::defined_versions(uint64_t address, unsigned& highest) {
    const auto list = from(address);
    for (uint64_t at_version = 0;;) {
        if (at_version + sizeof(Elf64_Verdef) > list.size()) return wrong("versions: wanted an end, found none");
        const auto version = at<Elf64_Verdef>(list, at_version);
        const uint64_t at_name = at_version + version.vd_aux;
        if (at_name + sizeof(Elf64_Verdaux) > list.size() ||
            at<Elf64_Verdaux>(list, at_name).vda_name >= strings_.size())
            return wrong("versions: wanted a name, found none");
        highest = std::max(highest, version.vd_ndx & kVersionBits);
        if (version.vd_next == 0) return {};
        at_version += version.vd_next;
    }
}

// Whether a DT_NEEDED entry has this name; the loader compares texts, and so two offsets may do.
bool Elf::is_needed(uint32_t name) const {
    if (name >= strings_.size()) return false;
    const auto* text = reinterpret_cast<const char*>(strings_.data());
    for (uint64_t i = 0; i < dynamic_.size(); i += sizeof(Elf64_Dyn)) {
        const auto entry = at<Elf64_Dyn>(dynamic_, i);
        if (entry.d_tag == DT_NEEDED && std::strncmp(text + entry.d_un.d_val, text + name, kMaxFileName) == 0)
            return true;
    }
    return false;
}

Status Elf::functions() {
    for (const int64_t which : {DT_INIT, DT_FINI}) {
        const auto address = tag(which);
        if (address && !loaded(*address, 1, PF_X))
            return wrong("ELF {} function: wanted it in a segment to run, found {:#x}",
                         which == DT_INIT ? "init" : "fini", *address);
    }
    return {};
}

// The first `count` are relative ones, which the loader takes for granted; it writes to each place without looking.
Status Elf::relocations(int64_t address_tag, int64_t size_tag, int64_t count_tag) {
    const uint64_t bytes = tag(size_tag).value_or(0), relative = tag(count_tag).value_or(0);
    if (bytes == 0) return {};
    const uint32_t rights = tag(DT_TEXTREL) || (tag(DT_FLAGS).value_or(0) & DF_TEXTREL) ? 0 : PF_W;
    const auto list = from(*tag(address_tag)).first(bytes);
    for (uint64_t i = 0; i < bytes / sizeof(Elf64_Rela); ++i) {
        const auto relocation = at<Elf64_Rela>(list, i * sizeof(Elf64_Rela));
        const uint64_t symbol = ELF64_R_SYM(relocation.r_info), type = ELF64_R_TYPE(relocation.r_info);
        if (i < relative && type != kRelative)
            return wrong("relocation {}: wanted type {}, found {}", i, kRelative, type);
        if (type == 0) continue;  // NONE, on every machine
        if (symbol * sizeof(Elf64_Sym) >= symbols_.size())
            return wrong("relocation {}: wanted a symbol of the library, found {}", i, symbol);
        if (!loaded(relocation.r_offset, sizeof(uint64_t), rights))
            return wrong("relocation {}: wanted an address to write to, found {:#x}", i, relocation.r_offset);
        if (type == kRelative && !loaded(static_cast<uint64_t>(relocation.r_addend), 0, 0, true))
            return wrong("relocation {}: wanted an address of the library, found {:#x}", i, relocation.r_addend);
    }
    return {};
}

}  // namespace vks::elf
