// Reading files and building JSON documents with limits.
#include "frontend/io/json.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <unordered_set>
#include <vector>

#include "backend/base/bad_input.h"

namespace vks {
namespace {

using nlohmann::json;

constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxKeys = size_t{1} << 16;  // in all: a tenth of a second

// Builds the document itself because the library's own builder lets a second key overwrite the first, silently.
class DocumentBuilder : public json::json_sax_t {
public:
    bool null() override { return add(nullptr); }
    bool boolean(bool value) override { return add(value); }
    bool number_integer(number_integer_t value) override { return add(value); }
    bool number_unsigned(number_unsigned_t value) override { return add(value); }
    bool number_float(number_float_t value, const string_t&) override { return add(value); }
    bool string(string_t& value) override { return add(std::move(value)); }
    bool binary(binary_t&) override { return fail("wanted text, found binary data"); }
    bool start_object(size_t) override { return open(json::object()); }
    bool start_array(size_t) override { return open(json::array()); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }
    bool key(string_t& name) override {
        if (++key_count_ > kMaxKeys) return fail(fmt::format("wanted at most {} keys, found more", kMaxKeys));
        if (!keys_.back().insert(name).second) return fail("wanted each key once, found twice: " + quote(name));
        key_ = std::move(name);
        return true;
    }
    bool parse_error(size_t position, const std::string&, const json::exception&) override {
        return fail(fmt::format("wanted JSON, found something else at byte {}", position));
    }

    json take() { return std::move(root_); }
    const std::string& failure() const { return failure_; }

private:
    json* place(json value) {
        if (stack_.empty()) {
            root_ = std::move(value);
            return &root_;
        }
        json& parent = *stack_.back();
        json& slot = parent.is_object() ? parent[key_] : parent.emplace_back();
        slot = std::move(value);
        return &slot;
    }
    bool add(json value) {
        place(std::move(value));
        return true;
    }
    bool open(json value) {
        if (stack_.size() == kMaxDepth) return fail(fmt::format("wanted at most {} levels, found more", kMaxDepth));
        stack_.push_back(place(std::move(value)));
        keys_.emplace_back();
        return true;
    }
    bool close() {
        stack_.pop_back();
        keys_.pop_back();
        return true;
    }
    bool fail(std::string text) {
        if (failure_.empty()) failure_ = std::move(text);
        return false;
    }

    json root_;
    std::vector<json*> stack_;  // a parent does not grow while a child is open, so the pointers hold
    std::vector<std::unordered_set<std::string>> keys_;
    size_t key_count_ = 0;
    std::string key_, failure_;
};

// Of a model in Hugging Face's cache, models--<organisation>--<name>, the folder that has the files; the first by name.
std::filesystem::path snapshot_in(const std::filesystem::path& dir) {
    std::error_code error;
    std::filesystem::path first;
    for (std::filesystem::directory_iterator at(dir / "snapshots", error), end; !error && at != end;
         at.increment(error))
        if (first.empty() || at->path() < first) first = at->path();
    return first;
}

Error read_error(const std::filesystem::path& path, int error) {
    if (error == ENOENT) {
        const std::filesystem::path snapshot = snapshot_in(path.parent_path());
        if (!snapshot.empty()) {
            return bad_input("file ({}): wanted a readable file, found a folder of snapshots: {}", path.string(),
                             snapshot.string());
        }
    }
    return bad_input("file ({}): wanted a readable file, found: {}", path.string(), std::strerror(error));
}

Result<std::string> read_all(int fd, const std::filesystem::path& path, uint64_t limit) {
    struct stat info = {};
    if (fstat(fd, &info) != 0) return read_error(path, errno);
    if (!S_ISREG(info.st_mode)) return bad_input("file ({}): wanted a regular file, found another kind", path.string());
    if (static_cast<uint64_t>(info.st_size) > limit) {
        return bad_input("file ({}): wanted at most {} bytes, found {}", path.string(), limit, info.st_size);
    }
    std::string text(static_cast<size_t>(info.st_size), '\0');
    size_t done = 0;
    while (done < text.size()) {
        const ssize_t got = read(fd, text.data() + done, text.size() - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return read_error(path, errno);
        if (got == 0) return bad_input("file ({}): wanted {} bytes, found only {}", path.string(), text.size(), done);
        done += static_cast<size_t>(got);
    }
    return text;
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, uint64_t limit) {
    // O_NONBLOCK: a FIFO with this name must not hold the program up.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return read_error(path, errno);
    auto text = read_all(fd, path, limit);
    close(fd);
    return text;
}

std::optional<std::string> other_file(std::string_view text) {
    if (text.starts_with("GGUF")) return "a GGUF file";
    if (!text.starts_with("version https://git-lfs.github.com/spec/")) return std::nullopt;
    return "a Git LFS pointer: the file itself was not downloaded (git lfs pull)";
}

std::optional<std::string> not_json(std::string_view text) {
    if (auto found = other_file(text)) return found;
    if (text.starts_with("\xef\xbb\xbf")) return "a byte order mark";
    const size_t nul = text.find('\0');
    if (nul == std::string_view::npos) return std::nullopt;
    return fmt::format("a NUL at byte {}", nul + 1);
}

Result<json> parse_json(std::string_view text, std::string_view file) {
    if (const auto found = not_json(text)) return bad_input("JSON ({}): wanted JSON, found {}", file, *found);
    DocumentBuilder builder;
    if (!json::sax_parse(text.begin(), text.end(), &builder)) {
        return bad_input("JSON ({}): {}", file, builder.failure());
    }
    return builder.take();
}

std::string describe(const json& value) {
    if (value.is_object()) return "an object";
    if (value.is_array()) return fmt::format("an array of {}", value.size());
    if (value.is_string()) return quote(value.get_ref<const std::string&>(), 60);
    return value.dump();
}

}  // namespace vks
