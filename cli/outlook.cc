#include "cli/outlook.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>

#include "cli/output.h"
#include "core/nearest.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

int places(const Rule& rule) {
  int total = 0;
  for (const Gate& gate : rule.gates) total += gate.count;
  return total;
}

bool any_compatible(const std::vector<Selector>& a, const std::vector<Selector>& b) {
  return std::any_of(a.begin(), a.end(), [&](const Selector& left) {
    return std::any_of(b.begin(), b.end(), [&](const Selector& right) { return compatible(left, right); });
  });
}

std::string texts(const std::vector<Selector>& selectors) {
  std::vector<std::string> words;
  for (const Selector& s : selectors) words.push_back(s.text());
  return fmt::to_string(fmt::join(words, " or "));
}

std::string hours_obstacle(const Rule& rule, const Request& request, const ZoneTable& zones, UnixTime now) {
  if (rule.hours.empty() || !rule.gates.empty()) return {};  // with gates nobody knows yet when it would start
  const UnixTime start = std::max(request.not_before.value_or(now), now);
  if (hours_until(rule.hours, zones, start)) return {};
  std::vector<std::string> spans;
  for (const Hours& h : rule.hours) spans.push_back(h.text);
  return fmt::format("it holds {} only", join_words(spans, "and"));
}

std::string gates_obstacle(const Rule& rule, const std::string& subject) {
  for (const Gate& gate : rule.gates) {
    const auto others = static_cast<int>(gate.members.size() - gate.members.count(subject));
    if (others < gate.count) return fmt::format("nobody but you could approve for {}", fmt::join(gate.from, " or "));
  }
  return {};
}

std::string presence_obstacle(const Rule& rule, Presence possible) {
  if (possible >= rule.presence) return {};
  return rule.presence == Presence::verified ? "it wants a security key with PIN or fingerprint"
                                             : "it wants a security key's touch";
}

std::string target_obstacle(const Rule& rule, const Request& request, const std::vector<const HostIdentity*>& matched,
                            std::vector<std::string>& covered) {
  for (const HostIdentity* host : matched) {
    if (any_matches(rule.targets, *host)) covered.push_back(host->name);
  }
  const bool hopeless = matched.empty() ? !any_compatible(rule.targets, request.targets) : covered.empty();
  return hopeless ? fmt::format("it is for {}", texts(rule.targets)) : "";
}

}  // namespace

std::vector<std::string> approvers_of(const Rule& rule, std::string_view subject) {
  std::set<std::string> names;
  for (const Gate& gate : rule.gates) names.insert(gate.members.begin(), gate.members.end());
  names.erase(std::string(subject));
  return {names.begin(), names.end()};
}

Outlook look_ahead(const Policy& policy, const Request& request, Presence possible, const Hosts& hosts,
                   const ZoneTable& zones, UnixTime now) {
  Outlook out;
  out.matched = hosts.matching(request.targets);
  for (const Rule& rule : policy.rules) {
    const bool named = std::find(rule.runbooks.begin(), rule.runbooks.end(), request.runbook) != rule.runbooks.end();
    if (!named || !rule.requester_people.contains(request.subject)) continue;
    RuleOutlook r;
    r.rule = &rule;
    r.approvers = approvers_of(rule, request.subject);
    r.obstacle = target_obstacle(rule, request, out.matched, r.hosts);
    if (r.obstacle.empty() && rule.max_duration && request.duration > *rule.max_duration) {
      r.obstacle = fmt::format("it allows {} at most", format_duration(*rule.max_duration));
    }
    if (r.obstacle.empty()) r.obstacle = presence_obstacle(rule, possible);
    if (r.obstacle.empty()) r.obstacle = hours_obstacle(rule, request, zones, now);
    if (r.obstacle.empty()) r.obstacle = gates_obstacle(rule, request.subject);
    out.rules.push_back(std::move(r));
  }
  std::stable_sort(out.rules.begin(), out.rules.end(), [](const RuleOutlook& a, const RuleOutlook& b) {
    return std::pair(!a.obstacle.empty(), places(*a.rule)) < std::pair(!b.obstacle.empty(), places(*b.rule));
  });
  return out;
}

namespace {

bool listed(const std::vector<std::string>& choices, std::string_view value) {
  return std::find(choices.begin(), choices.end(), value) != choices.end();
}

// The values that one word means; empty when it is none of them.
std::vector<std::string> values_of(std::string_view word, const std::vector<std::string>& choices) {
  if (listed(choices, word)) return {std::string(word)};
  std::vector<std::string> out;
  for (;;) {
    const std::size_t comma = word.find(',');
    const std::string_view part = word.substr(0, comma);
    if (!listed(choices, part)) return {};
    out.emplace_back(part);
    if (comma == std::string_view::npos) return out;
    word.remove_prefix(comma + 1);
  }
}

std::string suggestion(std::string_view typed, const std::vector<std::string>& choices) {
  const std::string near = nearest_name(typed, choices);
  return near.empty() ? "" : fmt::format(" (did you mean {}?)", near);
}

}  // namespace

Result<std::map<std::string, std::vector<std::string>>> choose_parameters(const Runbook& runbook,
                                                                          const std::vector<std::string>& words) {
  std::map<std::string, std::vector<std::string>> chosen;
  std::vector<std::string> names;
  for (const auto& [name, choices] : runbook.parameters) names.push_back(name);
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos)
      return Error{Errc::malformed, fmt::format("--param {} lacks a value; write name=value", printable(word))};
    const std::string name = word.substr(0, equals);
    const auto found = runbook.parameters.find(name);
    if (found == runbook.parameters.end()) {
      const std::string has = names.empty() ? "it has none" : "it has " + join_words(names, "and");
      return Error{Errc::not_found, fmt::format("{} has no parameter {}{}; {}", runbook.name, printable(name),
                                                suggestion(name, names), has)};
    }
    const std::vector<std::string> values = values_of(std::string_view(word).substr(equals + 1), found->second);
    if (values.empty()) {
      const std::string typed = word.substr(equals + 1);
      return Error{Errc::not_found, fmt::format("\"{}\" is no value for {}{}; choose from {}", printable(typed), name,
                                                suggestion(typed, found->second), join_words(found->second, "and"))};
    }
    for (const std::string& value : values) {
      if (!listed(chosen[name], value)) chosen[name].push_back(value);
    }
  }
  for (const auto& [name, choices] : runbook.parameters) {
    if (chosen.contains(name)) continue;
    if (choices.size() != 1) {
      return Error{Errc::malformed, fmt::format("{} needs --param {}=VALUE; choose from {}", runbook.name, name,
                                                join_words(choices, "and"))};
    }
    chosen[name] = choices;
  }
  return chosen;
}

}  // namespace hallpass::cli
