// Damaged tokenizer files and chat templates.
#include <sys/stat.h>

#include <utility>

#include "tests/support/damaged_checkpoint.h"
#include "tests/support/edit_checkpoint.h"

namespace vks::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTokenizer = "tokenizer.json";
constexpr const char* kConfig = "tokenizer_config.json";

// The whole file has other contents.
Damage whole(const std::string& what, const std::string& file, const std::string& content, const std::string& wanted) {
    return {what, [=](const fs::path& dir) { write_bytes(dir / file, content); }, file, wanted};
}

// One value of a JSON file is another one.
Damage value(const std::string& file, const std::string& pointer, Json value, const std::string& wanted) {
    return {
        file + pointer + "_" + value.dump().substr(0, 16),
        [=](const fs::path& dir) { edit_json(dir / file, [&](Json& j) { j[Json::json_pointer(pointer)] = value; }); },
        file, wanted};
}

// What can be wrong with any of these files.
std::vector<Damage> damaged_file(const std::string& file) {
    const auto replaced = [&](const std::string& what, const std::function<void(const fs::path&)>& make,
                              const std::string& wanted) {
        return Damage{file + "_" + what,
                      [=](const fs::path& dir) {
                          fs::remove(dir / file);
                          make(dir / file);
                      },
                      file, wanted};
    };
    std::string objects;
    for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
    return {
        whole(file + "_empty", file, "", "wanted JSON"),
        whole(file + "_garbage", file, "garbage", "wanted JSON"),
        whole(file + "_array", file, "[]", "wanted an object"),
        whole(file + "_number", file, "1e999", "wanted JSON"),
        whole(file + "_nan", file, R"({"a":NaN})", "wanted JSON"),
        whole(file + "_nul", file, std::string("{}\0{}", 5), "found a NUL"),
        whole(file + "_bom", file, "\xef\xbb\xbf{}", "found a byte order mark"),
        whole(file + "_bad_utf8", file, "{\"\xff\":1}", "wanted JSON"),
        whole(file + "_brackets", file, std::string(100000, '['), "levels"),
        whole(file + "_objects", file, objects, "levels"),
        replaced(
            "folder", [](const fs::path& path) { fs::create_directory(path); }, "wanted a regular file"),
        replaced(
            "fifo", [](const fs::path& path) { static_cast<void>(mkfifo(path.c_str(), 0600)); },
            "wanted a regular file"),
        replaced(
            "zeros", [](const fs::path& path) { fs::create_symlink("/dev/zero", path); }, "wanted a regular file"),
        replaced(
            "dangling_link", [](const fs::path& path) { fs::create_symlink("nowhere", path); }, "No such file"),
        replaced(
            "link_to_itself", [](const fs::path& path) { fs::create_symlink(path.filename(), path); },
            "symbolic links"),
        {file + "_huge", [=](const fs::path& dir) { fs::resize_file(dir / file, uint64_t{1} << 33); }, file,
         "wanted at most"},
    };
}

Damage chat_template(const std::string& what, const std::string& source, const std::string& wanted) {
    return {"template_" + what,
            [=](const fs::path& dir) { edit_json(dir / kConfig, [&](Json& c) { c["chat_template"] = source; }); },
            kConfig, wanted};
}

}  // namespace

std::vector<Damage> damaged_tokenizers() {
    std::vector<Damage> all = damaged_file(kTokenizer);
    for (const auto& list : {damaged_file(kConfig), other_files(kTokenizer), other_files(kConfig)})
        all.insert(all.end(), list.begin(), list.end());
    const std::string pattern = "/pre_tokenizer/pretokenizers/0/pattern/Regex";
    for (Damage& damage : std::vector<Damage>{
             {"tokenizer_missing", [](const fs::path& dir) { fs::remove(dir / kTokenizer); }, kTokenizer, "found"},
             value(kTokenizer, "/model/type", "Unigram", "found \"Unigram\""),
             value(kTokenizer, "/model/vocab", Json::object(), "wanted tokens, found none"),
             value(kTokenizer, "/model/vocab/a", -1, "found -1"),
             value(kTokenizer, "/model/vocab/a", 1.5, "found 1.5"),
             value(kTokenizer, "/model/vocab/a", "1", "found \"1\""),
             value(kTokenizer, "/model/vocab/a", ~uint64_t{0}, "found 18446744073709551615"),
             value(kTokenizer, "/model/vocab/new\nline\x1b[31m", 4194304, "found 4194304"),
             value(kTokenizer, "/model/merges/0", "a\nb \x1b[2J", "tokens of the vocabulary"),
             value(kTokenizer, "/model/merges/0", "one", "wanted two tokens"),
             value(kTokenizer, "/model/merges", nullptr, "wanted a list"),
             value(kTokenizer, "/model/dropout", 0.5, "found 0.5"),
             value(kTokenizer, "/added_tokens", 3, "wanted an array"),
             value(kTokenizer, "/added_tokens/0/id", 99999999, "found 99999999"),
             value(kTokenizer, "/added_tokens/0/content", 7, "wanted a text"),
             value(kTokenizer, "/decoder", nullptr, "wanted ByteLevel"),
             value(kTokenizer, "/normalizer", {{"type", "NFC"}}, "found \"NFC\""),
             value(kTokenizer, pattern, "(a", "wanted a regular expression"),
             value(kTokenizer, pattern, std::string(10000, '(') + std::string(10000, ')'), "wanted"),
             value(kTokenizer, pattern, "(((a{1,100}){1,100}){1,100}){1,100}", "wanted"),
             value(kConfig, "/bos_token", 5, "found 5"),
             value(kConfig, "/bos_token", "no such token\n", "wanted a token of tokenizer.json"),
             value(kConfig, "/add_bos_token", "yes", "wanted true or false"),
             value(kTokenizer, "/post_processor",
                   {{"type", "TemplateProcessing"},
                    {"single", {{{"SpecialToken", {{"id", "no such"}}}}, {{"Sequence", {{"id", "A"}}}}}}},
                   "wanted a token of tokenizer.json, found \"no such\""),
             whole("tokenizer_key_twice", kTokenizer, R"({"model":{},"model":{}})", "wanted each key once"),
             whole("tokenizer_config_of_many_keys", kConfig, many_keys(), "wanted at most 65536 keys"),
             whole("tokenizer_config_key_twice", kConfig, R"({"bos_token":null,"bos_token":null})", "each key once"),
         }) {
        all.push_back(std::move(damage));
    }
    return all;
}

std::vector<Damage> damaged_templates() {
    return {
        value(kConfig, "/chat_template", 3, "wanted a string"),
        value(kConfig, "/chat_template", nullptr, "found neither"),
        chat_template("unclosed", "{{ 'a", "wanted"),
        chat_template("parentheses", "{{ " + std::string(100000, '(') + "1" + std::string(100000, ')') + " }}", "deep"),
        chat_template(
            "blocks",
            [] {
                std::string text;
                for (int i = 0; i < 100000; ++i) text += "{% if 1 %}";
                return text;
            }(),
            "deep"),
        chat_template("endless_loop",
                      "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
                      "wanted at most 2000000 steps"),
        chat_template("endless_macro", "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", "deep"),
        chat_template("doubling_text",
                      "{% set n = namespace(x='a') %}{% for i in range(40) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
                      "wanted a string of at most"),
        chat_template("copying_text", "{% for i in range(100000) %}{% set x = 'a' * 10000000 %}{% endfor %}",
                      "bounded work"),
        chat_template("division_by_zero", "{{ 1 // 0 }}", "wanted"),
        chat_template("raises_control_characters", "{{ raise_exception('a\\n\x1b[31mb') }}", "\\x0a\\x1b[31mb"),
    };
}

}  // namespace vks::test
