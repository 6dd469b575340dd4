#include "frontend/bench/isa.h"

#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>

#include "backend/base/bad_input.h"
#include "backend/conformance/target.h"
#include "frontend/bench/child.h"
#include "frontend/bench/isa_figures.h"
#include "frontend/bench/isa_shapes.h"
#include "frontend/bench/shaders.h"

namespace vks::bench {
namespace {

using Json = nlohmann::ordered_json;
using conformance::Target;

Json row_of(const IsaQuestion& question, const vks_program& program, const std::map<std::string, uint64_t>& all) {
    const IsaFigures figures = isa_figures(all);
    const auto number = [](std::optional<uint64_t> n) { return n ? Json(*n) : Json(); };
    return {{"op", question.op.substr(0, question.op.find('/'))},
            {"shape", question.shape},
            {"shader", program.shader},
            {"constants", program.constants},
            {"registers", number(figures.registers)},
            {"spilled", figures.spilled},
            {"shared", number(figures.shared)},
            {"waves", number(figures.waves)},
            {"code", number(figures.code)},
            {"statistics", all}};
}

}  // namespace

Status compile_all(const vks_plugin& plugin, uint32_t index, const std::string& backend, const vks_shader_api& api,
                   const std::function<Status(const Json&)>& done) {
    Target t(plugin, index, "statistics=1");
    if (!t.ok())
        return Error{Code::kNoBackend,
                     fmt::format("device ({}): {}", backend, conformance::describe(t.status, t.error))};
    Shaders shaders(t, api);
    std::set<std::string> seen;
    for (const IsaQuestion& question : deepseek_v3_questions()) {
        const vks_op op{sizeof op,
                        question.op.c_str(),
                        question.params.data(),
                        question.params.size(),
                        question.args.data(),
                        question.args.size()};
        const std::vector<vks_program> programs = shaders.programs(op);
        for (uint32_t nth = 0; nth < programs.size(); ++nth) {
            const vks_program& program = programs[nth];
            if (!seen.insert(std::string(program.shader) + ' ' + program.constants).second) continue;
            const auto list = shaders.statistics(op, nth);
            const std::map<std::string, uint64_t> all(list.begin(), list.end());
            if (all.empty())
                return Error{Code::kNoBackend,
                             fmt::format("pipeline {} ({}): wanted statistics, found: {}", program.shader, backend,
                                         conformance::describe(t.status, t.error))};
            Json row = {{"backend", backend}, {"device", t.info.name}, {"driver", t.info.detail}};
            row.update(row_of(question, program, all));
            VKS_TRY(done(row));
        }
    }
    return {};
}

TableLayout isa_table() {
    const auto text = [](const char* name) { return [=](const Json& row) { return row[name].get<std::string>(); }; };
    const auto number = [](const char* name) {
        return [=](const Json& row) { return row[name].is_null() ? std::string("-") : row[name].dump(); };
    };
    TableLayout table;
    table.sql_name = "vkseek_isa";
    for (const char* name : {"backend", "device", "driver", "op", "shape", "shader", "constants"})
        table.columns.push_back({name, Type::kText});
    for (const char* name : {"registers", "spilled", "shared", "waves", "code"})
        table.columns.push_back({name, Type::kInteger});
    table.headings = {{"backend", -10, text("backend")},
                      {"op", -15, text("op")},
                      {"shader", -34, text("shader")},
                      {"constants", -60, text("constants")},
                      {"registers", 9, number("registers")},
                      {"spilled", 7, number("spilled")},
                      {"shared", 6, number("shared")},
                      {"waves", 5, number("waves")},
                      {"code", 6, number("code")}};
    return table;
}

Result<std::vector<std::string>> faked(const std::string& target) {
    std::string shim = "amdgpu", icd = "radeon", variable = "AMDGPU_GPU_ID=" + target;
    const auto rest = [&](std::string_view prefix) { return target.substr(prefix.size()); };
    if (target.starts_with("nvidia-")) {
        shim = icd = "nouveau";
        variable = "NOUVEAU_CHIPSET=" + rest("nvidia-");
    } else if (target.starts_with("adreno-")) {
        shim = icd = "freedreno";
        variable = "FD_GPU_ID=" + rest("adreno-");
    } else if (target == "apple") {
        shim = icd = "asahi";
        variable = "ASAHI=";
    }
    std::error_code error;
    const std::string library = "/usr/lib/x86_64-linux-gnu/lib" + shim + "_noop_drm_shim.so";
    if (!std::filesystem::exists(library, error))
        return Error{Code::kNoBackend, fmt::format("GPU {} (--gpu): wanted {} (package mesa-drm-shim), found none",
                                                   quote(target, 40), library)};
    for (const char* ending : {"_icd.json", "_icd.x86_64.json"}) {
        const std::string driver = "/usr/share/vulkan/icd.d/" + icd + ending;
        if (!std::filesystem::exists(driver, error)) continue;
        // Nothing runs there: how e4m3 decodes can't be tried, and what memory is left is no matter.
        return std::vector<std::string>{
            "PATH=/usr/bin:/bin",    "MESA_SHADER_CACHE_DISABLE=true", variable,
            "LD_PRELOAD=" + library, "VK_DRIVER_FILES=" + driver,      "VKSEEK_VULKAN_OPTIONS=fp8=half;budget=0"};
    }
    return Error{Code::kNoBackend,
                 fmt::format("GPU {} (--gpu): wanted Mesa's driver {} (mesa-vulkan-drivers), found none",
                             quote(target, 40), icd)};
}

Result<std::string> run_myself(const std::vector<std::string>& arguments, const std::vector<std::string>& environment) {
    VKS_ASSIGN(Child child, run_child("/proc/self/exe", arguments, STDOUT_FILENO, environment));
    if (child.status == 0) return std::move(child.text);
    return Error{Code::kNoBackend,
                 fmt::format("vkseek {}: wanted it to end well, found status {}", arguments[0], child.status)};
}

}  // namespace vks::bench
