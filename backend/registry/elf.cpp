// Field names, constants and rules are those of the System V ABI (gABI, chapters 4 and 5) and of glibc's loader, which
// looks at segments and the dynamic section alone; sections matter only as the part that a cut file lacks first.
#include "backend/registry/elf.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "backend/abi/plugin.h"

namespace vks {
namespace {

#if defined(__x86_64__)
constexpr unsigned kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kMachine = EM_AARCH64;
#elif defined(__riscv) && __riscv_xlen == 64
constexpr unsigned kMachine = EM_RISCV;
#else
#error "kMachine: this machine's number in <elf.h> (64 bits, little-endian)"
#endif

constexpr std::string_view kEntrySymbol = "vks_plugin_entry";
constexpr uint64_t kEntryBytes = offsetof(vks_entry, negotiate) + sizeof(vks_entry::negotiate);  // version 1.0
constexpr size_t kMaxSegments = 64;                                                              // usual: about 10
constexpr uint64_t kAddressEnd = uint64_t{1} << 48;  // no user address is above; sums below it cannot overflow

template <class... Args>
Error wrong(fmt::format_string<Args...> format, Args&&... args) {
    return Error{Code::kNoBackend, fmt::format(format, std::forward<Args>(args)...)};
}

// Tables that the loader walks: where, how long, of what.
struct Table {
    int64_t address_tag, size_tag;
    uint64_t entry_bytes;
    const char* name;
};
constexpr Table kTables[] = {
    {DT_STRTAB, DT_STRSZ, 1, "string table"},
    {DT_RELA, DT_RELASZ, sizeof(Elf64_Rela), "relocations"},
    {DT_JMPREL, DT_PLTRELSZ, sizeof(Elf64_Rela), "relocations of functions"},
    {DT_RELR, DT_RELRSZ, sizeof(uint64_t), "relative relocations"},
    {DT_INIT_ARRAY, DT_INIT_ARRAYSZ, sizeof(uint64_t), "constructors"},
    {DT_FINI_ARRAY, DT_FINI_ARRAYSZ, sizeof(uint64_t), "destructors"},
};

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
    Status relocations(const Table& table);

    // A T at `offset` of `bytes`; the caller has checked that it is there.
    template <class T>
    static T at(std::span<const std::byte> bytes, uint64_t offset) {
        CHECK(offset <= bytes.size() && sizeof(T) <= bytes.size() - offset, "read at {} of {}", offset, bytes.size());
        T value;
        std::memcpy(&value, bytes.data() + offset, sizeof value);
        return value;
    }
    bool in_file(uint64_t offset, uint64_t bytes) const {
        return offset <= file_.size() && bytes <= file_.size() - offset;
    }
    std::span<const Elf64_Phdr> segment_list() const { return std::span(segment_).first(segment_count_); }
    // Whether a loaded segment covers the addresses; with `whole_pages`, up to the end of its last page.
    bool loaded(uint64_t address, uint64_t bytes, bool whole_pages = false) const;
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

Status Elf::look() {
    VKS_TRY(identity());
    VKS_TRY(headers());
    VKS_TRY(segments());
    VKS_TRY(loads());
    VKS_TRY(dynamic());
    VKS_TRY(tables());
    VKS_TRY(strings());
    VKS_TRY(count_symbols());
    VKS_TRY(symbols());
    VKS_TRY(relocations(kTables[1]));
    return relocations(kTables[2]);
}

Status Elf::identity() {
    if (file_.size() < EI_NIDENT || std::memcmp(file_.data(), ELFMAG, SELFMAG) != 0)
        return wrong("file: wanted an ELF library, found {}", file_.empty() ? "nothing in it" : "other bytes");
    if (file_.size() < sizeof header_)
        return wrong("ELF header: wanted {} bytes, found {}", sizeof header_, file_.size());
    header_ = at<Elf64_Ehdr>(file_, 0);
    const unsigned bits = header_.e_ident[EI_CLASS], order = header_.e_ident[EI_DATA];
    if (bits != ELFCLASS64) return wrong("ELF class: wanted 64 bits ({}), found {}", ELFCLASS64, bits);
    if (order != ELFDATA2LSB) return wrong("ELF byte order: wanted little-endian ({}), found {}", ELFDATA2LSB, order);
    if (header_.e_ident[EI_VERSION] != EV_CURRENT || header_.e_version != EV_CURRENT)
        return wrong("ELF version: wanted {}, found {} and {}", EV_CURRENT, header_.e_ident[EI_VERSION],
                     header_.e_version);
    if (header_.e_machine != kMachine)
        return wrong("ELF machine: wanted {}, this one's number, found {}", kMachine, header_.e_machine);
    if (header_.e_type != ET_DYN)
        return wrong("ELF type: wanted a shared library ({}), found {}", ET_DYN, header_.e_type);
    return {};
}

Status Elf::headers() {
    if (header_.e_phnum == 0 || header_.e_phnum > kMaxSegments)
        return wrong("ELF program headers: wanted 1 to {}, found {}", kMaxSegments, header_.e_phnum);
    if (header_.e_phentsize != sizeof(Elf64_Phdr))
        return wrong("ELF program headers: wanted {} bytes each, found {}", sizeof(Elf64_Phdr), header_.e_phentsize);
    if (!in_file(header_.e_phoff, header_.e_phnum * sizeof(Elf64_Phdr)))
        return wrong("ELF program headers: wanted {} within the file's {} bytes, found them at {}", header_.e_phnum,
                     file_.size(), header_.e_phoff);
    for (; segment_count_ < header_.e_phnum; ++segment_count_)
        segment_[segment_count_] = at<Elf64_Phdr>(file_, header_.e_phoff + segment_count_ * sizeof(Elf64_Phdr));
    if (header_.e_shoff == 0) return {};  // stripped of its sections
    if (header_.e_shnum != 0 && header_.e_shentsize != sizeof(Elf64_Shdr))
        return wrong("ELF section headers: wanted {} bytes each, found {}", sizeof(Elf64_Shdr), header_.e_shentsize);
    if (!in_file(header_.e_shoff, header_.e_shnum * sizeof(Elf64_Shdr)))
        return wrong("ELF section headers: wanted {} within the file's {} bytes, found them at {}", header_.e_shnum,
                     file_.size(), header_.e_shoff);
    return {};
}

// What every segment must keep, loaded or not.
Status Elf::segments() {
    for (size_t i = 0; i < segment_count_; ++i) {
        const Elf64_Phdr& s = segment_[i];
        if (s.p_type == PT_NULL || s.p_type == PT_GNU_STACK) continue;
        if (!in_file(s.p_offset, s.p_filesz))
            return wrong("ELF segment {}: wanted it within the file's {} bytes, found {} bytes at {}", i, file_.size(),
                         s.p_filesz, s.p_offset);
        if (s.p_vaddr > kAddressEnd || s.p_memsz > kAddressEnd - s.p_vaddr)
            return wrong("ELF segment {}: wanted addresses below 2^48, found {} bytes at {:#x}", i, s.p_memsz,
                         s.p_vaddr);
    }
    return {};
}

// The loader reserves from the first to the last and maps the rest over whatever is there.
Status Elf::loads() {
    uint64_t end = 0;
    size_t count = 0;
    for (size_t i = 0; i < segment_count_; ++i) {
        const Elf64_Phdr& s = segment_[i];
        if (s.p_type != PT_LOAD) continue;
        if (s.p_memsz < s.p_filesz)
            return wrong("ELF segment {}: wanted memory for {} bytes, found {}", i, s.p_filesz, s.p_memsz);
        if (s.p_vaddr < end)
            return wrong("ELF segment {}: wanted an address from {:#x}, found {:#x}", i, end, s.p_vaddr);
        if (s.p_align == 0 || (s.p_align & (s.p_align - 1)) != 0 || s.p_align > kAddressEnd ||
            (s.p_vaddr - s.p_offset) % s.p_align != 0)
            return wrong("ELF segment {}: wanted address and offset alike to a power of two, found alignment {}", i,
                         s.p_align);
        end = s.p_vaddr + s.p_memsz;
        ++count;
    }
    if (count == 0) return wrong("ELF segments: wanted one to load, found none");
    for (size_t i = 0; i < segment_count_; ++i) {
        const Elf64_Phdr& s = segment_[i];
        const bool used = s.p_type == PT_DYNAMIC || s.p_type == PT_TLS || s.p_type == PT_NOTE ||
                          s.p_type == PT_GNU_PROPERTY || s.p_type == PT_GNU_EH_FRAME;
        const uint64_t bytes = s.p_type == PT_TLS ? s.p_filesz : s.p_memsz;
        if ((used && !loaded(s.p_vaddr, bytes)) || (s.p_type == PT_GNU_RELRO && !loaded(s.p_vaddr, s.p_memsz, true)))
            return wrong("ELF segment {}: wanted it within a loaded one, found {} bytes at {:#x}", i, bytes, s.p_vaddr);
    }
    return {};
}

bool Elf::loaded(uint64_t address, uint64_t bytes, bool whole_pages) const {
    for (const Elf64_Phdr& s : segment_list()) {
        if (s.p_type != PT_LOAD || address < s.p_vaddr) continue;
        uint64_t end = s.p_vaddr + s.p_memsz;
        if (whole_pages) end = (end + s.p_align - 1) / s.p_align * s.p_align;
        if (address <= end && bytes <= end - address) return true;
    }
    return false;
}

std::span<const std::byte> Elf::from(uint64_t address) const {
    for (const Elf64_Phdr& s : segment_list()) {
        if (s.p_type != PT_LOAD || address < s.p_vaddr || address - s.p_vaddr >= s.p_filesz) continue;
        const uint64_t skipped = address - s.p_vaddr;
        return file_.subspan(s.p_offset + skipped, s.p_filesz - skipped);
    }
    return {};
}

Status Elf::dynamic() {
    for (const Elf64_Phdr& s : segment_list())
        if (s.p_type == PT_DYNAMIC) dynamic_ = from(s.p_vaddr).first(std::min(s.p_filesz, from(s.p_vaddr).size()));
    for (uint64_t end = 0; end + sizeof(Elf64_Dyn) <= dynamic_.size(); end += sizeof(Elf64_Dyn)) {
        if (at<Elf64_Dyn>(dynamic_, end).d_tag != DT_NULL) continue;
        dynamic_ = dynamic_.first(end);
        return {};
    }
    return wrong("ELF dynamic section: wanted one with an end, found none");
}

std::optional<uint64_t> Elf::tag(int64_t wanted) const {
    std::optional<uint64_t> value;
    for (uint64_t i = 0; i < dynamic_.size(); i += sizeof(Elf64_Dyn)) {
        const auto entry = at<Elf64_Dyn>(dynamic_, i);
        if (entry.d_tag == wanted) value = entry.d_un.d_val;
    }
    return value;
}

Status Elf::tables() {
    for (const Table& table : kTables) {
        const uint64_t bytes = tag(table.size_tag).value_or(0);
        const auto address = tag(table.address_tag);
        if (bytes == 0) continue;
        if (!address || bytes % table.entry_bytes != 0 || from(*address).size() < bytes)
            return wrong("{}: wanted {} bytes of the library's file, found fewer", table.name, bytes);
    }
    return {};
}

Status Elf::strings() {
    const uint64_t bytes = tag(DT_STRSZ).value_or(0);
    if (bytes == 0) return wrong("string table: wanted one, found none");
    strings_ = from(*tag(DT_STRTAB)).first(bytes);
    if (strings_.back() != std::byte{0}) return wrong("string table: wanted a zero at its end, found another byte");
    for (uint64_t i = 0; i < dynamic_.size(); i += sizeof(Elf64_Dyn)) {
        const auto entry = at<Elf64_Dyn>(dynamic_, i);
        const bool text = entry.d_tag == DT_NEEDED || entry.d_tag == DT_SONAME || entry.d_tag == DT_RPATH ||
                          entry.d_tag == DT_RUNPATH;
        if (text && entry.d_un.d_val >= bytes)
            return wrong("ELF dynamic section: wanted names within {} bytes, found one at {}", bytes, entry.d_un.d_val);
    }
    return {};
}

// Only a hash table says how many symbols there are. GNU's is the one that the loader prefers.
Status Elf::count_symbols() {
    if (tag(DT_SYMENT).value_or(0) != sizeof(Elf64_Sym) || !tag(DT_SYMTAB))
        return wrong("symbol table: wanted one of {} bytes a symbol, found none", sizeof(Elf64_Sym));
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

Status Elf::relocations(const Table& table) {
    const uint64_t bytes = tag(table.size_tag).value_or(0);
    if (bytes == 0) return {};
    const auto list = from(*tag(table.address_tag)).first(bytes);
    for (uint64_t i = 0; i < bytes; i += sizeof(Elf64_Rela)) {
        const auto relocation = at<Elf64_Rela>(list, i);
        const uint64_t symbol = ELF64_R_SYM(relocation.r_info);
        if (ELF64_R_TYPE(relocation.r_info) == 0) continue;  // NONE, on every machine
        if (symbol * sizeof(Elf64_Sym) >= symbols_.size() || !loaded(relocation.r_offset, sizeof(uint64_t)))
            return wrong("{} {}: wanted a symbol and an address of the library, found {} and {:#x}", table.name,
                         i / sizeof(Elf64_Rela), symbol, relocation.r_offset);
    }
    return {};
}

}  // namespace

Result<void> look_at_elf(std::span<const std::byte> file) {
    return Elf(file).look();
}

}  // namespace vks
