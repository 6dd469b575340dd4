#include "frontend/gen/placement.h"

#include <algorithm>

#include "backend/abi/draft/row_bits.h"

namespace vks {

std::string Placement::text() const {
    std::string text = fmt::format("{}", fmt::join(backends, ","));
    for (const auto& [op, backend] : op_backend) text += fmt::format("; {}={}", op, backend);
    if (!prefill.empty()) text += fmt::format("; prefill={}", fmt::join(prefill, ","));
    return text;
}

bool promises_row_bits(const vks_plugin& plugin, int64_t rows) {
    const auto* promise =
        static_cast<const vks_row_bits*>(find_extension(plugin, VKS_ROW_BITS_ID, sizeof(vks_row_bits)));
    return promise && uint64_t(rows) <= promise->rows();
}

Result<Preference> resolve(Registry& registry, const std::vector<std::string>& backends,
                           const std::map<std::string, std::string>& op_backend, const std::string& open_options,
                           const std::string& first_op, std::string_view option, std::vector<std::string>& left_out) {
    Preference p;
    const auto add = [&](const std::string& name, std::string_view from) -> Result<Device*> {
        auto entries = registry.select(name, from);
        if (!entries && name != "auto" && !registry.devices().empty()) return entries.error();
        if (!entries)
            return Error{entries.error().code,
                         fmt::format("operator {}: wanted a backend, found none: {}", first_op, entries.error().text)};
        Device* first = nullptr;
        std::vector<Error> errors;
        for (DeviceEntry* entry : *entries) {
            auto device = registry.open(*entry, open_options);
            if (!device) {
                errors.push_back(device.error());
                continue;
            }
            if (!first) first = *device;
            if (std::find(p.order.begin(), p.order.end(), *device) == p.order.end()) p.order.push_back(*device);
        }
        if (!first) return errors.front();  // named, or all that "auto" means
        for (const Error& error : errors) left_out.push_back("left out of auto: " + error.text);
        return first;
    };
    for (const std::string& name : backends) VKS_TRY(add(name, option));
    p.general = p.order.size();
    p.cheapest = backends == std::vector<std::string>{"auto"};
    for (const auto& [op, backend] : op_backend) {
        VKS_ASSIGN(p.per_op[op], add(backend, option.empty() ? "" : "--op " + op));
    }
    return p;
}

}  // namespace vks
