#include "plugins/vulkan/reflect.h"

#include <spirv/unified1/spirv.hpp>

#include <algorithm>

#include "plugins/vulkan/vk.h"

namespace vks::vulkan {
namespace {

struct Id {
    std::string name;
    uint32_t op = 0;
    std::vector<uint32_t> operands;  // of the instruction that makes it, without its own id and type
    uint32_t type = 0;
    uint32_t binding = UINT32_MAX, constant = UINT32_MAX;
    bool read_only = false;
    std::map<uint32_t, uint32_t> offset;  // by member
    std::vector<bool> member_read_only;
};

class Reader {
public:
    explicit Reader(std::span<const uint32_t> words) {
        if (words.size() < 5 || words[0] != spv::MagicNumber || words[3] > 1u << 22) bad();
        ids_.resize(words[3]);
        for (size_t at = 5; at < words.size();) {
            const size_t length = words[at] >> 16;
            if (length == 0 || length > words.size() - at) bad();
            instruction(spv::Op(words[at] & 0xffff), words.subspan(at + 1, length - 1));
            at += length;
        }
    }

    Reflection result() {
        for (Id& id : ids_) {
            if (id.constant != UINT32_MAX && !id.name.empty()) out_.constants[id.name] = id.constant;
            if (id.op != spv::OpVariable || id.operands.empty()) continue;
            const Id& pointee = at(at(id.type).operands.at(1));
            if (id.operands[0] == spv::StorageClassPushConstant)
                out_.push_bytes = std::max(out_.push_bytes, size(pointee));
            if (id.operands[0] == spv::StorageClassStorageBuffer && id.binding < 64) add_binding(id, pointee);
        }
        return std::move(out_);
    }

private:
    [[noreturn]] static void bad() { throw Failure(VKS_INTERNAL, "shader: wanted SPIR-V, found something else"); }
    Id& at(uint32_t id) {
        if (id >= ids_.size()) bad();
        return ids_[id];
    }

    void add_binding(const Id& id, const Id& block) {
        if (out_.bindings.size() <= id.binding) out_.bindings.resize(id.binding + 1);
        Reflection::Binding& binding = out_.bindings[id.binding];
        const auto& members = block.member_read_only;
        const bool read_only =
            id.read_only || (!members.empty() && std::all_of(members.begin(), members.end(), [](bool b) { return b; }));
        binding.read_only = read_only && (!binding.used || binding.read_only);  // two views: both must be
        binding.used = true;
    }

    // Bytes of a push constant block's type.
    uint32_t size(const Id& type) {
        switch (type.op) {
            case spv::OpTypeInt:
            case spv::OpTypeFloat:
                return type.operands.at(0) / 8;
            case spv::OpTypeVector:
                return size(at(type.operands.at(0))) * type.operands.at(1);
            case spv::OpTypeStruct: {
                uint32_t end = 0;
                for (const auto& [member, offset] : type.offset)
                    end = std::max(end, offset + size(at(type.operands.at(member))));
                return end;
            }
            default:
                bad();
        }
    }

    void decorate(Id& id, spv::Decoration what, std::span<const uint32_t> rest) {
        const uint32_t value = rest.empty() ? 0 : rest[0];
        if (what == spv::DecorationBinding) id.binding = value;
        if (what == spv::DecorationSpecId) id.constant = value;
        if (what == spv::DecorationNonWritable) id.read_only = true;
    }

    void instruction(spv::Op op, std::span<const uint32_t> w) {
        if (w.empty()) return;
        switch (op) {
            case spv::OpCapability:
                out_.capabilities.push_back(w[0]);
                break;
            case spv::OpName:  // a constant that is another's alias is its second name
                if (w.size() < 2 || !at(w[0]).name.empty()) break;
                for (const uint32_t word : w.subspan(1))
                    for (int shift = 0; shift < 32; shift += 8)
                        if (const char c = char(word >> shift & 0xff)) at(w[0]).name += c;
                break;
            case spv::OpDecorate:
                if (w.size() >= 2) decorate(at(w[0]), spv::Decoration(w[1]), w.subspan(2));
                break;
            case spv::OpMemberDecorate: {
                if (w.size() < 3 || w[1] > 1024) break;
                Id& id = at(w[0]);
                if (id.member_read_only.size() <= w[1]) id.member_read_only.resize(w[1] + 1);
                if (w[2] == spv::DecorationNonWritable) id.member_read_only[w[1]] = true;
                if (w[2] == spv::DecorationOffset && w.size() >= 4) id.offset[w[1]] = w[3];
                break;
            }
            case spv::OpTypeInt:
            case spv::OpTypeFloat:
            case spv::OpTypeVector:
            case spv::OpTypeStruct:
            case spv::OpTypePointer: {
                Id& id = at(w[0]);
                id.op = op;
                id.operands.assign(w.begin() + 1, w.end());
                break;
            }
            case spv::OpVariable: {
                if (w.size() < 3) bad();
                Id& id = at(w[1]);
                id.op = op;
                id.type = w[0];
                id.operands.assign(w.begin() + 2, w.end());
                break;
            }
            default:
                break;
        }
    }

    std::vector<Id> ids_;
    Reflection out_;
};

}  // namespace

Reflection reflect(std::span<const uint32_t> words) {
    return Reader(words).result();
}

}  // namespace vks::vulkan
