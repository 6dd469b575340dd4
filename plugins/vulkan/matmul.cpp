#include "plugins/vulkan/matmul.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace vks::vulkan {
namespace {

int64_t row_bytes(const Arg& a) {
    return a.row_elements() * abi::element_bytes(a.dtype);
}

// "gemm" and "subgroup": "gemm.subgroup"; "grouped_gemm.addresses" and that: "grouped_gemm.addresses_subgroup".
std::string with(const std::string& shader, const char* capability) {
    return shader + (shader.find('.') == std::string::npos ? '.' : '_') + capability;
}

// Loads of 64 bits only where the CPU makes them: a GPU's are of 128.
std::string with_subgroups(const Caps& caps, const std::string& shader) {
    const std::string variant = with(shader, "subgroup"), wide = with(variant, "int64");
    if (!caps.subgroup_arithmetic || !has_shader(variant)) return shader;
    return caps.software && caps.int64 && has_shader(wide) ? wide : variant;
}

Program program_of(const Caps& caps, const std::string& shader, const MatmulTypes& t) {
    return {shader,
            1,
            {{"X", t.x},
             {"W", t.w},
             {"Y", t.y},
             {"PAIRS", t.columns % 2 == 0 ? 1 : 0},
             {"HALF", caps.fp8_by_half ? 1 : 0}}};
}

constexpr const char* kFloat8 = "coopmat_float8";

// Whether e4m3 is multiplied as such.
bool of_float8(const Caps& caps, const std::string& shader, const MatmulTypes& t) {
    return caps.matrix8 && t.x == VKS_F8_E4M3 && t.w == VKS_F8_E4M3 && has_shader(with(shader, kFloat8));
}

// The constant VECTOR.
uint32_t loads(const MatmulTypes& t) {
    return t.k % 16 != 0 ? 0 : 2;
}

void add(Program& program, std::initializer_list<std::pair<std::string, uint32_t>> constants) {
    program.constants.insert(program.constants.end(), constants);
}

}  // namespace

// A CPU's lanes each take four rows of w of their own; a GPU's share two, so that they read neighbouring bytes.
Matmul few_rows(const Caps& caps, const std::string& shader, const MatmulTypes& types, int64_t rows) {
    const uint32_t subgroup = std::bit_floor(caps.subgroup);
    const uint32_t tokens = std::bit_ceil(uint32_t(std::clamp<int64_t>(rows, 1, kFewRows)));
    Program program = program_of(caps, with_subgroups(caps, shader), types);
    const std::string way = "few" + std::to_string(tokens);
    if (caps.software) {
        program.workgroup = caps.tuning.power_of_two(shader, way, "WORKGROUP", 1, std::min(64u, caps.max_invocations),
                                                     std::clamp(subgroup, 4u, 16u));
        const uint32_t rows_of_a_lane = caps.tuning.power_of_two(shader, way, "ROWS", 2, 16, 4);
        const bool broadcast = program.workgroup == subgroup && program.shader != shader;
        add(program, {{"VECTOR", loads(types)},
                      {"TEAM", 1},
                      {"ROWS", rows_of_a_lane},
                      {"TOKENS", tokens},
                      {"BROADCAST", broadcast ? 1 : 0}});
        const uint32_t rows_of_w = rows_of_a_lane * program.workgroup;
        return {std::move(program), tokens, rows_of_w};
    }
    program.workgroup = caps.tuning.power_of_two(shader, way, "TEAM", 2, std::min(256u, caps.max_invocations),
                                                 std::clamp(subgroup, 32u, 64u));
    const uint32_t rows_of_w = caps.tuning.power_of_two(shader, way, "ROWS", 2, 16, 2);
    add(program, {{"VECTOR", loads(types)}, {"TEAM", program.workgroup}, {"ROWS", rows_of_w}, {"TOKENS", tokens}});
    return {std::move(program), tokens, rows_of_w};
}

Matmul many_rows(const Caps& caps, const std::string& shader, const MatmulTypes& types, uint32_t rows) {
    struct Tile {
        uint32_t rows, columns, depth;
        uint32_t workgroup() const { return rows / 8 * (columns / 4); }
        uint32_t shared_bytes() const { return (rows / 4 + 1 + columns / 4 + 1) * depth * 16; }
    };
    const Tile usual{rows, 64, caps.shared_bytes < 32768 ? 16u : 32u};
    const Tile asked{caps.tuning.power_of_two(shader, "many", "BM", 16, 256, usual.rows),
                     caps.tuning.power_of_two(shader, "many", "BN", 16, 256, usual.columns),
                     caps.tuning.power_of_two(shader, "many", "BK", 16, 64, usual.depth)};
    // What shared memory sums of teams take beside (lib/gemm.glsl).
    const bool fits =
        asked.workgroup() <= caps.max_invocations && asked.shared_bytes() + 16 * asked.workgroup() <= caps.shared_bytes;
    const Tile tile = fits ? asked : usual;
    Program program = program_of(caps, shader, types);
    program.workgroup = tile.workgroup();
    add(program, {{"VECTOR", loads(types)}, {"BM", tile.rows}, {"BN", tile.columns}, {"BK", tile.depth}});
    return {std::move(program), tile.rows, tile.columns};
}

Matmul matrix_rows(const Caps& caps, const std::string& shader, const MatmulTypes& types, uint32_t down,
                   uint32_t across) {
    const bool float8 = of_float8(caps, shader, types);
    const MatrixShape& shape = float8 ? caps.matrix8 : caps.matrix;
    // A subgroup's sums and partial sums: 64 registers of 32 invocations.
    const uint32_t side = shape.subgroup < 32 ? 16 : 32, rows = std::max(side, shape.m),
                   columns = std::max(side, shape.n);
    const uint32_t asked_down = caps.tuning.power_of_two(shader, "matrix", "BM", rows, 8 * rows, down * rows) / rows,
                   asked_across =
                       caps.tuning.power_of_two(shader, "matrix", "BN", columns, 8 * columns, across * columns) /
                       columns;
    if (asked_down * asked_across * shape.subgroup <= std::min(512u, caps.max_invocations)) {
        down = asked_down;
        across = asked_across;
    }
    Program program = program_of(caps, with(shader, float8 ? kFloat8 : "coopmat"), types);
    program.workgroup = down * across * shape.subgroup;
    program.subgroup = shape.ask ? shape.subgroup : 0;
    add(program, {{"BM", down * rows},
                  {"BN", across * columns},
                  {"BK", float8 ? 64 : 32},
                  {"TM", shape.m},
                  {"TN", shape.n},
                  {"TK", shape.k},
                  {"AM", rows / shape.m},
                  {"AN", columns / shape.n}});
    return {std::move(program), down * rows, across * columns};
}

// Sums of f16 products are the f32 ones here (lib/matrix.glsl rounds nothing), yet what hardware does within a matrix
// is its own affair: not under --math f32, whose activations are all f32.
std::string without_matrices(const Caps& caps, const std::string& shader, const MatmulTypes& types) {
    if (!caps.matrix) return "the device has none";
    if (!has_shader(with(shader, "coopmat"))) return "not in this build";
    if (caps.software) return "run by the CPU";
    if (types.x != VKS_BF16 && types.y != VKS_BF16) return "f32";
    if (types.x == VKS_F32 || types.w == VKS_F32) return "f32 operands";
    if (types.k % 16 != 0) return "k % 16";
    return {};
}

std::string matmul_name(const std::vector<Program>& programs, const std::string& without) {
    std::string name = programs.size() > 1 ? "tiles" : "rows";
    for (const char* capability : {"addresses", "subgroup"})
        if (programs[0].shader.find(capability) != std::string::npos) name += std::string(", ") + capability;
    if (programs.back().shader.ends_with("coopmat")) return name + ", coopmat";
    if (programs.back().shader.ends_with(kFloat8)) return name + ", coopmat float8";
    return name + (programs.size() == 1 || without.empty() ? "" : "; no coopmat: " + without);
}

int64_t aligned_rows(const Caps& caps, std::initializer_list<Arg> tensors, int64_t step) {
    for (const Arg& a : tensors)
        while (a && step * row_bytes(a) % caps.offset_alignment != 0) step *= 2;
    return step;
}

int64_t rows_per_binding(const Caps& caps, std::initializer_list<Arg> tensors, int64_t step) {
    int64_t most = INT64_MAX;
    bool whole = true;
    for (const Arg& a : tensors) {
        const int64_t bytes = a ? row_bytes(a) : 0;
        if (bytes == 0) continue;
        const int64_t limit = int64_t(std::min<uint64_t>(caps.max_binding, INT64_MAX)) / 16 * 16;
        whole = whole && a.rows() <= limit / bytes;
        most = std::min(most, limit / bytes);
    }
    step = aligned_rows(caps, tensors, step);
    return whole ? INT64_MAX : most / step * step;
}

Bind rows_of(const Encoder& e, const Signature& s, size_t index, int64_t first, int64_t count) {
    const Arg& a = s.args[index];
    if (!a) return {};
    return e.arg(index, uint64_t(first * row_bytes(a)), uint64_t(count * row_bytes(a)));
}

}  // namespace vks::vulkan
