#include "core/values/selector.h"

#include <algorithm>

#include "core/values/text.h"

namespace hallpass {
namespace {

bool all_host_characters(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
}

// What is wrong with one `key=value` term, or nothing.
std::string term_fault(std::string_view key, std::string_view value) {
  if (!is_name(key)) return "the label key \"" + printable(key, 40) + "\" is not of the form [a-z_][a-z0-9_-]{0,31}";
  if (key == "host" ? !is_host_name(value) : !is_label_value(value)) {
    return "the value \"" + printable(value, 70) + "\" of " + std::string(key) +
           " may hold letters, digits, dot, underscore and dash only (no wildcards)";
  }
  return {};
}

}  // namespace

bool is_host_name(std::string_view text) {
  return !text.empty() && text.size() <= 253 && all_host_characters(text);
}

bool is_label_value(std::string_view text) {
  return !text.empty() && text.size() <= 63 && all_host_characters(text);
}

Result<Selector> Selector::parse(std::string_view text) {
  const auto malformed = [&](const std::string& why) {
    return Error{Errc::malformed, "target \"" + printable(text, 120) + "\": " + why};
  };
  Selector selector;
  selector.text_ = std::string(text);
  if (text.empty()) return malformed("it is empty; write label=value or host=NAME");
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view term = text.substr(begin, end - begin);
    const std::size_t equals = term.find('=');
    if (equals == std::string_view::npos) return malformed("each part must be label=value or host=NAME");
    const std::string_view key = term.substr(0, equals);
    const std::string_view value = term.substr(equals + 1);
    if (const std::string fault = term_fault(key, value); !fault.empty()) return malformed(fault);
    for (const auto& [known, unused] : selector.terms_) {
      if (known == key) return malformed("the key " + known + " stands there twice; one host cannot have both");
    }
    selector.terms_.emplace_back(key, value);
    begin = end + 1;
  }
  return selector;
}

bool Selector::matches(const HostIdentity& host) const {
  // A selector that holds for lack of terms would match every host: parse makes none, and a default value matches
  // nothing.
  if (terms_.empty()) return false;
  return std::all_of(terms_.begin(), terms_.end(), [&](const auto& term) {
    if (term.first == "host") return host.name == term.second;
    const auto label = host.labels.find(term.first);
    return label != host.labels.end() && label->second == term.second;
  });
}

bool any_matches(std::span<const Selector> selectors, const HostIdentity& host) {
  return std::any_of(selectors.begin(), selectors.end(), [&](const Selector& s) { return s.matches(host); });
}

}  // namespace hallpass
