// `hallpass policy init`: asks what it needs and writes a first policy that passes `policy check`, with hosts.toml and
// trust.toml.
#include <fmt/core.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <system_error>

#include "cli/commands.h"
#include "cli/policy_file.h"
#include "core/edge/files.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

constexpr int kMonthsValid = 12;

struct NewPerson {
  std::string name;
  PublicKey key;
};

struct Draft {
  std::string fleet;
  std::vector<NewPerson> people;
  std::vector<std::string> admins;
  int threshold = 1;
  std::string presence;
  std::string runbook = "login";
  std::string account = "self";
  std::vector<std::string> targets;
};

std::string quoted_list(const std::vector<std::string>& words) {
  std::vector<std::string> quoted;
  for (const std::string& w : words) quoted.push_back(toml_quote(w));
  return fmt::format("[{}]", fmt::join(quoted, ", "));
}

std::vector<std::string> names_of(const Draft& d) {
  std::vector<std::string> names;
  for (const NewPerson& p : d.people) names.push_back(p.name);
  return names;
}

std::string valid_until(UnixTime now) {
  const auto day = std::chrono::floor<std::chrono::days>(now);
  std::chrono::year_month_day date{day};
  date += std::chrono::months{kMonthsValid};
  if (!date.ok()) date = date.year() / date.month() / std::chrono::last;
  return format_time(UnixTime{std::chrono::sys_days{date}});
}

std::string people_toml(const Draft& d) {
  std::string out;
  for (const NewPerson& p : d.people) {
    out += fmt::format("[people.{}]\nkeys = [{}]\n\n", p.name, toml_quote(p.key.line() + " " + p.name));
  }
  return out;
}

std::string rule_toml(const Draft& d) {
  std::string out = fmt::format("[[rules]]\nrunbooks   = [{}]\nrequesters = [\"everyone\"]\ntargets    = {}\n",
                                toml_quote(d.runbook), quoted_list(d.targets));
  if (d.people.size() > 1)
    return out +
           "gates      = [ { from = [\"everyone\"], count = 1 } ]      # one other person agrees; nobody counts for "
           "himself\n";
  return out +
         "# gates    = [ { from = [\"everyone\"], count = 1 } ]      # as soon as there is a second person to agree\n";
}

std::string policy_toml(const Draft& d, UnixTime now) {
  return fmt::format(
      R"(# Who may do what on the hosts of {fleet}. Review it in git; `hallpass policy check` finds mistakes,
# `hallpass policy sign` puts it in force. Raise `version` with every change.
format      = 1
fleet       = {fleet_quoted}
version     = 1
valid_until = {until}         # nothing is admitted after this
presence    = "{presence}"                      # what a security key must prove: none, touch or verified

[admins]                                   # sign the next policy; may revoke anything
people    = {admins}
threshold = {threshold}                              # how many must sign; 2 of 3 survives a lost key

# account = "..." where the Unix account is not the person's name. Several keys may be listed.
{people}[groups]
everyone = {everyone}

# A runbook is what can be asked for: an account, and the commands it may run under sudo.
[runbooks.{runbook}]
title            = "Log in"
account          = {account}                  # "self": everybody's own; or a shared account such as "deploy"
default_duration = "30m"
max_duration     = "2h"

# Another, with sudo. The requester picks one or more of each parameter's values.
# [runbooks.restart-web]
# title            = "Restart a web service"
# account          = "self"
# default_duration = "30m"
# max_duration     = "2h"
# parameters       = {{ service = ["nginx", "php8.2-fpm"] }}
# sudo = [
#   {{ as = "root", run = ["/usr/bin/systemctl", "{{restart,reload}}", "${{service}}"] }},
# ]

# A rule says who may ask for which runbooks, on which hosts, and who must agree.
{rule}# hours    = ["Mon-Fri 07:00-19:00 Europe/Berlin"]
)",
      fmt::arg("fleet", d.fleet), fmt::arg("fleet_quoted", toml_quote(d.fleet)), fmt::arg("until", valid_until(now)),
      fmt::arg("presence", d.presence), fmt::arg("admins", quoted_list(d.admins)), fmt::arg("threshold", d.threshold),
      fmt::arg("people", people_toml(d)), fmt::arg("everyone", quoted_list(names_of(d))),
      fmt::arg("runbook", d.runbook), fmt::arg("account", toml_quote(d.account)), fmt::arg("rule", rule_toml(d)));
}

std::string trust_toml(const Draft& d) {
  std::string out = fmt::format(
      "# What a host believes before it has seen any policy: install it as /etc/hallpass/trust.toml (root, mode 0644) "
      "on every host,\n"
      "# by a way that you trust. Later changes of admins come with the policy.\nfleet = {}\n\n[admins]\nthreshold = "
      "{}\n\n[admins.people]\n",
      toml_quote(d.fleet), d.threshold);
  for (const NewPerson& p : d.people) {
    if (std::find(d.admins.begin(), d.admins.end(), p.name) != d.admins.end()) {
      out += fmt::format("{} = [{}]\n", p.name, toml_quote(p.key.line() + " " + p.name));
    }
  }
  return out;
}

constexpr const char* kHostsToml =
    "# The fleet's hosts and their labels, for people: `hallpass request` warns when a target matches none of them. "
    "Hosts themselves go\n"
    "# by their own /etc/hallpass/host.toml. Example:\n"
    "#\n"
    "# [hosts.web-3]\n"
    "# env  = \"prod\"\n"
    "# role = \"web\"\n"
    "#\n"
    "# [hosts.\"db-1.example.org\"]\n"
    "# env  = \"prod\"\n"
    "# role = \"db\"\n";

Result<NewPerson> person_from(const std::string& typed) {
  const std::size_t equals = typed.find('=');
  if (equals == std::string::npos)
    return Error{Errc::malformed, fmt::format("--person {} lacks a key; write alice=alice.pub", printable(typed))};
  const std::string name = typed.substr(0, equals);
  if (!is_name(name)) {
    return Error{Errc::malformed, fmt::format("\"{}\" is not a name; use small letters, digits, - and _, such as alice",
                                              printable(name))};
  }
  auto key = load_signing_key(typed.substr(equals + 1));
  if (!key) return Error{key.error().code, fmt::format("--person {}: {}", name, key.error().message)};
  return NewPerson{name, std::move(key->key)};
}

Status add_person(Draft& d, NewPerson person) {
  for (const NewPerson& p : d.people) {
    if (p.name == person.name) return Error{Errc::malformed, fmt::format("{} is there already", p.name)};
    if (p.key == person.key)
      return Error{Errc::malformed,
                   fmt::format("{} and {} have the same key; a key belongs to one person", p.name, person.name)};
  }
  d.people.push_back(std::move(person));
  return Unit{};
}

Status draft_from_flags(const PolicyInitArgs& args, Draft& d) {
  d.fleet = args.fleet;
  for (const std::string& typed : args.people) {
    auto person = person_from(typed);
    if (!person) return person.error();
    if (auto added = add_person(d, std::move(person).value()); !added) return added;
  }
  if (!args.runbook.empty()) d.runbook = args.runbook;
  if (!args.account.empty()) d.account = args.account;
  for (const std::string& typed : args.targets) {
    const auto target = parse_target(typed);
    if (!target) return target.error();
    d.targets.push_back(target->text());
  }
  d.presence = args.presence;
  d.admins = args.admins;
  d.threshold = args.threshold;
  return Unit{};
}

// Asks until the answer is good or the input ends.
template <class Accept>
Status ask_until(Prompt& prompt, std::string_view question, std::string_view preset, Accept&& accept) {
  for (;;) {
    const std::string answer = prompt.ask(question, preset);
    const Status ok = accept(answer);
    if (ok) return ok;
    if (prompt.ended()) return Error{Errc::malformed, "no answer; nothing was written"};
    fmt::print(stderr, "  {}\n", ok.error().message);
  }
}

Status name_into(const std::string& answer, std::string& into) {
  if (!is_name(answer))
    return Error{Errc::malformed, "use small letters, digits, - and _, beginning with a letter, at most 32"};
  into = answer;
  return Unit{};
}

Status ask_self(Prompt& prompt, Draft& d) {
  const char* user = std::getenv("USER");
  std::string name;
  if (auto ok = ask_until(prompt, "Your name in the policy", user != nullptr && is_name(user) ? user : "",
                          [&](const std::string& a) { return name_into(a, name); });
      !ok)
    return ok;
  const std::vector<SigningKey> keys = available_keys();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    fmt::print(stderr, "  {}) {} {}{}\n", i + 1, printable(keys[i].label), keys[i].key.fingerprint(),
               keys[i].key.is_security_key() ? " (security key)" : "");
  }
  return ask_until(prompt, keys.empty() ? "Your key file" : "Your key: a number, or a key file",
                   keys.empty() ? "" : "1", [&](const std::string& a) -> Status {
                     std::size_t n = 0;
                     const auto [end, fault] = std::from_chars(a.data(), a.data() + a.size(), n);
                     if (fault == std::errc{} && end == a.data() + a.size() && n >= 1 && n <= keys.size())
                       return add_person(d, {name, keys[n - 1].key});
                     auto key = load_signing_key(a);
                     if (!key) return key.error();
                     return add_person(d, {name, std::move(key->key)});
                   });
}

Status ask_others(Prompt& prompt, Draft& d) {
  for (;;) {
    const std::string name = prompt.ask("Another person's name (empty: no more)", "");
    if (name.empty()) return Unit{};
    if (!is_name(name)) {
      fmt::print(stderr, "  use small letters, digits, - and _, beginning with a letter\n");
      continue;
    }
    const auto ok =
        ask_until(prompt, fmt::format("{}'s public key file", name), "", [&](const std::string& a) -> Status {
          auto person = person_from(name + "=" + a);
          if (!person) return person.error();
          return add_person(d, std::move(person).value());
        });
    if (!ok) return ok;
  }
}

Status ask_all(Prompt& prompt, Draft& d) {
  fmt::print(stderr, "This writes a first policy. Everything can be changed in the file afterwards.\n");
  const auto name_of = [](std::string& into) { return [&into](const std::string& a) { return name_into(a, into); }; };
  if (d.fleet.empty()) {
    if (auto ok = ask_until(prompt, "Name of the fleet (it stands in every statement)", "prod", name_of(d.fleet)); !ok)
      return ok;
  }
  if (d.people.empty()) {
    if (auto ok = ask_self(prompt, d); !ok) return ok;
    if (auto ok = ask_others(prompt, d); !ok) return ok;
  }
  if (auto ok = ask_until(prompt, "First runbook (a login without sudo)", d.runbook, name_of(d.runbook)); !ok)
    return ok;
  if (auto ok = ask_until(prompt, "It opens the account: self, or a shared one", d.account, name_of(d.account)); !ok)
    return ok;
  if (!d.targets.empty()) return Unit{};
  return ask_until(prompt, "On which hosts (labels, or a host's name)", "env=prod",
                   [&](const std::string& a) -> Status {
                     const auto target = parse_target(a);
                     if (!target) return target.error();
                     d.targets = {target->text()};
                     return Unit{};
                   });
}

// What was not said: all people are admins, two of them sign, and touches are asked for where everybody can give one.
void fill_defaults(Draft& d) {
  if (d.admins.empty()) d.admins = names_of(d);
  if (d.threshold == 0) d.threshold = std::min(2, static_cast<int>(d.admins.size()));
  const bool all_hardware =
      std::all_of(d.people.begin(), d.people.end(), [](const NewPerson& p) { return p.key.is_security_key(); });
  if (d.presence.empty()) d.presence = all_hardware ? "touch" : "none";
  if (d.targets.empty()) d.targets = {"env=prod"};
}

Status make_directory(const std::string& dir) {
  if (mkdir(dir.c_str(), 0755) == 0 || errno == EEXIST) return Unit{};
  return Error{Errc::unavailable,
               fmt::format("cannot make {}: {}", printable(dir), std::generic_category().message(errno))};
}

Result<std::vector<std::string>> write_all(const std::string& dir, const std::string& policy,
                                           const std::string& trust) {
  if (auto made = make_directory(dir); !made) return made.error();
  std::vector<std::string> written;
  const std::pair<const char*, std::string> files[] = {
      {"hosts.toml", kHostsToml}, {"trust.toml", trust}, {"policy.toml", policy}};
  for (const auto& [name, content] : files) {
    const auto done = create_file_durably(dir + "/" + name, content, 0644);
    if (done) {
      written.emplace_back(name);
    } else if (done.error().code != Errc::mismatch || std::string_view(name) == "policy.toml") {
      return done.error();
    }
  }
  return written;
}

int report(Output& out, const std::string& dir, const std::vector<std::string>& written) {
  if (out.json()) {
    JsonArray files;
    for (const std::string& name : written) files.emplace_back(dir + "/" + name);
    out.json(JsonObject{{"files", std::move(files)}});
    return 0;
  }
  out.line(fmt::format("Wrote {} in {}", join_words(written, "and"), shorten_home(dir)));
  out.line("Next:");
  out.line(
      fmt::format("  edit policy.toml, then   hallpass --dir {0} policy check\n  each admin:              hallpass "
                  "--dir {0} policy sign",
                  shell_word(dir)));
  out.line("  every host:              install trust.toml as /etc/hallpass/trust.toml");
  return 0;
}

}  // namespace

int cmd_policy_init(Context& context, const PolicyInitArgs& args) {
  Output& out = context.out();
  const auto dir = context.dir();
  if (!dir) return out.fail(dir.error());
  if (access((dir.value() + "/policy.toml").c_str(), F_OK) == 0) {
    return out.fail(Exit::refused, fmt::format("{}/policy.toml is there already; edit it, then hallpass policy check",
                                               shorten_home(dir.value())));
  }
  Draft draft;
  if (auto read = draft_from_flags(args, draft); !read) return out.fail(Exit::usage, read.error().message);
  if (draft.fleet.empty() || draft.people.empty()) {
    Prompt prompt;
    if (!prompt.available()) {
      return out.fail(
          Exit::usage,
          "there is no terminal to ask on; say --fleet NAME and --person NAME=KEYFILE (repeat it for everybody)");
    }
    if (auto asked = ask_all(prompt, draft); !asked) return out.fail(Exit::usage, asked.error().message);
  }
  fill_defaults(draft);
  const std::string policy = policy_toml(draft, Context::now());
  const CheckedPolicy checked = check_policy(policy, Context::now());
  if (!checked.policy || has_errors(checked.diagnostics)) {
    return out.fail(Exit::usage, join_diagnostics("with these answers, policy.toml", checked.diagnostics));
  }
  const auto written = write_all(dir.value(), policy, trust_toml(draft));
  if (!written) return out.fail(written.error());
  return report(out, dir.value(), written.value());
}

}  // namespace hallpass::cli
