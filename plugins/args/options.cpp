#include "plugins/args/options.h"

#include <algorithm>

namespace vks::args {

std::map<std::string, std::string> parse_options(const char* options) {
    std::map<std::string, std::string> parsed;
    std::string rest = options ? options : "";
    while (!rest.empty()) {
        const size_t end = std::min(rest.find(';'), rest.size());
        const std::string item = rest.substr(0, end);
        const size_t equals = item.find('=');
        if (equals != std::string::npos) parsed[item.substr(0, equals)] = item.substr(equals + 1);
        rest.erase(0, end + 1);
    }
    return parsed;
}

}  // namespace vks::args
