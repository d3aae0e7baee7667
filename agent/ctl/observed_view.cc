#include "agent/ctl/observed_view.h"

#include <algorithm>
#include <cstdint>

#include "agent/setup/columns.h"
#include "core/ssh_key.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMostRows = 40;

std::string minute(UnixTime t) {
  std::string text = format_time(t).substr(0, 16);
  std::replace(text.begin(), text.end(), 'T', ' ');
  return text;
}

std::string fingerprint(const std::string& line) {
  const Result<PublicKey> key = PublicKey::from_line(line);
  return key ? key->fingerprint() : line.empty() ? "" : printable(line, 60);
}

std::string shown(const std::string& text) {
  return text.empty() ? "-" : printable(text);
}

// The first rows of many; who wants all of them has --json.
class Table {
 public:
  explicit Table(std::vector<std::string> head) { columns_.add(std::move(head)); }
  void add(std::vector<std::string> row, const Times& times) {
    if (++rows_ > kMostRows) return;
    for (std::string cell : {std::to_string(times.count), minute(times.first), minute(times.last)})
      row.push_back(std::move(cell));
    columns_.add(std::move(row));
  }
  std::string text(const std::string& title) const {
    if (rows_ == 0) return {};
    std::string text = "\n" + title + "\n" + columns_.text();
    if (rows_ > kMostRows) text += "and " + std::to_string(rows_ - kMostRows) + " more lines: --json has all\n";
    return text;
  }

 private:
  Columns columns_;
  std::size_t rows_ = 0;
};

std::string refused_lines(const Observations& seen) {
  Table table({"PERSON", "ACCOUNT", "FROM", "WHY", "TIMES", "FIRST", "LAST"});
  for (const RefusedLogins& r : seen.refused) {
    const std::string key = r.person.empty() ? fingerprint(r.key) : "";
    const std::string who = !r.automation.empty() ? "a program?" : shown(r.person);
    table.add({who, shown(r.account), shown(r.from), printable(r.why) + (key.empty() ? "" : " " + key)}, r.times);
  }
  return table.text("Logins that would have been refused:");
}

std::string ended_lines(const Observations& seen) {
  Table table({"PERSON", "ACCOUNT", "WHY", "TIMES", "FIRST", "LAST"});
  for (const EndedSessions& e : seen.ended) table.add({shown(e.person), shown(e.account), shown(e.why)}, e.times);
  return table.text("Sessions that would have been ended:");
}

std::string sudo_lines(const Observations& seen) {
  Table table({"PERSON", "ACCOUNT", "IN A RUNBOOK'S sudo", "TIMES", "FIRST", "LAST"});
  for (const StandingSudo& s : seen.sudo) {
    const std::string line = s.line();
    table.add(
        {shown(s.person), shown(s.account), line.empty() ? s.path + " (no policy can name it)" : printable(line, 400)},
        s.times);
  }
  return table.text(
      "Commands that the site's own sudo rules gave in sessions under a grant (they go with standing_sudo = "
      "\"deny\"):");
}

std::string proposal_lines(const Observed& o) {
  std::string text;
  if (!o.proposal.notes.empty()) text += "\nWhat to do:\n";
  for (const std::string& note : o.proposal.notes) text += "  " + printable(note, 2000) + "\n";
  if (o.proposal.toml.empty()) return text;
  return text +
         "\nTo be appended to the policy, after a look at who may ask and who must agree (then: hallpass policy "
         "check):\n" +
         o.proposal.toml;
}

std::string verdict(const Observed& o) {
  if (o.seen.nothing()) {
    return "\nNothing was observed yet. Do the three lines of pam_hallpass.so stand in /etc/pam.d/sshd? hallpass host "
           "activation\n";
  }
  if (o.seen.ready())
    return "\nReady to enforce: every login that was observed would have been admitted. hallpass host enable\n";
  return o.has_policy ? ""
                      : "\nNo policy is in force here, so nobody can be told what would help: hallpass host status\n";
}

Json times_json(const Times& times, JsonObject members) {
  members.emplace_back("count", times.count);
  members.emplace_back("first", format_time(times.first));
  members.emplace_back("last", format_time(times.last));
  return members;
}

Json refused_json(const RefusedLogins& r) {
  const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(printable(text, 400)); };
  return times_json(r.times, {{"person", or_null(r.person)},
                              {"key", or_null(fingerprint(r.key))},
                              {"account", printable(r.account)},
                              {"from", or_null(r.from)},
                              {"why", printable(r.why)},
                              {"automation", or_null(r.automation)}});
}

}  // namespace

std::string observed_lines(const Observed& o) {
  int refused = 0;
  for (const RefusedLogins& r : o.seen.refused) refused += r.times.count;
  std::string text = "Observed on " + o.host + " from " + minute(o.seen.since) + " to " + minute(o.now) +
                     " UTC: " + std::to_string(o.seen.admitted.count) + " logins with a grant, " +
                     std::to_string(refused) + " that enforcing would have refused.\n";
  if (!o.seen.all)
    text += "There were more entries than are read; the oldest are not counted. Use a shorter --since.\n";
  return text + refused_lines(o.seen) + ended_lines(o.seen) + sudo_lines(o.seen) + proposal_lines(o) + verdict(o);
}

Json observed_json(const Observed& o) {
  JsonArray admitted, refused, ended, sudo, notes;
  for (const auto& [place, times] : o.seen.admitted_by)
    admitted.push_back(times_json(times, {{"person", printable(place.first)}, {"account", printable(place.second)}}));
  for (const RefusedLogins& r : o.seen.refused) refused.push_back(refused_json(r));
  for (const EndedSessions& e : o.seen.ended)
    ended.push_back(times_json(
        e.times, {{"person", printable(e.person)}, {"account", printable(e.account)}, {"why", printable(e.why, 500)}}));
  for (const StandingSudo& s : o.seen.sudo) {
    JsonArray command = {printable(s.path)};
    for (const std::string& argument : s.arguments) command.emplace_back(printable(argument, 1000));
    sudo.push_back(times_json(s.times, {{"person", printable(s.person)},
                                        {"account", printable(s.account)},
                                        {"as", printable(s.target)},
                                        {"command", std::move(command)},
                                        {"line", s.line()}}));
  }
  for (const std::string& note : o.proposal.notes) notes.emplace_back(printable(note, 2000));
  return JsonObject{{"host", o.host},
                    {"since", format_time(o.seen.since)},
                    {"until", format_time(o.now)},
                    {"whole", o.seen.all},
                    {"ready", o.seen.ready()},
                    {"admitted", std::move(admitted)},
                    {"refused", std::move(refused)},
                    {"ended", std::move(ended)},
                    {"sudo", std::move(sudo)},
                    {"notes", std::move(notes)},
                    {"policy", o.proposal.toml}};
}

}  // namespace hallpass
