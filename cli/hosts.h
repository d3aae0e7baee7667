// hosts.toml beside the policy: the fleet's hosts and labels, so that people see what a target means. Advice only: a
// host knows itself.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/toml.h"
#include "core/values/selector.h"

namespace hallpass::cli {

struct Hosts {
  bool known = false;  // there is a hosts.toml, and it names hosts
  std::vector<HostIdentity> all;

  const HostIdentity* find(std::string_view name) const;
  std::vector<const HostIdentity*> matching(std::span<const Selector> targets) const;
};

// `[hosts.web-3]` tables of label = "value"; a name with dots is quoted: [hosts."web-3.example.org"].
std::optional<Hosts> parse_hosts(std::string_view toml, std::vector<Diagnostic>& out);

// A target as typed: a selector, or a bare host name, which means host=NAME. Error: malformed.
Result<Selector> parse_target(std::string_view typed);

// The labels that a selector demands, from its text.
std::map<std::string, std::string> selector_terms(const Selector& selector);

// Can a host exist that both match? No when they demand different values of one label.
bool compatible(const Selector& a, const Selector& b);

}  // namespace hallpass::cli
