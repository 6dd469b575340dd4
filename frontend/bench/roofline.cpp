#include "frontend/bench/roofline.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include "backend/base/bad_input.h"
#include "backend/base/log.h"
#include "backend/registry/device.h"
#include "backend/registry/loader.h"
#include "frontend/bench/machine.h"
#include "frontend/bench/op_maker.h"
#include "frontend/bench/op_trial.h"
#include "frontend/io/cache_dir.h"

namespace vks::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kTries = 9;
constexpr uint64_t kSmallest = 32 << 10, kLargest = 512 << 20;

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Error failed(const conformance::Target& target, const std::string& what) {
    return {Code::kNoBackend, fmt::format("{} ({}): wanted it to work, found: {}", what, target.info.name,
                                          conformance::describe(target.status, target.error))};
}

std::vector<uint64_t> sizes() {
    // Beyond the caches whatever the machine.
    const uint64_t most = std::max<uint64_t>(kLargest / 4, std::min(kLargest, 4 * last_cache_bytes()));
    std::vector<uint64_t> list;
    for (uint64_t bytes = kSmallest; bytes <= most; bytes *= 4) list.push_back(bytes);
    if (list.back() != most) list.push_back(most);
    return list;
}

// So many copies in one submission that the submission doesn't count.
Result<Rate> measure_copy(conformance::Target& t, uint64_t bytes) {
    constexpr uint64_t kTogether = 64 << 20;
    vks_buffer* from = t.buffer(bytes, VKS_BUFFER_DEVICE);
    vks_buffer* to = t.buffer(bytes, VKS_BUFFER_DEVICE);
    const vks_tensor source = conformance::bytes_at(bytes, from, 0), target = conformance::bytes_at(bytes, to, 0);
    const auto copies = std::max<uint64_t>(1, kTogether / bytes);
    double best = 1e9;
    // Memory that was never written may be one page of zeros, over and over.
    const std::vector<std::byte> ones(bytes, std::byte{1});
    bool ok = from && to && t.write(from, 0, ones.data(), bytes);
    for (int i = 0; i <= kTries && ok; ++i) {
        const double begin = now();
        for (uint64_t c = 0; c < copies && ok; ++c) ok = t.note(t.api.copy(t.stream, &source, &target, &t.error));
        ok = ok && t.finish();
        if (i > 0) best = std::min(best, now() - begin);
    }
    if (from) t.destroy(from);
    if (to) t.destroy(to);
    if (!ok) return failed(t, "copy");
    return Rate{bytes, 2 * double(bytes * copies) / best};
}

std::optional<double> probe_rate(conformance::Target& t, const vks_probe_api& api, uint64_t kind, uint64_t bytes) {
    vks_probe probe{};
    probe.size = sizeof probe;
    probe.kind = kind;
    probe.bytes = bytes;
    t.error = {};
    const bool ok = t.note(abi::guard(&t.error, [&] { return api.run(t.device, &probe, &t.error); }));
    if (!ok || probe.ns == 0) return {};
    return double(probe.work) / double(probe.ns) * 1e9;
}

void measure_probes(conformance::Target& t, Roofline& roofline) {
    const auto* api = static_cast<const vks_probe_api*>(find_extension(t.plugin, VKS_PROBE_ID, sizeof(vks_probe_api)));
    if (!api) return;
    for (const uint64_t bytes : sizes())
        if (const auto rate = probe_rate(t, *api, VKS_PROBE_READ, bytes)) roofline.read.push_back({bytes, *rate});
    constexpr std::pair<uint64_t, const char*> kKinds[] = {{VKS_PROBE_F32, "f32"},
                                                           {VKS_PROBE_BF16, "bf16"},
                                                           {VKS_PROBE_F16, "f16"},
                                                           {VKS_PROBE_I8, "i8"},
                                                           {VKS_PROBE_MATRIX, "matrix"}};
    for (const auto& [kind, name] : kKinds)
        if (const auto rate = probe_rate(t, *api, kind, 0)) roofline.rates[name] = *rate;
}

// Of many tries that say how many seconds they took; 0: one failed.
double best_time(const std::function<std::optional<double>()>& work) {
    double best = 1e9;
    for (int i = 0; i < 20 * kTries; ++i) {
        const auto seconds = work();
        if (!seconds) return 0;
        best = std::min(best, *seconds);
    }
    return best;
}

std::optional<double> timed_submission(conformance::Target& t) {
    const double begin = now();
    if (!t.finish()) return {};
    return now() - begin;
}

// The smallest operator there is.
void measure_launch(conformance::Target& t, Roofline& roofline) {
    Filler fill("launch");
    conformance::Case c;
    c.op = "add/1";
    c.args = {input(fill.value(VKS_F32, {1, 16}, 1)), input(fill.value(VKS_F32, {1, 16}, 1)), output(VKS_F32, {1, 16})};
    PlacedConstants none(t, c);
    OpTrial trial(t, none, c);
    if (!trial.prepare()) return;
    roofline.launch_s = best_time([&] { return trial.launch(); });
    if (const StreamClock clock(t.plugin, t.stream); clock)
        roofline.dispatch_s = best_time([&] { return trial.launch(clock); });
}

std::string file_name(const std::string& text) {
    std::string name;
    for (const char c : text) name += std::isalnum(uint8_t(c)) ? c : '_';
    return name.substr(0, 80);
}

std::vector<Rate> rates_from(const nlohmann::json& list) {
    std::vector<Rate> rates;
    for (const auto& item : list) rates.push_back({item.at("bytes"), item.at("bytes_per_s")});
    return rates;
}

Json rates_json(const std::vector<Rate>& rates) {
    Json list = Json::array();
    for (const Rate& rate : rates) list.push_back({{"bytes", rate.bytes}, {"bytes_per_s", rate.bytes_per_s}});
    return list;
}

}  // namespace

double Roofline::memory_bytes_per_s() const {
    return !read.empty() ? read.back().bytes_per_s : copy.empty() ? 0 : copy.back().bytes_per_s;
}

Bound Roofline::bound(double bytes, double flops, bool device_clock) const {
    Bound bound{device_clock ? dispatch_s : launch_s, "launch"};
    const double memory = memory_bytes_per_s() > 0 ? bytes / memory_bytes_per_s() : 0;
    if (memory > bound.seconds) bound = {memory, "memory"};
    // The fastest products that keep what operators promise; integers and sums in f16 don't.
    double fastest = 0;
    std::string name;
    for (const auto& [type, rate] : rates)
        if (type != "i8" && type != "f16" && rate > fastest) std::tie(fastest, name) = std::pair(rate, type);
    if (fastest > 0 && flops / fastest > bound.seconds) bound = {flops / fastest, name};
    return bound;
}

Result<Roofline> measure_roofline(conformance::Target& target) {
    Roofline roofline;
    roofline.device = plugin_text(target.info.name, sizeof target.info.name);
    roofline.driver = plugin_text(target.info.detail, sizeof target.info.detail);
    for (const uint64_t bytes : sizes()) {
        VKS_ASSIGN(const Rate rate, measure_copy(target, bytes));
        roofline.copy.push_back(rate);
    }
    measure_probes(target, roofline);
    roofline.submit_s = best_time([&] { return timed_submission(target); });
    measure_launch(target, roofline);
    return roofline;
}

std::filesystem::path roofline_path(const std::string& device, const std::string& driver) {
    const std::filesystem::path folder = cache_dir();
    if (folder.empty()) return {};
    const size_t hash = std::hash<std::string>()(device + "\n" + driver);
    return folder / "roofline" / fmt::format("{}-{:016x}.json", file_name(device), hash);
}

std::optional<Roofline> kept_roofline(const std::string& device, const std::string& driver) {
    std::ifstream file(roofline_path(device, driver));
    if (!file) return {};
    std::stringstream text;
    text << file.rdbuf();
    const auto json = nlohmann::json::parse(text.str(), nullptr, false);
    auto found = json.is_discarded() ? std::nullopt : roofline_from_json(json);
    return found && found->device == device && found->driver == driver ? found : std::nullopt;
}

Status keep_roofline(const Roofline& roofline) {
    const std::filesystem::path path = roofline_path(roofline.device, roofline.driver);
    if (path.empty())
        return bad_input("roofline (XDG_CACHE_HOME, HOME): wanted a folder to keep it in, found neither set");
    std::error_code error, ignored;
    std::filesystem::create_directories(path.parent_path(), ignored);
    std::filesystem::path fresh = path;
    fresh += ".new";
    std::ofstream file(fresh);
    file << roofline_json(roofline).dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
    file.close();
    if (file) std::filesystem::rename(fresh, path, error);
    if (file && !error) return {};
    std::filesystem::remove(fresh, ignored);
    return bad_input("roofline ({}): wanted a file that can be written", path.string());
}

Result<Roofline> roofline_of(conformance::Target& target) {
    const std::string device = plugin_text(target.info.name, sizeof target.info.name);
    const std::string driver = plugin_text(target.info.detail, sizeof target.info.detail);
    if (auto kept = kept_roofline(device, driver)) return *std::move(kept);
    VKS_ASSIGN(Roofline measured, measure_roofline(target));
    if (const Status kept = keep_roofline(measured); !kept) log_line(LogLevel::kWarning, kept.error().text);
    return measured;
}

Json roofline_json(const Roofline& r) {
    return {{"device", r.device},         {"driver", r.driver},        {"read", rates_json(r.read)},
            {"copy", rates_json(r.copy)}, {"rates", Json(r.rates)},    {"submit_s", r.submit_s},
            {"launch_s", r.launch_s},     {"dispatch_s", r.dispatch_s}};
}

std::optional<Roofline> roofline_from_json(const nlohmann::json& json) {
    try {
        Roofline r;
        r.device = json.at("device");
        r.driver = json.at("driver");
        r.read = rates_from(json.at("read"));
        r.copy = rates_from(json.at("copy"));
        r.rates = json.at("rates").get<std::map<std::string, double>>();
        r.submit_s = json.at("submit_s");
        r.launch_s = json.at("launch_s");
        r.dispatch_s = json.at("dispatch_s");
        return r;
    } catch (const nlohmann::json::exception&) {
        return {};
    }
}

std::vector<Json> roofline_rows(const Roofline& r, const std::string& backend) {
    std::vector<Json> rows;
    const auto add = [&](const std::string& what, uint64_t bytes, double value, const char* unit) {
        rows.push_back({{"backend", backend}, {"device", r.device}, {"driver", r.driver}, {"what", what}});
        rows.back()["bytes"] = bytes > 0 ? Json(bytes) : Json();
        rows.back()["value"] = value;
        rows.back()["unit"] = unit;
    };
    for (const Rate& rate : r.read) add("read", rate.bytes, rate.bytes_per_s / 1e9, "GB/s");
    for (const Rate& rate : r.copy) add("copy", rate.bytes, rate.bytes_per_s / 1e9, "GB/s");
    for (const auto& [type, rate] : r.rates) add(type, 0, rate / 1e9, type == "i8" ? "GOP/s" : "GFLOP/s");
    add("submit", 0, r.submit_s * 1e6, "us");
    add("launch", 0, r.launch_s * 1e6, "us");
    if (r.dispatch_s > 0) add("dispatch", 0, r.dispatch_s * 1e6, "us");
    return rows;
}

TableLayout roofline_table() {
    return {"vkseek_roofline",
            {{"backend", Type::kText},
             {"device", Type::kText},
             {"driver", Type::kText},
             {"what", Type::kText},
             {"bytes", Type::kInteger},
             {"value", Type::kReal},
             {"unit", Type::kText}},
            {{"backend", -10, [](const Json& row) { return row["backend"].get<std::string>(); }},
             {"device", -30, [](const Json& row) { return row["device"].get<std::string>(); }},
             {"what", -8, [](const Json& row) { return row["what"].get<std::string>(); }},
             {"size", 10,
              [](const Json& row) {
                  return row["bytes"].is_null() ? std::string() : binary_size(row["bytes"].get<double>());
              }},
             {"value", 10, [](const Json& row) { return fmt::format("{:.2f}", row["value"].get<double>()); }},
             {"unit", -7, [](const Json& row) { return row["unit"].get<std::string>(); }}}};
}

}  // namespace vks::bench
