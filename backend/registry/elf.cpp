// Field names, constants and rules are those of the System V ABI (gABI, chapters 4 and 5) and of glibc's loader, which
// looks at segments and the dynamic section alone; sections matter only as the part that a cut file lacks first.
#include "backend/registry/elf.h"

#include <algorithm>

#include "backend/registry/elf_file.h"

namespace vks {
namespace elf {
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

constexpr uint64_t kAddressEnd = uint64_t{1} << 48;  // no user address is above; sums below it cannot overflow

constexpr size_t kMaxDynamic = 1024;  // usual: about 30

// Tables that the loader walks: where, how long, of what, and a tag that must have a value (0: none).
struct Table {
    int64_t address_tag, size_tag;
    uint64_t entry_bytes;
    int64_t kind_tag;
    uint64_t kind;
    const char* name;
};
constexpr Table kTables[] = {
    {DT_STRTAB, DT_STRSZ, 1, DT_SYMENT, sizeof(Elf64_Sym), "string table"},
    {DT_RELA, DT_RELASZ, sizeof(Elf64_Rela), DT_RELAENT, sizeof(Elf64_Rela), "relocations"},
    {DT_JMPREL, DT_PLTRELSZ, sizeof(Elf64_Rela), DT_PLTREL, DT_RELA, "relocations of functions"},
    {DT_RELR, DT_RELRSZ, sizeof(uint64_t), DT_RELRENT, sizeof(uint64_t), "relative relocations"},
    {DT_INIT_ARRAY, DT_INIT_ARRAYSZ, sizeof(uint64_t), 0, 0, "constructors"},
    {DT_FINI_ARRAY, DT_FINI_ARRAYSZ, sizeof(uint64_t), 0, 0, "destructors"},
};

}  // namespace

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
    VKS_TRY(versions());
    VKS_TRY(functions());
    VKS_TRY(relocations(DT_RELA, DT_RELASZ, DT_RELACOUNT));
    return relocations(DT_JMPREL, DT_PLTRELSZ, DT_NULL);
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
        if ((used && !loaded(s.p_vaddr, bytes)) || (s.p_type == PT_GNU_RELRO && !loaded(s.p_vaddr, s.p_memsz, 0, true)))
            return wrong("ELF segment {}: wanted it within a loaded one, found {} bytes at {:#x}", i, bytes, s.p_vaddr);
    }
    return {};
}

bool Elf::loaded(uint64_t address, uint64_t bytes, uint32_t rights, bool whole_pages) const {
    for (const Elf64_Phdr& s : segment_list()) {
        if (s.p_type != PT_LOAD || (s.p_flags & rights) != rights || address < s.p_vaddr) continue;
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
        if (end / sizeof(Elf64_Dyn) > kMaxDynamic) break;
        if (at<Elf64_Dyn>(dynamic_, end).d_tag != DT_NULL) continue;
        dynamic_ = dynamic_.first(end);
        return {};
    }
    return wrong("ELF dynamic section: wanted one with an end within {} entries, found none", kMaxDynamic);
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
        const auto address = tag(table.address_tag), bytes = tag(table.size_tag);
        if (!address && !bytes) continue;
        if (!address || !bytes)
            return wrong("{}: wanted where they are and how long, found one of the two", table.name);
        if (*bytes % table.entry_bytes != 0 || (*bytes != 0 && from(*address).size() < *bytes))
            return wrong("{}: wanted {} bytes of the library's file, found fewer", table.name, *bytes);
        if (table.kind_tag != 0 && tag(table.kind_tag) != table.kind)
            return wrong("{}: wanted them to be of kind {}, found another", table.name, table.kind);
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

}  // namespace elf

Result<void> look_at_elf(std::span<const std::byte> file) {
    return elf::Elf(file).look();
}

}  // namespace vks
