// Which hosts: `env=prod,role=web` (all must hold) or `host=web-3`. A list of selectors holds when any one does.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/values/result.h"

namespace hallpass {

// A host as its own configuration names it. `host` is not a legal label key: it always means the name.
struct HostIdentity {
  std::string name;                           // [A-Za-z0-9._-]{1,253}
  std::map<std::string, std::string> labels;  // key: a name (core/values/text.h); value: [A-Za-z0-9._-]{1,63}
};

class Selector {
 public:
  // Errors: malformed (empty, repeated key, bad character), saying where.
  static Result<Selector> parse(std::string_view text);
  bool matches(const HostIdentity& host) const;
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::vector<std::pair<std::string, std::string>> terms_;
};

bool any_matches(std::span<const Selector> selectors, const HostIdentity& host);

bool is_host_name(std::string_view text);
bool is_label_value(std::string_view text);

}  // namespace hallpass
