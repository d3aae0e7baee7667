// `hallpass policy check` and `show`.
#include <fcntl.h>
#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>

#include "cli/commands.h"
#include "cli/grants.h"
#include "cli/policy_file.h"
#include "core/edge/files.h"
#include "core/edge/tzdb.h"
#include "core/values/text.h"

namespace hallpass::cli {

Result<std::string> policy_path(const Context& context, const std::string& given) {
  if (!given.empty()) return given;
  const auto dir = context.dir();
  if (!dir) return dir.error();
  return dir.value() + "/policy.toml";
}

CheckedPolicy check_policy(const std::string& text, UnixTime now) {
  CheckedPolicy out;
  out.policy = parse_policy(text, out.diagnostics);
  if (!out.policy) return out;
  for (Diagnostic& d : lint_policy(*out.policy, now)) out.diagnostics.push_back(std::move(d));
  for (const Rule& rule : out.policy->rules) {
    for (const Hours& hours : rule.hours) {
      if (zone_exists(hours.zone)) continue;
      out.diagnostics.push_back({Diagnostic::Severity::error, rule.line,
                                 fmt::format("this machine knows no time zone \"{}\"", printable(hours.zone)),
                                 "write an IANA name such as Europe/Berlin, or UTC"});
    }
  }
  std::stable_sort(out.diagnostics.begin(), out.diagnostics.end(),
                   [](const Diagnostic& a, const Diagnostic& b) { return a.line < b.line; });
  return out;
}

Result<std::vector<VoidedGrant>> voided_by(const Policy& next, const std::string& dir, UnixTime now) {
  const auto workspace = Workspace::open(dir);
  if (!workspace) return workspace.error();
  auto zones = load_zones(next.zone_names());
  if (!zones) return zones.error();
  std::vector<VoidedGrant> out;
  for (Grant& g : view_all(workspace.value(), now)) {
    if (!g.live()) continue;
    Judgement j = judge(g.digest, g.statements, next, nullptr, now, zones.value());
    if (j.state == GrantState::active || j.state == GrantState::pending) continue;
    out.push_back({std::move(g), std::move(j)});
  }
  return out;
}

std::vector<std::string> voided_lines(const std::vector<VoidedGrant>& voided) {
  std::vector<std::string> out;
  for (const VoidedGrant& v : voided) {
    out.push_back(fmt::format("would void {}: {}'s {} on {} ({})", v.grant.id(), v.grant.request->subject,
                              v.grant.request->runbook, target_words(v.grant.request->targets),
                              printable(v.judgement.detail, 500)));
  }
  return out;
}

namespace {

Json diagnostics_json(const std::vector<Diagnostic>& diagnostics) {
  JsonArray out;
  for (const Diagnostic& d : diagnostics) {
    out.emplace_back(JsonObject{{"severity", d.severity == Diagnostic::Severity::error ? "error" : "warning"},
                                {"line", d.line},
                                {"message", d.message},
                                {"cure", d.cure}});
  }
  return out;
}

void format_check(const Policy& policy, int known, std::vector<Diagnostic>& out) {
  if (known == 0) return;
  if (known > kPolicyFormat) {
    out.push_back({Diagnostic::Severity::warning, 0,
                   fmt::format("this program knows format {} only, not {}", kPolicyFormat, known),
                   "use a newer hallpass"});
  }
  if (known >= policy.format) return;
  out.push_back({Diagnostic::Severity::error, 0,
                 fmt::format("hosts that know format {} only would keep the policy they have", known),
                 fmt::format("update those hosts, or write for format {}", known)});
}

int print_check(Output& out, const std::string& file, const CheckedPolicy& checked,
                const std::vector<VoidedGrant>& voided) {
  const bool bad = has_errors(checked.diagnostics);
  if (out.json()) {
    JsonArray ids;
    for (const VoidedGrant& v : voided)
      ids.emplace_back(
          JsonObject{{"id", v.grant.id()}, {"subject", v.grant.request->subject}, {"why", v.judgement.detail}});
    out.json(JsonObject{
        {"ok", !bad}, {"diagnostics", diagnostics_json(checked.diagnostics)}, {"would_void", std::move(ids)}});
    return static_cast<int>(bad ? Exit::refused : Exit::ok);
  }
  for (const Diagnostic& d : checked.diagnostics) out.line(format_diagnostic(file, d));
  out.lines(voided_lines(voided));
  const auto errors = static_cast<std::size_t>(
      std::count_if(checked.diagnostics.begin(), checked.diagnostics.end(),
                    [](const Diagnostic& d) { return d.severity == Diagnostic::Severity::error; }));
  const std::size_t warnings = checked.diagnostics.size() - errors;
  if (bad) return out.fail(Exit::refused, fmt::format("{} has {}", file, count_of(errors, "error")));
  const Policy& p = *checked.policy;
  out.line(fmt::format("{}: version {} of {} is good; {}, {}, {}{}", file, p.version, p.fleet,
                       count_of(p.people.size(), "person", "people"), count_of(p.runbooks.size(), "runbook"),
                       count_of(p.rules.size(), "rule"), warnings == 0 ? "" : ", " + count_of(warnings, "warning")));
  return 0;
}

}  // namespace

int cmd_policy_check(Context& context, const PolicyFileArgs& args) {
  Output& out = context.out();
  const auto path = policy_path(context, args.file);
  if (!path) return out.fail(path.error());
  const auto text = read_file(AT_FDCWD, path.value(), kMaxPolicyBytes, true);
  if (!text)
    return out.fail(text.error().code == Errc::not_found && args.file.empty() ? Exit::directory : Exit::usage,
                    text.error().message);
  CheckedPolicy checked = check_policy(text.value(), Context::now());
  std::vector<VoidedGrant> voided;
  if (checked.policy) {
    format_check(*checked.policy, args.for_format, checked.diagnostics);
    if (!args.against.empty()) {
      auto found = voided_by(*checked.policy, args.against, Context::now());
      if (!found) return out.fail(found.error());
      voided = std::move(found).value();
    }
  }
  return print_check(out, shorten_home(path.value()), checked, voided);
}

namespace {

std::string people_words(const std::set<std::string>& names) {
  return join_words({names.begin(), names.end()}, "and");
}

void show_people(Output& out, const Policy& p) {
  Table table({"PERSON", "ACCOUNT", "GROUPS", "KEYS"});
  for (const auto& [name, person] : p.people) {
    std::vector<std::string> groups;
    for (const auto& [group, members] : p.groups) {
      if (members.contains(name)) groups.push_back(group);
    }
    std::string first = name;
    for (const EnrolledKey& k : person.keys) {
      const std::string key = fmt::format("{} {}{}", k.key.fingerprint(), printable(k.comment),
                                          k.key.is_security_key() ? " (security key)" : "");
      table.add({{first, Style::bold},
                 {first.empty() ? "" : person.account},
                 {first.empty() ? "" : fmt::to_string(fmt::join(groups, ", "))},
                 {key}});
      first.clear();
    }
  }
  out.table(table);
}

void show_runbooks(Output& out, const Policy& p) {
  Table table({"RUNBOOK", "ACCOUNT", "LASTS", "COMMANDS", "TITLE"});
  for (const auto& [name, r] : p.runbooks) {
    const bool longer = r.max_duration != r.default_duration;
    table.add({{name, Style::bold},
               {r.is_self() ? "their own" : r.account},
               {rough_duration(r.default_duration) + (longer ? ", at most " + rough_duration(r.max_duration) : "")},
               {r.sudo.empty() ? "login only" : count_of(r.sudo.size(), "command")},
               {printable(r.title)}});
  }
  out.table(table);
}

std::string gates_words(const Rule& rule) {
  if (rule.gates.empty()) return "nobody";
  std::vector<std::string> gates;
  for (const Gate& g : rule.gates) gates.push_back(fmt::format("{} of {}", g.count, join_words(g.from, "or")));
  return join_words(gates, "and");
}

void show_rules(Output& out, const Policy& p) {
  Table table({"RULE", "RUNBOOKS", "WHO ASKS", "WHERE", "WHO AGREES", "HOURS", "PRESENCE"});
  for (const Rule& rule : p.rules) {
    std::vector<std::string> hours;
    for (const Hours& h : rule.hours) hours.push_back(h.text);
    table.add({{std::to_string(rule.number), Style::bold},
               {fmt::to_string(fmt::join(rule.runbooks, ", "))},
               {fmt::to_string(fmt::join(rule.requesters, ", "))},
               {target_words(rule.targets)},
               {gates_words(rule)},
               {hours.empty() ? "any" : join_words(hours, "and")},
               {std::string(to_string(rule.presence))}});
  }
  out.table(table);
}

Json names_json(const std::set<std::string>& names) {
  JsonArray out;
  for (const std::string& n : names) out.emplace_back(n);
  return out;
}

Json policy_json(const Policy& p, const PolicyTrust& trust) {
  JsonArray runbooks;
  for (const auto& [name, r] : p.runbooks) {
    runbooks.emplace_back(JsonObject{{"name", name},
                                     {"title", r.title},
                                     {"account", r.account},
                                     {"default_duration", static_cast<std::int64_t>(r.default_duration.count())},
                                     {"max_duration", static_cast<std::int64_t>(r.max_duration.count())},
                                     {"digest", format_digest(r.digest)}});
  }
  JsonArray people;
  for (const auto& [name, person] : p.people) {
    JsonArray keys;
    for (const EnrolledKey& k : person.keys) keys.emplace_back(k.key.fingerprint());
    people.emplace_back(JsonObject{{"name", name}, {"account", person.account}, {"keys", std::move(keys)}});
  }
  return JsonObject{{"fleet", p.fleet},
                    {"version", p.version},
                    {"valid_until", format_time(p.valid_until)},
                    {"digest", format_digest(p.digest)},
                    {"trust", to_string(trust.level)},
                    {"trust_detail", trust.sentence},
                    {"signers", names_json(trust.signers)},
                    {"admins", names_json(p.admins)},
                    {"admin_threshold", p.admin_threshold},
                    {"people", std::move(people)},
                    {"runbooks", std::move(runbooks)},
                    {"rules", static_cast<std::int64_t>(p.rules.size())}};
}

}  // namespace

int cmd_policy_show(Context& context, const PolicyFileArgs& args) {
  Output& out = context.out();
  const auto workspace = context.open_workspace();
  if (!workspace) return out.fail(workspace.error());
  if (args.toml) {
    const auto text = read_file(AT_FDCWD, workspace->dir() + "/policy.toml", kMaxPolicyBytes, true);
    if (!text) return out.fail(text.error());
    fmt::print("{}", text.value());
    return 0;
  }
  const Policy& p = workspace->policy();
  const PolicyTrust& trust = workspace->trust();
  if (out.json()) {
    out.json(policy_json(p, trust));
    return 0;
  }
  out.line(fmt::format("{} {}, version {}, valid until {}", out.styled("Policy of", Style::dim),
                       out.styled(p.fleet, Style::bold), p.version, context.times().with_left(p.valid_until)));
  const Style style = trust.level == PolicyTrust::Level::verified    ? Style::good
                      : trust.level == PolicyTrust::Level::unsigned_ ? Style::bad
                                                                     : Style::waiting;
  out.line(fmt::format("{} {}: {}", out.styled("Signatures", Style::dim), out.styled(to_string(trust.level), style),
                       printable(trust.sentence, 1000)));
  out.line(
      fmt::format("{} {} ({} must sign)", out.styled("Admins", Style::dim), people_words(p.admins), p.admin_threshold));
  out.line();
  show_people(out, p);
  out.line();
  show_runbooks(out, p);
  out.line();
  show_rules(out, p);
  return 0;
}

}  // namespace hallpass::cli
