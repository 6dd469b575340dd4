// A plugin's file before it is opened: whole it passes; cut, changed or foreign it doesn't, and nothing is read outside
// it. Under AddressSanitizer the last is worth most: each copy is an allocation of exactly its size.
#include "backend/registry/elf.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>

#include "backend/abi/plugin.h"
#include "tests/support/plugins.h"
#include "tests/support/temp_dir.h"

namespace vks {
namespace {

// The reason of a refusal, empty for none.
std::string look(const std::string& bytes) {
    const auto exact = std::make_unique<std::byte[]>(bytes.size());
    std::memcpy(exact.get(), bytes.data(), bytes.size());
    const auto result = look_at_elf({exact.get(), bytes.size()});
    return result ? "" : result.error().text;
}

template <class T>
T at(const std::string& file, uint64_t offset) {
    T value;
    std::memcpy(&value, file.data() + offset, sizeof value);
    return value;
}

template <class T>
void put(std::string& file, uint64_t offset, const T& value) {
    std::memcpy(file.data() + offset, &value, sizeof value);
}

void edit_header(std::string& file, const std::function<void(Elf64_Ehdr&)>& edit) {
    auto header = at<Elf64_Ehdr>(file, 0);
    edit(header);
    put(file, 0, header);
}

// The nth program header of a type.
uint64_t segment_offset(const std::string& file, uint32_t type, int nth = 0) {
    const auto header = at<Elf64_Ehdr>(file, 0);
    for (uint64_t i = 0; i < header.e_phnum; ++i) {
        const uint64_t offset = header.e_phoff + i * sizeof(Elf64_Phdr);
        if (at<Elf64_Phdr>(file, offset).p_type == type && nth-- == 0) return offset;
    }
    ADD_FAILURE() << "no segment of type " << type;
    return header.e_phoff;
}

void edit_segment(std::string& file, uint32_t type, const std::function<void(Elf64_Phdr&)>& edit, int nth = 0) {
    const uint64_t offset = segment_offset(file, type, nth);
    auto segment = at<Elf64_Phdr>(file, offset);
    edit(segment);
    put(file, offset, segment);
}

uint64_t tag_offset(const std::string& file, int64_t tag) {
    for (uint64_t i = at<Elf64_Phdr>(file, segment_offset(file, PT_DYNAMIC)).p_offset;; i += sizeof(Elf64_Dyn)) {
        const auto entry = at<Elf64_Dyn>(file, i);
        if (entry.d_tag == tag) return i;
        if (entry.d_tag == DT_NULL) break;
    }
    ADD_FAILURE() << "no tag " << tag;
    return 0;
}

uint64_t tag_value(const std::string& file, int64_t tag) {
    return at<Elf64_Dyn>(file, tag_offset(file, tag)).d_un.d_val;
}

void set_tag(std::string& file, int64_t tag, uint64_t value) {
    Elf64_Dyn entry{};
    entry.d_tag = tag;
    entry.d_un.d_val = value;
    put(file, tag_offset(file, tag), entry);
}

// Symbol and string tables are in the first segment, where addresses are offsets.
uint64_t entry_symbol(const std::string& file) {
    const uint64_t strings = tag_value(file, DT_STRTAB);
    for (uint64_t i = tag_value(file, DT_SYMTAB); i < strings; i += sizeof(Elf64_Sym)) {
        if (std::strcmp(file.data() + strings + at<Elf64_Sym>(file, i).st_name, "vks_plugin_entry") == 0) return i;
    }
    ADD_FAILURE() << "no entry symbol";
    return 0;
}

void edit_symbol(std::string& file, const std::function<void(Elf64_Sym&)>& edit) {
    const uint64_t offset = entry_symbol(file);
    auto symbol = at<Elf64_Sym>(file, offset);
    edit(symbol);
    put(file, offset, symbol);
}

class Elf : public ::testing::Test {
protected:
    const std::string good_ = test::read_bytes(test::test_dir() / "libvkseek_cnorm.so");
};

TEST_F(Elf, GoodPluginsPass) {
    EXPECT_EQ(look(good_), "");
    EXPECT_EQ(look(test::read_bytes(VKS_TEST_PLUGIN)), "");
    EXPECT_EQ(look(test::read_bytes(test::null_dir() / "libvkseek_null.so")), "");
}

TEST_F(Elf, WithoutSectionsToo) {
    std::string stripped = good_;
    edit_header(stripped, [](Elf64_Ehdr& h) { h.e_shoff = h.e_shnum = h.e_shstrndx = 0; });
    EXPECT_EQ(look(stripped), "");
}

TEST_F(Elf, CutAnywhereItIsRefused) {
    for (size_t length = 0; length < good_.size(); ++length)
        ASSERT_NE(look(good_.substr(0, length)), "") << length << " of " << good_.size();
}

// What a loader maps must be there even where the section headers can't tell.
TEST_F(Elf, CutAndWithoutSectionsItIsRefused) {
    std::string stripped = good_;
    edit_header(stripped, [](Elf64_Ehdr& h) { h.e_shoff = h.e_shnum = h.e_shstrndx = 0; });
    uint64_t end = 0;
    for (uint64_t i = 0; i < at<Elf64_Ehdr>(good_, 0).e_phnum; ++i) {
        const auto s = at<Elf64_Phdr>(good_, at<Elf64_Ehdr>(good_, 0).e_phoff + i * sizeof(Elf64_Phdr));
        end = std::max(end, s.p_offset + s.p_filesz);
    }
    EXPECT_EQ(look(stripped.substr(0, end)), "");
    EXPECT_NE(look(stripped.substr(0, end - 1)).find("within the file's"), std::string::npos);
}

TEST_F(Elf, AnyBytesComeToAnEnd) {
    const auto exact = std::make_unique<std::byte[]>(good_.size());
    std::memcpy(exact.get(), good_.data(), good_.size());
    for (size_t i = 0; i < good_.size(); ++i) {
        for (const std::byte flip : {std::byte{0x01}, std::byte{0x80}, std::byte{0xff}}) {
            exact[i] ^= flip;
            const auto result = look_at_elf({exact.get(), good_.size()});
            ASSERT_TRUE(result || result.error().text.find('\n') == std::string::npos) << i;
            exact[i] ^= flip;
        }
    }
}

struct Spoilt {
    const char* reason;
    std::function<void(std::string&)> spoil;
};

void expect_refusals(const std::string& good, const std::vector<Spoilt>& list) {
    for (const auto& [reason, spoil] : list) {
        std::string bad = good;
        spoil(bad);
        EXPECT_NE(look(bad).find(reason), std::string::npos) << reason << "\n" << look(bad);
    }
}

auto header(const std::function<void(Elf64_Ehdr&)>& edit) {
    return [=](std::string& file) { edit_header(file, edit); };
}
auto segment(uint32_t type, const std::function<void(Elf64_Phdr&)>& edit, int nth = 0) {
    return [=](std::string& file) { edit_segment(file, type, edit, nth); };
}
auto tag(int64_t which, uint64_t value) {
    return [=](std::string& file) { set_tag(file, which, value); };
}
// As if the entry weren't there.
auto untag(int64_t which) {
    return [=](std::string& file) { put(file, tag_offset(file, which), int64_t{DT_DEBUG}); };
}
auto symbol(const std::function<void(Elf64_Sym&)>& edit) {
    return [=](std::string& file) { edit_symbol(file, edit); };
}

TEST_F(Elf, HeadersThatAreWrong) {
    expect_refusals(
        good_, {{"wanted an ELF library, found nothing in it", [](std::string& f) { f.clear(); }},
                {"wanted an ELF library, found other bytes", [](std::string& f) { f[0] = '!'; }},
                {"ELF header: wanted 64 bytes, found 63", [](std::string& f) { f.resize(63); }},
                {"ELF class: wanted 64 bits (2), found 1", header([](auto& h) { h.e_ident[EI_CLASS] = ELFCLASS32; })},
                {"wanted little-endian (1), found 2", header([](auto& h) { h.e_ident[EI_DATA] = ELFDATA2MSB; })},
                {"ELF version: wanted 1, found 1 and 7", header([](auto& h) { h.e_version = 7; })},
                {"this one's number, found 20", header([](auto& h) { h.e_machine = EM_PPC; })},
                {"wanted a shared library (3), found 2", header([](auto& h) { h.e_type = ET_EXEC; })},
                {"wanted a shared library (3), found 4", header([](auto& h) { h.e_type = ET_CORE; })},
                {"program headers: wanted 1 to 64, found 0", header([](auto& h) { h.e_phnum = 0; })},
                {"program headers: wanted 1 to 64, found 65535", header([](auto& h) { h.e_phnum = 0xffff; })},
                {"program headers: wanted 56 bytes each, found 32", header([](auto& h) { h.e_phentsize = 32; })},
                {"within the file's", header([](auto& h) { h.e_phoff = UINT64_MAX - 8; })},
                {"section headers: wanted 64 bytes each", header([](auto& h) { h.e_shentsize = 40; })},
                {"section headers: wanted", header([](auto& h) { h.e_shoff = UINT64_MAX; })}});
}

TEST_F(Elf, SegmentsThatAreWrong) {
    expect_refusals(
        good_, {{"within the file's", segment(
                                          PT_LOAD, [](auto& s) { s.p_filesz = s.p_memsz = 1 << 30; }, 1)},
                {"within the file's", segment(
                                          PT_LOAD, [](auto& s) { s.p_offset = UINT64_MAX - 4095; }, 1)},
                {"addresses below 2^48", segment(
                                             PT_LOAD, [](auto& s) { s.p_memsz = UINT64_MAX; }, 1)},
                {"addresses below 2^48", segment(
                                             PT_LOAD, [](auto& s) { s.p_vaddr = UINT64_MAX - 4095; }, 1)},
                {"wanted memory for", segment(PT_LOAD, [](auto& s) { --s.p_memsz; })},
                {"wanted an address from", segment(
                                               PT_LOAD, [](auto& s) { s.p_vaddr = 0; }, 1)},
                {"alike to a power of two, found alignment 0", segment(PT_LOAD, [](auto& s) { s.p_align = 0; })},
                {"found alignment 4095", segment(PT_LOAD, [](auto& s) { s.p_align = 4095; })},
                {"alike to a power of two", segment(
                                                PT_LOAD, [](auto& s) { s.p_vaddr += 16; }, 1)},
                {"wanted it within a loaded one", segment(PT_DYNAMIC, [](auto& s) { s.p_vaddr = 1 << 30; })},
                {"wanted it within a loaded one", segment(PT_GNU_RELRO, [](auto& s) { s.p_memsz = 1 << 24; })},
                {"dynamic section: wanted one with an end", segment(PT_DYNAMIC, [](auto& s) { s.p_filesz = 32; })},
                {"dynamic section: wanted one with an end", segment(PT_DYNAMIC, [](auto& s) { s.p_type = PT_NULL; })},
                {"wanted one to load, found none", [](std::string& f) {
                     for (int i = 0; i < 4; ++i) edit_segment(f, PT_LOAD, [](auto& s) { s.p_type = PT_NULL; });
                 }}});
}

TEST_F(Elf, TablesThatAreWrong) {
    expect_refusals(
        good_,
        {{"string table: wanted", tag(DT_STRSZ, uint64_t{1} << 40)},
         {"string table: wanted one, found none", tag(DT_STRSZ, 0)},
         {"string table: wanted", tag(DT_STRTAB, UINT64_MAX - 3)},
         {"string table: wanted a zero", [](std::string& f) { set_tag(f, DT_STRSZ, tag_value(f, DT_STRSZ) - 1); }},
         {"relocations: wanted", tag(DT_RELASZ, 23)},
         {"relocations: wanted", tag(DT_RELA, UINT64_MAX)},
         {"relocations of functions: wanted", tag(DT_PLTRELSZ, UINT64_MAX - 23)},
         {"constructors: wanted", tag(DT_INIT_ARRAYSZ, 1 << 20)},
         {"destructors: wanted", tag(DT_FINI_ARRAY, 1 << 30)},
         {"wanted names within", tag(DT_NEEDED, 1 << 20)},
         {"string table: wanted them to be of kind 24", tag(DT_SYMENT, 16)},
         {"relocations: wanted them to be of kind 24", tag(DT_RELAENT, 23)},
         {"relocations of functions: wanted them to be of kind 7", tag(DT_PLTREL, DT_REL)},
         {"constructors: wanted where they are and how long", untag(DT_INIT_ARRAYSZ)},
         {"destructors: wanted where they are and how long", untag(DT_FINI_ARRAY)},
         {"symbol table: wanted one, found none", untag(DT_SYMTAB)},
         {"symbol hash table: wanted one, found none", untag(DT_GNU_HASH)},
         {"symbols in the library's file", tag(DT_SYMTAB, 1 << 30)},
         {"symbol hash table: wanted 16 bytes", tag(DT_GNU_HASH, 1 << 30)},
         {"symbol hash table: wanted 0 buckets",
          [](std::string& f) { put(f, tag_value(f, DT_GNU_HASH), uint32_t{0}); }},
         {"symbol hash table: wanted 4294967295 buckets",
          [](std::string& f) { put(f, tag_value(f, DT_GNU_HASH), UINT32_MAX); }},
         {"and 3 words of filter", [](std::string& f) { put(f, tag_value(f, DT_GNU_HASH) + 8, uint32_t{3}); }},
         {"symbols in the library's file", [](std::string& f) {
              put(f, tag_value(f, DT_GNU_HASH) + 4, uint32_t{1} << 30);
              const uint64_t words = at<uint32_t>(f, tag_value(f, DT_GNU_HASH) + 8);
              for (uint32_t i = 0; i < at<uint32_t>(f, tag_value(f, DT_GNU_HASH)); ++i)
                  put(f, tag_value(f, DT_GNU_HASH) + 16 + words * 8 + i * 4, uint32_t{0});
          }}});
}

auto relocation(uint64_t number, const std::function<void(Elf64_Rela&)>& edit) {
    return [=](std::string& file) {
        const uint64_t offset = tag_value(file, DT_RELA) + number * sizeof(Elf64_Rela);
        auto relocation = at<Elf64_Rela>(file, offset);
        edit(relocation);
        put(file, offset, relocation);
    };
}
auto needed_version(const std::function<void(Elf64_Verneed&)>& edit) {
    return [=](std::string& file) {
        auto needed = at<Elf64_Verneed>(file, tag_value(file, DT_VERNEED));
        edit(needed);
        put(file, tag_value(file, DT_VERNEED), needed);
    };
}

TEST_F(Elf, LinksThatAreWrong) {
    const uint64_t last = tag_value(good_, DT_RELASZ) / sizeof(Elf64_Rela) - 1;
    expect_refusals(
        good_, {{"relocation 0: wanted type", relocation(0, [](auto& r) { r.r_info = 1; })},
                {"wanted an address to write to", relocation(0, [](auto& r) { r.r_offset = uint64_t{1} << 40; })},
                {"wanted an address to write to", relocation(0, [](auto& r) { r.r_offset = 64; })},
                {"wanted an address of the library", relocation(0, [](auto& r) { r.r_addend = -1; })},
                {"wanted a symbol of the library", relocation(last, [](auto& r) { r.r_info |= uint64_t{1} << 60; })},
                {"init function: wanted it in a segment to run", tag(DT_INIT, 64)},
                {"fini function: wanted it in a segment to run", tag(DT_FINI, UINT64_MAX)},
                {"symbol versions: wanted", tag(DT_VERSYM, 1 << 30)},
                {"symbol versions: wanted a list", untag(DT_VERSYM)},
                {"wanted a version up to 1", untag(DT_VERNEED)},
                {"wanted a version up to", [](std::string& f) { put(f, tag_value(f, DT_VERSYM) + 2, uint16_t{999}); }},
                {"needed versions: wanted an end", tag(DT_VERNEED, 1 << 30)},
                {"needed versions: wanted an end", needed_version([](auto& n) { n.vn_aux = UINT32_MAX; })},
                {"needed versions: wanted an end", needed_version([](auto& n) { n.vn_next = 0x7fffffff; })},
                {"wanted a library that is needed", needed_version([](auto& n) { n.vn_file = UINT32_MAX; })},
                {"wanted a library that is needed", needed_version([](auto& n) { n.vn_file += 1; })}});
}

TEST_F(Elf, EntriesThatAreWrong) {
    expect_refusals(
        good_, {{"wanted the symbol vks_plugin_entry, found none", symbol([](auto& s) { s.st_shndx = SHN_UNDEF; })},
                {"wanted the symbol vks_plugin_entry, found none", symbol([](auto& s) { s.st_name += 1; })},
                {"wanted a name within", symbol([](auto& s) { s.st_name = UINT32_MAX; })},
                {"wanted data (1), found a symbol of type 2",
                 symbol([](auto& s) { s.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC); })},
                {"wanted at least 40 bytes, found 39", symbol([](auto& s) { s.st_size = sizeof(vks_entry) - 1; })},
                {"wanted it within a loaded segment", symbol([](auto& s) { s.st_value = uint64_t{1} << 40; })},
                {"wanted it within a loaded segment", symbol([](auto& s) { s.st_size = UINT64_MAX; })}});
}

}  // namespace
}  // namespace vks
