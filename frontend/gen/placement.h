// Where a model's operators are to run, in the words of the command line.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "backend/plan/placement.h"
#include "backend/registry/registry.h"

namespace vks {

struct Placement {
    std::vector<std::string> backends = {"auto"};   // ordered preference: "cpu", "vulkan", "vulkan:1", "auto"
    std::map<std::string, std::string> op_backend;  // "mla_attention" -> "cpu"
    std::vector<std::string> prefill;               // instead of `backends` for steps of the prompt; empty: the same
    bool operator==(const Placement&) const = default;

    // "vulkan,cpu; mla_attention=cpu; prefill=vulkan"
    std::string text() const;
};

// Whether the plugin's devices keep a row's bits whatever else a launch of up to `rows` rows has: vks.row_bits/1.
bool promises_row_bits(const vks_plugin& plugin, int64_t rows);

// Devices in the order of `backends`, then those that only op_backend names; opened with `open_options`. Errors are
// kNoBackend: a name that means no device is that of `option` or of --op (empty: the caller says where it is from);
// where there is no device for anything they name `first_op`. What "auto" means goes without devices that can't be
// opened, as long as there is another one; `left_out` gets a line for each.
Result<Preference> resolve(Registry& registry, const std::vector<std::string>& backends,
                           const std::map<std::string, std::string>& op_backend, const std::string& open_options,
                           const std::string& first_op, std::string_view option, std::vector<std::string>& left_out);

}  // namespace vks
