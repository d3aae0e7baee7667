// What a newer policy changes, line by line, for people about to sign it.
#include <algorithm>

#include "core/policy_parse.h"

namespace hallpass {
namespace {

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text.empty() ? "none" : text;
}

std::string join(const std::set<std::string>& words) {
  return join(std::vector<std::string>(words.begin(), words.end()));
}

class Changes {
 public:
  std::vector<std::string> lines;

  void value(const std::string& what, const std::string& from, const std::string& to) {
    if (from != to) lines.push_back("~ " + what + ": " + from + " -> " + to);
  }

  // Members of a set that came or went: "+ group sre: dave".
  void set(const std::string& what, const std::set<std::string>& from, const std::set<std::string>& to) {
    for (const std::string& name : from) {
      if (to.count(name) == 0) lines.push_back("- " + what + ": " + name);
    }
    for (const std::string& name : to) {
      if (from.count(name) == 0) lines.push_back("+ " + what + ": " + name);
    }
  }

  // Entries of a map: removed and added ones by `describe`, kept ones by `compare`; sorted by name.
  template <class Map, class Describe, class Compare>
  void map(const Map& from, const Map& to, Describe&& describe, Compare&& compare) {
    std::set<std::string> names;
    for (const auto& [name, v] : from) names.insert(name);
    for (const auto& [name, v] : to) names.insert(name);
    for (const std::string& name : names) {
      const auto a = from.find(name);
      const auto b = to.find(name);
      if (a == from.end()) {
        describe('+', b->second);
      } else if (b == to.end()) {
        describe('-', a->second);
      } else {
        compare(a->second, b->second);
      }
    }
  }
};

std::string key_text(const EnrolledKey& key) {
  return std::string(key.key.type_name()) + " " + key.key.fingerprint() +
         (key.comment.empty() ? "" : " (" + key.comment + ")");
}

std::map<std::string, std::string> keys_by_fingerprint(const std::vector<EnrolledKey>& keys) {
  std::map<std::string, std::string> texts;
  for (const EnrolledKey& key : keys) texts.emplace(key.key.fingerprint(), key_text(key));
  return texts;
}

void compare_keys(Changes& out, const std::string& owner, const std::vector<EnrolledKey>& from,
                  const std::vector<EnrolledKey>& to) {
  out.map(
      keys_by_fingerprint(from), keys_by_fingerprint(to),
      [&](char sign, const std::string& text) {
        out.lines.push_back(std::string(1, sign) + " key of " + owner + ": " + text);
      },
      [&](const std::string& a, const std::string& b) { out.value("key of " + owner, a, b); });
}

void compare_people(Changes& out, const Policy& from, const Policy& to) {
  out.map(
      from.people, to.people,
      [&](char sign, const Person& p) {
        out.lines.push_back(std::string(1, sign) + " person " + p.name + ", account " + p.account);
        const std::vector<EnrolledKey> none;
        compare_keys(out, p.name, sign == '+' ? none : p.keys, sign == '+' ? p.keys : none);
      },
      [&](const Person& a, const Person& b) {
        out.value("person " + a.name + ": account", a.account, b.account);
        compare_keys(out, a.name, a.keys, b.keys);
      });
  out.map(
      from.services, to.services,
      [&](char sign, const Service& s) {
        out.lines.push_back(std::string(1, sign) + " service " + s.name);
        const std::vector<EnrolledKey> none;
        compare_keys(out, s.name, sign == '+' ? none : s.keys, sign == '+' ? s.keys : none);
      },
      [&](const Service& a, const Service& b) { compare_keys(out, a.name, a.keys, b.keys); });
}

void compare_groups(Changes& out, const Policy& from, const Policy& to) {
  std::set<std::string> names;
  for (const auto& [name, members] : from.groups) names.insert(name);
  for (const auto& [name, members] : to.groups) names.insert(name);
  for (const std::string& name : names) {
    const auto a = from.groups.find(name);
    const auto b = to.groups.find(name);
    if (a == from.groups.end()) {
      out.lines.push_back("+ group " + name + ": " + join(b->second));
    } else if (b == to.groups.end()) {
      out.lines.push_back("- group " + name + ": " + join(a->second));
    } else {
      out.set("group " + name, a->second, b->second);
    }
  }
}

std::vector<std::string> commands_of(const Runbook& runbook) {
  std::vector<std::string> lines;
  for (const Command& command : runbook.sudo) lines.push_back(describe_command(command));
  return lines;
}

std::string describe(const Runbook& r) {
  std::string text = "runbook " + r.name + ": account " + r.account + ", max_duration " +
                     format_duration(r.max_duration) + ", default_duration " + format_duration(r.default_duration);
  if (r.shared_sudo) text += ", shared_sudo";
  return r.title.empty() ? text : text + ", title " + in_quotes(r.title);
}

// Commands as multisets: the same line twice is two.
void compare_commands(Changes& out, const std::string& what, const Runbook& from, const Runbook& to) {
  std::vector<std::string> left = commands_of(from);
  std::vector<std::string> added;
  for (const std::string& line : commands_of(to)) {
    const auto it = std::find(left.begin(), left.end(), line);
    if (it == left.end()) {
      added.push_back(line);
    } else {
      left.erase(it);
    }
  }
  for (const std::string& line : left) out.lines.push_back("- " + what + ": command " + line);
  for (const std::string& line : added) out.lines.push_back("+ " + what + ": command " + line);
  if (left.empty() && added.empty() && commands_of(from) != commands_of(to)) {
    out.lines.push_back("~ " + what + ": commands in another order (live grants become void)");
  }
}

void compare_parameters(Changes& out, const std::string& what, const Runbook& from, const Runbook& to) {
  using Choices = std::vector<std::string>;
  for (const auto& [name, choices] : from.parameters) {
    if (to.parameters.count(name) == 0) out.lines.push_back("- " + what + ": parameter " + name + ": " + join(choices));
  }
  for (const auto& [name, choices] : to.parameters) {
    const auto old = from.parameters.find(name);
    if (old == from.parameters.end()) {
      out.lines.push_back("+ " + what + ": parameter " + name + ": " + join(choices));
      continue;
    }
    const auto as_set = [](const Choices& c) { return std::set<std::string>(c.begin(), c.end()); };
    out.set(what + ": parameter " + name, as_set(old->second), as_set(choices));
  }
}

void compare_runbooks(Changes& out, const Policy& from, const Policy& to) {
  out.map(
      from.runbooks, to.runbooks,
      [&](char sign, const Runbook& r) {
        out.lines.push_back(std::string(1, sign) + " " + describe(r));
        Runbook none;
        const std::string what = "runbook " + r.name;
        compare_parameters(out, what, sign == '+' ? none : r, sign == '+' ? r : none);
        compare_commands(out, what, sign == '+' ? none : r, sign == '+' ? r : none);
      },
      [&](const Runbook& a, const Runbook& b) {
        const std::string what = "runbook " + a.name;
        out.value(what + ": title", in_quotes(a.title), in_quotes(b.title));
        out.value(what + ": account", a.account, b.account);
        out.value(what + ": default_duration", format_duration(a.default_duration),
                  format_duration(b.default_duration));
        out.value(what + ": max_duration", format_duration(a.max_duration), format_duration(b.max_duration));
        out.value(what + ": shared_sudo", a.shared_sudo ? "true" : "false", b.shared_sudo ? "true" : "false");
        compare_parameters(out, what, a, b);
        compare_commands(out, what, a, b);
      });
}

template <class List>
std::string texts(const List& list) {
  std::vector<std::string> words;
  for (const auto& item : list) words.push_back(item.text());
  return join(words);
}

// A rule by its member values, in the order in which the policy guide lists them. Who the groups are is compared with
// the groups.
std::vector<std::pair<std::string, std::string>> members_of(const Rule& rule) {
  std::vector<std::string> hours;
  for (const Hours& h : rule.hours) hours.push_back(h.text);
  std::vector<std::string> targets;
  for (const Selector& s : rule.targets) targets.push_back('"' + s.text() + '"');
  std::vector<std::string> gates;
  for (const Gate& g : rule.gates) gates.push_back(std::to_string(g.count) + " of " + join(g.from));
  std::string gate_text;
  for (const std::string& g : gates) gate_text += (gate_text.empty() ? "" : " and ") + g;
  return {{"runbooks", join(rule.runbooks)},
          {"requesters", join(rule.requesters)},
          {"targets", join(targets)},
          {"hours", rule.hours.empty() ? "any" : join(hours)},
          {"gates", gate_text.empty() ? "none" : gate_text},
          {"revokers", join(rule.revokers)},
          {"max_duration", rule.max_duration ? format_duration(*rule.max_duration) : "the runbook's"},
          {"presence", std::string(to_string(rule.presence))},
          {"alert", rule.alert ? "true" : "false"}};
}

std::string describe(const Rule& rule) {
  std::string text;
  for (const auto& [name, value] : members_of(rule)) text += (text.empty() ? "" : "; ") + name + " " + value;
  return text;
}

bool same(const Rule& a, const Rule& b) {
  return members_of(a) == members_of(b);
}

// Rules have no names. Equal ones are paired first wherever they stand; what is left is paired in order, so that an
// edited rule shows as edited and an inserted one does not make all that follow look changed.
void compare_rules(Changes& out, const Policy& from, const Policy& to) {
  std::vector<const Rule*> left;
  for (const Rule& rule : from.rules) left.push_back(&rule);
  std::vector<const Rule*> fresh;
  for (const Rule& rule : to.rules) {
    const auto it = std::find_if(left.begin(), left.end(), [&](const Rule* old) { return same(*old, rule); });
    if (it == left.end()) {
      fresh.push_back(&rule);
    } else {
      left.erase(it);
    }
  }
  const std::size_t pairs = std::min(left.size(), fresh.size());
  for (std::size_t i = 0; i < pairs; ++i) {
    const auto a = members_of(*left[i]);
    const auto b = members_of(*fresh[i]);
    for (std::size_t m = 0; m < a.size(); ++m) {
      out.value("rule " + std::to_string(fresh[i]->number) + ": " + a[m].first, a[m].second, b[m].second);
    }
  }
  for (std::size_t i = pairs; i < left.size(); ++i) {
    out.lines.push_back("- rule " + std::to_string(left[i]->number) + ": " + describe(*left[i]));
  }
  for (std::size_t i = pairs; i < fresh.size(); ++i) {
    out.lines.push_back("+ rule " + std::to_string(fresh[i]->number) + ": " + describe(*fresh[i]));
  }
}

}  // namespace

std::vector<std::string> describe_changes(const Policy& from, const Policy& to) {
  Changes out;
  out.value("format", std::to_string(from.format), std::to_string(to.format));
  out.value("fleet", from.fleet, to.fleet);
  out.value("version", std::to_string(from.version), std::to_string(to.version));
  out.value("valid_until", format_time(from.valid_until), format_time(to.valid_until));
  out.value("presence", std::string(to_string(from.presence)), std::string(to_string(to.presence)));
  out.set("webauthn origin", {from.webauthn_origins_.begin(), from.webauthn_origins_.end()},
          {to.webauthn_origins_.begin(), to.webauthn_origins_.end()});
  out.set("admin", from.admins, to.admins);
  out.value("admins' threshold", std::to_string(from.admin_threshold), std::to_string(to.admin_threshold));
  compare_people(out, from, to);
  compare_groups(out, from, to);
  compare_runbooks(out, from, to);
  compare_rules(out, from, to);
  return out.lines;
}

}  // namespace hallpass
