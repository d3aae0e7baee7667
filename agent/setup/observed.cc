#include "agent/setup/observed.h"

#include <algorithm>
#include <utility>

#include "agent/content.h"
#include "agent/setup/automation.h"
#include "agent/setup/impact.h"
#include "agent/setup/self_test_account.h"
#include "core/values/pattern.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::chrono::hours kLately{24 * 30};
constexpr std::size_t kMostKinds =
    5000;  // of one sort; a host that is tried from everywhere has more sources than anybody reads
constexpr char kManySources[] = "(many)";

std::string name_of(std::initializer_list<std::string_view> parts) {
  std::string name;
  for (const std::string_view part : parts) name.append(part).append(1, '\0');
  return name;
}

template <class Kind>
std::vector<Kind> sorted(std::map<std::string, Kind>& kinds) {
  std::vector<Kind> list;
  for (auto& [name, kind] : kinds) list.push_back(std::move(kind));
  std::stable_sort(list.begin(), list.end(),
                   [](const Kind& a, const Kind& b) { return a.times.count > b.times.count; });
  kinds.clear();
  return list;
}

bool is_shell(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return name == "sh" || name == "bash" || name == "dash" || name == "zsh" || name == "ksh" || name == "fish";
}

}  // namespace

void Times::add(UnixTime at) {
  first = count == 0 ? at : std::min(first, at);
  last = count == 0 ? at : std::max(last, at);
  ++count;
}

std::string StandingSudo::line() const {
  const std::string as = "{ as = " + toml_quote(target) + ", run = ";
  if (is_shell(path) && (arguments.empty() || arguments.front() == "-l")) return as + "\"shell\" }";
  std::string run = toml_quote(path);
  for (const std::string& argument : arguments) {
    const Result<std::string> token = literal_token(argument);
    if (!token || !is_utf8(argument)) return {};
    run += ", " + toml_quote(*token);
  }
  return path.empty() || path.front() != '/' ? std::string() : as + "[" + run + "] }";
}

template <class Kind>
Times& Observer::times(std::map<std::string, Kind>& kinds, Kind kind, const std::string& name) {
  return kinds.try_emplace(name, std::move(kind)).first->second.times;
}

void Observer::add_sudo(const JournalEntry& entry) {
  if (entry.get("HALLPASS_WHY") != "standing" || entry.get("HALLPASS_SUBJECT").empty()) return;
  StandingSudo kind{entry.get("HALLPASS_SUBJECT"),
                    entry.get("HALLPASS_ACCOUNT"),
                    entry.get("HALLPASS_TARGET"),
                    entry.get("HALLPASS_PATH"),
                    {},
                    {}};
  const std::string& command = entry.get("HALLPASS_COMMAND");
  const Result<Json> words = parse_json(command);
  const JsonArray* list = words ? words->as_array() : nullptr;
  // One that is not whole must not look like a shorter one; an editor's command line is not what was asked for.
  const bool editing = kind.path.ends_with("sudoedit");
  if (list == nullptr || editing || !entry.get("HALLPASS_CUT").empty()) return;
  for (std::size_t i = 1; i < list->size(); ++i) {
    const std::string* word = (*list)[i].as_string();
    if (word == nullptr) return;
    kind.arguments.push_back(*word);
  }
  std::string name = name_of({kind.person, kind.account, kind.target, kind.path, command});
  if (sudo_.size() >= kMostKinds && sudo_.count(name) == 0) return;
  times(sudo_, std::move(kind), name).add(entry.at);
}

void Observer::add(const JournalEntry& entry) {
  const std::string &event = entry.get("HALLPASS_EVENT"), &person = entry.get("HALLPASS_SUBJECT"),
                    &account = entry.get("HALLPASS_ACCOUNT"), &why = entry.get("HALLPASS_WHY");
  if (account.starts_with(kSelfTestPrefix)) return;  // nobody: `enable` tries itself
  if (event == "login_admitted") {
    seen_.admitted.add(entry.at);
    seen_.admitted_by[{person, account}].add(entry.at);
  } else if (event == "session_would_end") {
    times(ended_, EndedSessions{person, account, why, {}}, name_of({person, account, why})).add(entry.at);
  } else if (event == "sudo_allowed") {
    add_sudo(entry);
  } else if (event == "login_would_refuse") {
    RefusedLogins kind{person, entry.get("HALLPASS_PUBLIC_KEY"), account, entry.get("HALLPASS_RHOST"), why, {}, {}, {}};
    if (refused_.size() >= kMostKinds) kind.from = kManySources;
    std::string name = name_of({person, kind.key, account, kind.from, why});
    times(refused_, std::move(kind), name).add(entry.at);
  }
}

Observations Observer::take() {
  seen_.refused = sorted(refused_);
  seen_.ended = sorted(ended_);
  seen_.sudo = sorted(sudo_);
  return std::exchange(seen_, {});
}

Result<Observations> read_observations(const Layout& layout, UnixTime since) {
  JournalQuery query;
  query.matches = {"_UID=0", "HALLPASS_EVENT=login_would_refuse", "HALLPASS_EVENT=session_would_end",
                   "HALLPASS_EVENT=login_admitted", "HALLPASS_EVENT=sudo_allowed"};
  query.fields = {"HALLPASS_EVENT", "HALLPASS_SUBJECT",    "HALLPASS_ACCOUNT", "HALLPASS_RHOST",   "HALLPASS_WHY",
                  "HALLPASS_PATH",  "HALLPASS_PUBLIC_KEY", "HALLPASS_TARGET",  "HALLPASS_COMMAND", "HALLPASS_CUT"};
  query.since = since;
  Observer observer;
  const Result<bool> read = read_journal(layout, query, [&](const JournalEntry& entry) { observer.add(entry); });
  if (!read) return read.error();
  Observations observations = observer.take();
  observations.since = since;
  observations.all = *read;
  return observations;
}

void look_closer(Observations& observations, const Layout& layout, const Policy* policy, const HostIdentity& host) {
  const Result<std::vector<Account>> read = read_accounts(layout);
  const std::vector<Account> accounts = read ? *read : std::vector<Account>();
  const std::vector<std::string> patterns = key_file_patterns();
  const auto now = std::chrono::time_point_cast<Seconds>(std::chrono::system_clock::now());
  const LoginTraces traces = read_login_traces(layout, now - kLately);
  std::set<std::string> reached;
  if (policy != nullptr) {
    for (const auto& [place, runbooks] : access_of(*policy, host)) reached.insert(place.first);
  }
  for (RefusedLogins& r : observations.refused) {
    const auto key = PublicKey::from_line(r.key);
    const auto owner = policy != nullptr && key ? policy->find(*key) : std::nullopt;
    if (owner && policy->people.count(owner->name) != 0) r.person = owner->name;
    if (!r.person.empty()) continue;  // people are no programs, whatever their accounts are called
    const auto account =
        std::find_if(accounts.begin(), accounts.end(), [&](const Account& a) { return a.name == r.account; });
    const Account* known = account == accounts.end() ? nullptr : &*account;
    std::vector<AuthorizedKey> keys, used;
    if (known != nullptr) keys = authorized_keys(layout, *known, patterns);
    for (const AuthorizedKey& k : keys) {
      if (k.key != r.key) continue;
      r.comment = k.comment;
      used = {k};  // what it is allowed says more than the others
      break;
    }
    r.automation =
        automation_evidence(known, r.account, used.empty() ? keys : used, traces, reached.count(r.account) == 0);
  }
}

}  // namespace hallpass
