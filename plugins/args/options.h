// The options text that opens a device.
#pragma once
#include <map>
#include <string>

namespace vks::args {

// "key=value;key=value"; a later value wins. `options` may be null.
std::map<std::string, std::string> parse_options(const char* options);

}  // namespace vks::args
