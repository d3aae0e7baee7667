#include "cli/hosts.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "core/nearest.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

void read_host(const std::string& name, const Toml& value, Hosts& hosts, std::vector<Diagnostic>& out) {
  const auto error = [&](int line, std::string message, std::string cure) {
    out.push_back({Diagnostic::Severity::error, line, std::move(message), std::move(cure)});
  };
  const TomlTable* table = value.as_table();
  if (table == nullptr)
    return error(value.line(), fmt::format("host {} is {}", printable(name), value.type_name()),
                 "write a table: [hosts.web-3]");
  if (!is_host_name(name)) {
    return error(value.line(), fmt::format("\"{}\" is not a host name", printable(name)),
                 "use letters, digits, dots, - and _ only");
  }
  HostIdentity host{name, {}};
  for (const auto& [label, text] : *table) {
    const std::string* words = text.as_string();
    if (!is_name(label) || label == "host") {
      error(text.line(), fmt::format("\"{}\" cannot be a label", printable(label)),
            "name it like env or role; host always means the name");
    } else if (words == nullptr || !is_label_value(*words)) {
      error(text.line(), fmt::format("label {} of {} is not a word", label, name),
            fmt::format("write {} = \"prod\"", label));
    } else {
      host.labels.emplace(label, *words);
    }
  }
  hosts.all.push_back(std::move(host));
}

}  // namespace

const HostIdentity* Hosts::find(std::string_view name) const {
  const auto it = std::find_if(all.begin(), all.end(), [&](const HostIdentity& h) { return h.name == name; });
  return it == all.end() ? nullptr : &*it;
}

std::vector<const HostIdentity*> Hosts::matching(std::span<const Selector> targets) const {
  std::vector<const HostIdentity*> out;
  for (const HostIdentity& host : all) {
    if (any_matches(targets, host)) out.push_back(&host);
  }
  return out;
}

std::optional<Hosts> parse_hosts(std::string_view toml, std::vector<Diagnostic>& out) {
  const auto root = parse_toml(toml, out);
  if (!root) return std::nullopt;
  Hosts hosts;
  TomlReader reader(*root, "hosts.toml", out);
  if (const Toml* tables = reader.optional("hosts")) {
    if (const TomlTable* table = tables->as_table()) {
      for (const auto& [name, value] : *table) read_host(name, value, hosts, out);
    } else {
      reader.error(tables->line(), "hosts is no table", "write [hosts.web-3], then its labels");
    }
  }
  reader.finish();
  if (has_errors(out)) return std::nullopt;
  hosts.known = !hosts.all.empty();  // as `policy init` writes it, it lists none and says nothing
  std::sort(hosts.all.begin(), hosts.all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return hosts;
}

Result<Selector> parse_target(std::string_view typed) {
  if (typed.find('=') == std::string_view::npos && is_host_name(typed))
    return Selector::parse(fmt::format("host={}", typed));
  auto selector = Selector::parse(typed);
  if (selector) return selector;
  return Error{Errc::malformed,
               fmt::format("target \"{}\": {}; write a host name such as web-3, or labels such as env=prod,role=web",
                           printable(typed), selector.error().message)};
}

std::map<std::string, std::string> selector_terms(const Selector& selector) {
  std::map<std::string, std::string> terms;
  std::string_view rest = selector.text();
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const std::string_view term = rest.substr(0, comma);
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    const std::size_t equals = term.find('=');
    if (equals != std::string_view::npos) terms.emplace(term.substr(0, equals), term.substr(equals + 1));
  }
  return terms;
}

bool compatible(const Selector& a, const Selector& b) {
  const auto left = selector_terms(a);
  const auto right = selector_terms(b);
  return std::all_of(left.begin(), left.end(), [&](const auto& term) {
    const auto other = right.find(term.first);
    return other == right.end() || other->second == term.second;
  });
}

}  // namespace hallpass::cli
