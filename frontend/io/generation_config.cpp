// generation_config.json.
#include "frontend/io/config.h"
#include "frontend/io/json.h"
#include "frontend/io/json_fields.h"

namespace vks {

Result<GenerationDefaults> GenerationDefaults::load(const std::filesystem::path& dir, int64_t vocab_size) {
    const std::filesystem::path path = dir / "generation_config.json";
    std::error_code ignored;
    const auto kind = std::filesystem::symlink_status(path, ignored).type();  // a dangling link is not "no file"
    if (kind == std::filesystem::file_type::not_found) return GenerationDefaults();
    VKS_ASSIGN(const std::string text, read_file(path, 1 << 20));
    return parse(text, path.string(), vocab_size);
}

Result<GenerationDefaults> GenerationDefaults::parse(std::string_view text, std::string_view file, int64_t vocab_size) {
    VKS_ASSIGN(const nlohmann::json document, parse_json(text, file));
    if (!document.is_object()) {
        return bad_input("generation config ({}): wanted an object, found {}", file, describe(document));
    }
    const JsonFields fields(document, file);
    GenerationDefaults defaults;
    if (fields.has("do_sample")) {
        VKS_ASSIGN(defaults.do_sample, fields.boolean("do_sample", false));
    }
    if (fields.has("temperature")) {
        VKS_ASSIGN(defaults.temperature, fields.number("temperature", 0, 1e3));
    }
    if (fields.has("top_p")) {
        VKS_ASSIGN(defaults.top_p, fields.number("top_p", 0, 1));
    }
    if (fields.has("min_p")) {
        VKS_ASSIGN(defaults.min_p, fields.number("min_p", 0, 1));
    }
    if (fields.has("top_k")) {
        VKS_ASSIGN(defaults.top_k, fields.integer("top_k", 0, INT32_MAX));
    }
    if (fields.has("repetition_penalty")) {
        VKS_ASSIGN(defaults.repetition_penalty, fields.number("repetition_penalty", 1e-6, 1e6));
    }
    VKS_ASSIGN(defaults.eos_token_ids, fields.token_ids("eos_token_id", vocab_size));
    return defaults;
}

}  // namespace vks
