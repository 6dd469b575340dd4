#include "frontend/bench/glsl.h"

#include <fstream>
#include <sstream>

#include "backend/base/bad_input.h"

#ifdef VKS_GLSL
#include <dlfcn.h>
#include <shaderc/shaderc.h>
#include <spirv-tools/libspirv.h>

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

#include "frontend/bench/child.h"
#include "frontend/bench/machine.h"
#include "frontend/io/json.h"

namespace vks::bench {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLibrary = "libshaderc.so.1";
constexpr spv_target_env kEnvironment = SPV_ENV_VULKAN_1_2;

// The functions of libshaderc that are used here. Never closed.
struct Shaderc {
    decltype(&shaderc_compiler_initialize) compiler_initialize = nullptr;
    decltype(&shaderc_compiler_release) compiler_release = nullptr;
    decltype(&shaderc_compile_options_initialize) options_initialize = nullptr;
    decltype(&shaderc_compile_options_release) options_release = nullptr;
    decltype(&shaderc_compile_options_add_macro_definition) add_macro = nullptr;
    decltype(&shaderc_compile_options_set_generate_debug_info) debug_info = nullptr;
    decltype(&shaderc_compile_options_set_optimization_level) optimization = nullptr;
    decltype(&shaderc_compile_options_set_include_callbacks) includes = nullptr;
    decltype(&shaderc_compile_options_set_target_env) target = nullptr;
    decltype(&shaderc_compile_into_spv) compile = nullptr;
    decltype(&shaderc_result_release) release = nullptr;
    decltype(&shaderc_result_get_length) length = nullptr;
    decltype(&shaderc_result_get_compilation_status) status = nullptr;
    decltype(&shaderc_result_get_bytes) bytes = nullptr;
    decltype(&shaderc_result_get_error_message) message = nullptr;

    // Nothing where it can't be opened: Debian 12's lacks parts of what it needs.
    static std::optional<Shaderc> open() {
        void* library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
        if (!library) return std::nullopt;
        Shaderc s;
        bool whole = true;
        const auto find = [&](auto& function, const char* name) {
            function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
            whole = whole && function;
        };
        find(s.compiler_initialize, "shaderc_compiler_initialize");
        find(s.compiler_release, "shaderc_compiler_release");
        find(s.options_initialize, "shaderc_compile_options_initialize");
        find(s.options_release, "shaderc_compile_options_release");
        find(s.add_macro, "shaderc_compile_options_add_macro_definition");
        find(s.debug_info, "shaderc_compile_options_set_generate_debug_info");
        find(s.optimization, "shaderc_compile_options_set_optimization_level");
        find(s.includes, "shaderc_compile_options_set_include_callbacks");
        find(s.target, "shaderc_compile_options_set_target_env");
        find(s.compile, "shaderc_compile_into_spv");
        find(s.release, "shaderc_result_release");
        find(s.length, "shaderc_result_get_length");
        find(s.status, "shaderc_result_get_compilation_status");
        find(s.bytes, "shaderc_result_get_bytes");
        find(s.message, "shaderc_result_get_error_message");
        return whole ? std::optional(s) : std::nullopt;
    }
};

// Files that a shader includes, and what keeps their texts.
class Includer {
public:
    explicit Includer(const GlslOptions& options) : options_(options) {}
    std::set<fs::path> files;

    static shaderc_include_result* open(void* self, const char* wanted, int, const char* from, size_t) {
        return static_cast<Includer*>(self)->find(wanted, from);
    }
    static void close(void*, shaderc_include_result* result) { delete static_cast<Text*>(result->user_data); }

private:
    struct Text {
        std::string name, content;
        shaderc_include_result result{};
    };

    shaderc_include_result* find(const fs::path& wanted, const fs::path& from) {
        auto text = std::make_unique<Text>();
        text->content = "no such file";
        std::vector<fs::path> places = {from.parent_path()};
        places.insert(places.end(), options_.include_dirs.begin(), options_.include_dirs.end());
        for (const fs::path& place : places) {
            auto found = read_file(place / wanted, kMaxShader);
            if (!found) continue;
            text->name = (place / wanted).lexically_normal().string();
            text->content = *std::move(found);
            files.insert(text->name);
            break;
        }
        text->result = {text->name.c_str(), text->name.size(), text->content.c_str(), text->content.size(), text.get()};
        return &text.release()->result;
    }

    const GlslOptions& options_;
};

// "x.comp:12: error: 'a' : undeclared" and line 12 of x.comp, of the first mistake in what the compiler said.
Error first_mistake(const std::string& said, const fs::path& file) {
    std::istringstream lines(said);
    std::string line;
    while (std::getline(lines, line)) {
        const size_t mark = line.find(": error: ");
        if (mark == std::string::npos) continue;
        std::string where = line.substr(0, mark), what = line.substr(mark + 9), source;
        const size_t colon = where.rfind(':');
        const int64_t number = colon == std::string::npos ? 0 : std::strtoll(where.c_str() + colon + 1, nullptr, 10);
        if (number > 0) {
            std::ifstream in(where.substr(0, colon));
            for (int64_t i = 0; i < number && std::getline(in, source); ++i) {
            }
            source.erase(0, source.find_first_not_of(" \t"));
        }
        return bad_input("shader ({}): wanted GLSL that compiles, found {}{}", one_line(where), one_line(what),
                         source.empty() ? "" : ": " + quote(source, 120));
    }
    return bad_input("shader ({}): wanted GLSL that compiles, found: {}", file.string(),
                     quote(said.substr(0, said.find('\n')), 200));
}

Status validate(const std::vector<uint32_t>& words, const fs::path& file) {
    const std::unique_ptr<spv_context_t, decltype(&spvContextDestroy)> context(spvContextCreate(kEnvironment),
                                                                               spvContextDestroy);
    spv_diagnostic said = nullptr;
    if (spvValidateBinary(context.get(), words.data(), words.size(), &said) == SPV_SUCCESS) return {};
    const std::string text = said ? said->error : "no reason";
    spvDiagnosticDestroy(said);
    return bad_input("shader ({}): wanted valid SPIR-V, found: {}", file.string(),
                     quote(text.substr(0, text.find('\n')), 300));
}

// By the library.
Result<Spirv> compile(const Shaderc& shaderc, const fs::path& file, const GlslOptions& options) {
    VKS_ASSIGN(const std::string source, read_file(file, kMaxShader));
    Includer includer(options);
    const std::unique_ptr<std::remove_pointer_t<shaderc_compiler_t>, decltype(&shaderc_compiler_release)> compiler(
        shaderc.compiler_initialize(), shaderc.compiler_release);
    const std::unique_ptr<std::remove_pointer_t<shaderc_compile_options_t>, decltype(&shaderc_compile_options_release)>
        settings(shaderc.options_initialize(), shaderc.options_release);
    for (const std::string& macro : options.macros)
        shaderc.add_macro(settings.get(), macro.data(), macro.size(), "1", 1);
    shaderc.target(settings.get(), shaderc_target_env_vulkan, shaderc_env_version_vulkan_1_2);
    shaderc.optimization(settings.get(), shaderc_optimization_level_performance);
    shaderc.debug_info(settings.get());  // keeps the names of constants
    shaderc.includes(settings.get(), Includer::open, Includer::close, &includer);
    const std::unique_ptr<shaderc_compilation_result, decltype(&shaderc_result_release)> result(
        shaderc.compile(compiler.get(), source.data(), source.size(), shaderc_glsl_compute_shader,
                        file.string().c_str(), "main", settings.get()),
        shaderc.release);
    if (shaderc.status(result.get()) != shaderc_compilation_status_success)
        return first_mistake(shaderc.message(result.get()), file);
    const auto* words = reinterpret_cast<const uint32_t*>(shaderc.bytes(result.get()));
    return Spirv{{words, words + shaderc.length(result.get()) / sizeof(uint32_t)}, std::move(includer.files)};
}

// "x.spv: a.comp lib/b.glsl": what follows the colon.
std::set<fs::path> dependencies(const std::string& text) {
    std::set<fs::path> files;
    std::istringstream words(text.substr(std::min(text.size(), text.find(": ") + 1)));
    for (std::string word; words >> word;)
        if (word != "\\") files.insert(word);
    return files;
}

// By glslc, the same compiler as a program.
Result<Spirv> compile(const fs::path& file, const GlslOptions& options) {
    VKS_TRY(read_file(file, kMaxShader));
    VKS_ASSIGN(const TempFolder folder, TempFolder::make());
    const fs::path made = folder.path() / "made.spv", listed = folder.path() / "made.d";
    std::vector<std::string> arguments = {"-fshader-stage=compute", "--target-env=vulkan1.2", "-O", "-g"};
    for (const fs::path& dir : options.include_dirs) arguments.push_back("-I" + dir.string());
    for (const std::string& macro : options.macros) arguments.push_back("-D" + macro + "=1");
    arguments.insert(arguments.end(), {"-MD", "-MF", listed.string(), file.string(), "-o", made.string()});
    const auto child = run_child("glslc", arguments, STDERR_FILENO);
    if (!child)
        return Error{Code::kNoBackend,
                     fmt::format("shader compiler: wanted {} (package libshaderc1) or glslc, found neither", kLibrary)};
    if (child->status != 0) return first_mistake(child->text, file);
    VKS_ASSIGN(const std::string bytes, read_file(made, kMaxShader));
    VKS_ASSIGN(const std::string list, read_file(listed, kMaxShader));
    Spirv spirv{std::vector<uint32_t>(bytes.size() / sizeof(uint32_t)), dependencies(list)};
    std::memcpy(spirv.words.data(), bytes.data(), spirv.words.size() * sizeof(uint32_t));
    return spirv;
}

}  // namespace

Result<Spirv> compile_glsl(const fs::path& file, const GlslOptions& options) {
    const std::optional<Shaderc> library = Shaderc::open();
    VKS_ASSIGN(Spirv made, library ? compile(*library, file, options) : compile(file, options));
    made.files.insert(file);
    VKS_TRY(validate(made.words, file));
    return made;
}

Result<std::string> disassemble(const std::vector<uint32_t>& words) {
    const std::unique_ptr<spv_context_t, decltype(&spvContextDestroy)> context(spvContextCreate(kEnvironment),
                                                                               spvContextDestroy);
    spv_text text = nullptr;
    const uint32_t how = SPV_BINARY_TO_TEXT_OPTION_FRIENDLY_NAMES | SPV_BINARY_TO_TEXT_OPTION_INDENT;
    if (spvBinaryToText(context.get(), words.data(), words.size(), how, &text, nullptr) != SPV_SUCCESS)
        return bad_input("SPIR-V: wanted a module, found something else");
    std::string all(text->str, text->length);
    spvTextDestroy(text);
    return all;
}

}  // namespace vks::bench
#else

namespace vks::bench {
namespace {

Error missing() {
    return {Code::kNoBackend,
            "shader compiler: wanted a build that found shaderc/shaderc.h and libSPIRV-Tools (packages libshaderc-dev, "
            "spirv-tools), found one without"};
}

}  // namespace

Result<Spirv> compile_glsl(const std::filesystem::path&, const GlslOptions&) {
    return missing();
}

Result<std::string> disassemble(const std::vector<uint32_t>&) {
    return missing();
}

}  // namespace vks::bench
#endif
