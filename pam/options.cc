#include "pam/options.h"

namespace hallpass {

bool Options::serves(std::string_view service) const {
  return !service.empty() && ("," + services + ",").find("," + std::string(service) + ",") != std::string::npos;
}

Options parse_options(int argc, const char* const* argv) {
  Options options;
  for (int i = 0; i < argc; ++i) {
    const std::string_view word = argv[i];
    const auto equals = word.find('=');
    const auto name = word.substr(0, equals);
    const auto value = equals == std::string_view::npos ? std::string_view() : word.substr(equals + 1);
    if (word == "mode=observe") {
      options.observe = true;
    } else if (word == "mode=enforce") {
      options.observe = false;
    } else if (word == "post") {
      options.post = true;
    } else if (name == "exempt_group" && !value.empty()) {
      options.exempt_group = value;
    } else if (name == "services" && !value.empty()) {
      options.services = value;
    } else if (options.unknown.empty()) {
      options.unknown = word;
    }
  }
  return options;
}

}  // namespace hallpass
