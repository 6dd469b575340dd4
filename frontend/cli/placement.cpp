#include "frontend/cli/placement.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "backend/base/bad_input.h"
#include "backend/ops/rule.h"
#include "frontend/cli/runtime.h"
#include "frontend/cli/values.h"

namespace vks {
namespace {

// "NAME=BACKEND" of a known operator. `option` and `wanted` are for the message.
Result<std::pair<std::string, std::string>> parse_operator(const std::string& text, std::string_view option,
                                                           std::string_view wanted) {
    VKS_ASSIGN(auto pair, parse_assignment(text, "operator", option, wanted));
    const std::vector<std::string> known = operator_names();
    if (std::find(known.begin(), known.end(), pair.first) == known.end()) {
        return usage_error("operator", option, fmt::format("one of {}", fmt::join(known, " ")), quote(pair.first, 80));
    }
    return pair;
}

// The number that `text` begins with, which is cut off; -1: none.
int64_t take_step(std::string& text) {
    int64_t step = -1;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), step);
    if (problem != std::errc() || step < 0) return -1;
    text.erase(0, size_t(end - text.data()));
    return step;
}

Result<PlannedSwap> parse_swap(const std::string& text) {
    constexpr const char* kWanted = "STEP=LIST or STEP:NAME=BACKEND";
    std::string rest = text;
    PlannedSwap swap;
    swap.step = take_step(rest);
    swap.reason = "--swap " + text;
    if (swap.step >= 0 && rest.starts_with('=')) {
        VKS_ASSIGN(swap.change.backends, parse_list(rest.substr(1), "--swap"));
    } else if (swap.step >= 0 && rest.starts_with(':')) {
        VKS_ASSIGN(swap.change.op, parse_operator(rest.substr(1), "--swap", kWanted));
    } else {
        return usage_error("swap", "--swap", kWanted, quote(text, 80));
    }
    return swap;
}

Result<PlannedSwap> parse_reload(const std::string& text) {
    std::string rest = text;
    PlannedSwap swap;
    swap.step = take_step(rest);
    swap.reason = "--reload " + text;
    if (swap.step < 0 || !rest.starts_with('=') || rest.size() == 1) {
        return usage_error("reload", "--reload", "STEP=PLUGIN", quote(text, 80));
    }
    swap.change.reload = rest.substr(1);
    return swap;
}

std::string again_text(int64_t tokens) {
    return tokens == 0 ? "" : fmt::format(", {} tokens computed again", tokens);
}

}  // namespace

std::vector<std::string> operator_names() {
    std::vector<std::string> names;
    for (const OpRule* rule : all_rules()) {
        const std::string id = rule->id;
        names.push_back(id.substr(0, id.find('/')));
    }
    std::sort(names.begin(), names.end());
    return names;
}

void add_backend_option(CLI::App& app, Placement& placement, const std::string& help) {
    add_value(app, "--backend", "LIST", help, [&placement](const std::string& text) -> Status {
        VKS_ASSIGN(placement.backends, parse_list(text, "--backend"));
        return {};
    });
}

void add_placement_options(CLI::App& app, Placement& placement) {
    add_backend_option(app, placement,
                       "Backends in order of preference: auto (default), cpu, vulkan:1 or vulkan:0,cpu");
    add_values(app, "--op", "NAME=BACKEND", "Backend of one operator, e.g. mla_attention=cpu; repeatable",
               [&placement](const std::string& text) -> Status {
                   VKS_ASSIGN(const auto op, parse_operator(text, "--op", "NAME=BACKEND"));
                   placement.op_backend[op.first] = op.second;
                   return {};
               });
}

void add_prefill_option(CLI::App& app, Placement& placement) {
    add_value(app, "--prefill", "LIST", "Backends of the prompt's steps, where not those of --backend",
              [&placement](const std::string& text) -> Status {
                  VKS_ASSIGN(placement.prefill, parse_list(text, "--prefill"));
                  return {};
              });
}

void add_swap_options(CLI::App& app, std::vector<PlannedSwap>& swaps) {
    add_values(app, "--swap", "STEP=LIST|STEP:NAME=BACKEND",
               "Once STEP tokens are generated, go on with other backends, or one operator elsewhere; repeatable",
               [&swaps](const std::string& text) -> Status {
                   VKS_ASSIGN(PlannedSwap swap, parse_swap(text));
                   swaps.push_back(std::move(swap));
                   return {};
               });
    add_values(app, "--reload", "STEP=PLUGIN",
               "Once STEP tokens are generated, load a plugin's library anew and go on with it; repeatable",
               [&swaps](const std::string& text) -> Status {
                   VKS_ASSIGN(PlannedSwap swap, parse_reload(text));
                   swaps.push_back(std::move(swap));
                   return {};
               });
}

Result<Change> parse_change(const std::string& command, const std::string& argument) {
    Change change;
    if (command == "/backend") {
        VKS_ASSIGN(change.backends, parse_list(argument, command));
    } else if (command == "/op") {
        VKS_ASSIGN(change.op, parse_operator(argument, command, "NAME=BACKEND"));
    } else if (argument.empty()) {
        return usage_error("plugin", command, "a plugin's name", "nothing");
    } else {
        change.reload = argument;
    }
    return change;
}

nlohmann::ordered_json swaps_json(const std::vector<SwapEvent>& events) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const SwapEvent& event : events) {
        if (!event.error.empty()) continue;
        const Swap& swap = event.swap;
        list.push_back({{"step", event.step},
                        {"reason", event.reason},
                        {"from", swap.from.text()},
                        {"to", swap.to.text()},
                        {"changed", swap.changed},
                        {"seconds", swap.seconds},
                        {"build_seconds", swap.build_seconds},
                        {"moved_bytes", swap.moved_bytes},
                        {"recomputed_tokens", event.recomputed_tokens},
                        {"bytes", {{"before", swap.before}, {"peak", swap.peak}, {"after", swap.after}}}});
    }
    return list;
}

nlohmann::ordered_json refused_swaps_json(const std::vector<SwapEvent>& events) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const SwapEvent& event : events)
        if (!event.error.empty())
            list.push_back({{"step", event.step}, {"reason", event.reason}, {"error", event.error}});
    return list;
}

std::string swap_text(const SwapEvent& event) {
    const Swap& swap = event.swap;
    if (!swap.changed) return fmt::format("{}: as it was", swap.to.text());
    return fmt::format("{} to {} in {:.3f} s (plans in {:.3f} s), {} of latent cache moved{}", swap.from.text(),
                       swap.to.text(), swap.seconds, swap.build_seconds, human_bytes(swap.moved_bytes),
                       again_text(event.recomputed_tokens));
}

std::string swaps_text(const std::vector<SwapEvent>& events) {
    std::string text;
    for (const SwapEvent& event : events)
        if (event.error.empty())
            text += fmt::format("swapped:   after {} tokens, {}: {}\n", event.step, event.reason, swap_text(event));
    return text;
}

}  // namespace vks
