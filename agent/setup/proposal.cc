#include "agent/setup/proposal.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "agent/content.h"
#include "agent/setup/automation.h"
#include "agent/setup/impact.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMostProposed = 100;  // each is parsed with the whole policy

// Words of a refusal that the policy has nothing to do with.
bool is_about_policy(const std::string& why) {
  static const std::set<std::string> kWords = {"no_grant", "pending", "ended",      "denied",
                                               "revoked",  "void",    "unknown_key"};
  return kWords.count(why) != 0;
}

std::string list_of(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + toml_quote(name);
  return "[" + text + "]";
}

// "dora@laptop" and "Dora Doe" become "dora": what can be a name of the policy; else empty.
std::string name_in(std::string_view comment) {
  std::string name;
  for (const char c : comment) {
    if (c == '@' || c == ' ' || c == '.') break;
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    name += lower;
  }
  return is_name(name) ? name : std::string();
}

class Proposer {
 public:
  Proposer(const Observations& observations, const Policy& policy, const HostIdentity& host)
      : seen_(observations), host_(host), text_(policy.text + "\n") {
    parse();
  }
  Proposal take() {
    if (policy_ == nullptr) return {};
    for (const RefusedLogins& r : seen_.refused) {
      if (r.person.empty() && !r.key.empty()) keys_of_[r.account].insert(r.key);
    }
    for (const RefusedLogins& r : seen_.refused) look_at(r);
    for (const auto& [what, people] : rules_) add_rule(what.first, what.second, people);
    for (const auto& [person, account] : asking_) tell_what_to_type(person, account);
    return std::move(proposal_);
  }

 private:
  void look_at(const RefusedLogins& r);
  void note(std::string text) {
    if (noted_.insert(text).second) proposal_.notes.push_back(std::move(text));
  }
  bool parse() {
    std::vector<Diagnostic> found;
    std::shared_ptr<const Policy> parsed = parse_policy(text_, found);
    fault_ = found.empty() ? "" : found.front().message;
    if (parsed == nullptr) return false;
    policy_ = std::move(parsed);
    access_ = access_of(*policy_, host_);
    return true;
  }
  // False: the policy would not be one with these lines; they are dropped.
  bool append(const std::string& lines) {
    if (appended_ >= kMostProposed) {
      note("There are more than " + std::to_string(kMostProposed) + " changes to make: make these, then look again.");
      return false;
    }
    const std::size_t before = text_.size();
    text_ += lines;
    if (!parse()) {
      text_.resize(before);
      return false;
    }
    ++appended_;
    proposal_.toml += lines;
    return true;
  }
  bool is_taken(const std::string& name) const {
    return policy_->people.count(name) + policy_->services.count(name) + policy_->groups.count(name) != 0;
  }
  std::string owner_of(const std::string& account) const {
    for (const auto& [name, person] : policy_->people) {
      if (person.account == account) return name;
    }
    return {};
  }
  bool is_shared(const std::string& account) const {
    for (const auto& [name, runbook] : policy_->runbooks) {
      if (runbook.account == account) return true;
    }
    const auto keys = keys_of_.find(account);
    return account == "root" || (keys != keys_of_.end() && keys->second.size() > 1);
  }
  std::string enroll(const RefusedLogins& r);
  std::string free_name(const RefusedLogins& r) const;
  std::string runbook_for(const std::string& account, const std::string& person);
  std::string gates_for(const std::string& person) const;
  void give(const std::string& person, const std::string& account);
  void add_rule(const std::string& runbook, const std::string& gates, const std::set<std::string>& people);
  void tell_what_to_type(const std::string& person, const std::string& account);

  const Observations& seen_;
  const HostIdentity& host_;
  std::string text_, fault_;
  std::shared_ptr<const Policy> policy_;  // with what is proposed so far
  Access access_;
  std::map<std::string, std::set<std::string>> keys_of_;                        // of nobody known, by account
  std::map<std::pair<std::string, std::string>, std::set<std::string>> rules_;  // runbook and gates: who lacks one
  std::set<std::pair<std::string, std::string>> asking_;                        // person and account
  std::set<std::string> noted_;
  std::size_t appended_ = 0;
  Proposal proposal_;
};

std::string Proposer::free_name(const RefusedLogins& r) const {
  if (!is_shared(r.account) && is_name(r.account) && !is_taken(r.account)) return r.account;
  const std::string said = name_in(r.comment);
  if (!said.empty() && !is_taken(said) && owner_of(said).empty()) return said;
  for (int n = 1;; ++n) {
    std::string name = "person" + std::to_string(n);
    if (!is_taken(name) && owner_of(name).empty()) return name;
  }
}

// The person whom this key belongs to from now on; empty: nobody can be made of it.
std::string Proposer::enroll(const RefusedLogins& r) {
  const Result<PublicKey> key = PublicKey::from_line(r.key);
  if (!key) {
    note("A key that logs in to " + printable(r.account) + " cannot be listed: " + key.error().message + ".");
    return {};
  }
  if (const auto known = policy_->find(*key)) return policy_->people.count(known->name) != 0 ? known->name : "";
  const std::string comment = r.comment.empty() || !check_text(r.comment) ? "" : " " + r.comment;
  const std::string line = toml_quote(key->line() + comment);
  if (const std::string owner = owner_of(r.account); !owner.empty()) {
    note("If the key " + key->fingerprint() + ", by which somebody logs in to " + owner + "'s own account, is " +
         owner + "'s, add it to keys in [people." + owner + "]: " + line);
    return {};
  }
  const std::string name = free_name(r);
  const bool own = !is_shared(r.account) && name != r.account;
  if (append("\n# " + key->fingerprint() + " logs in to " + printable(r.account) + ": find out whose it is\n[people." +
             name + "]\n" + (own ? "account = " + toml_quote(r.account) + "\n" : "") + "keys = [" + line + "]\n"))
    return name;
  note("No line can be written for who logs in to " + printable(r.account) + ": " + fault_ + ".");
  return {};
}

// One that exists, without sudo if possible, else a new one. Empty: there can be none.
std::string Proposer::runbook_for(const std::string& account, const std::string& person) {
  const bool own = policy_->people.find(person)->second.account == account;
  const Runbook* best = nullptr;
  for (const auto& [name, runbook] : policy_->runbooks) {
    if (own ? !runbook.is_self() : runbook.account != account) continue;
    if (best == nullptr || (!best->sudo.empty() && runbook.sudo.empty())) best = &runbook;
  }
  if (best != nullptr && best->sudo.empty()) return best->name;
  const std::string base = own ? "login" : is_name("use-" + account) ? "use-" + account : "use";
  std::string name = base;
  for (int n = 2; policy_->runbooks.count(name) != 0; ++n) name = base + std::to_string(n);
  const std::string lines = "\n[runbooks." + name +
                            "]\ntitle = " + toml_quote("Log in as " + (own ? "yourself" : printable(account))) +
                            "\naccount = " + toml_quote(own ? std::string(kSelfAccount) : account) +
                            "\ndefault_duration = \"30m\"\nmax_duration = \"4h\"\n";
  if (append(lines)) return name;
  note("No runbook can name " + printable(account) + ": " + fault_ + ".");
  return {};
}

// Who must agree elsewhere, if somebody of them can for this person; else the admins.
std::string Proposer::gates_for(const std::string& person) const {
  const auto serves = [&](const std::set<std::string>& members, int count) {
    return static_cast<int>(members.size()) - static_cast<int>(members.count(person)) >= count;
  };
  const auto written = [](const std::vector<std::string>& from, int count) {
    return "gates = [ { from = " + list_of({from.begin(), from.end()}) + ", count = " + std::to_string(count) +
           " } ]\n";
  };
  for (const Rule& rule : policy_->rules) {
    if (rule.gates.size() == 1 && serves(rule.gates[0].members, rule.gates[0].count))
      return written(rule.gates[0].from, rule.gates[0].count);
  }
  if (serves(policy_->admins, 1)) return written({policy_->admins.begin(), policy_->admins.end()}, 1);
  return "# Nobody else could agree, so nobody has to.\n";
}

void Proposer::give(const std::string& person, const std::string& account) {
  const std::string owner = owner_of(account);
  if (!owner.empty() && owner != person) {
    note(person + " logs in to the own account of " + owner + ", which no runbook may give to another: let " + person +
         " use another account.");
    return;
  }
  const std::string runbook = runbook_for(account, person);
  if (!runbook.empty()) rules_[{runbook, gates_for(person)}].insert(person);
}

void Proposer::add_rule(const std::string& runbook, const std::string& gates, const std::set<std::string>& people) {
  const std::string lines = "\n[[rules]]\nrunbooks = [" + toml_quote(runbook) + "]\nrequesters = " + list_of(people) +
                            "\ntargets = [" + toml_quote("host=" + host_.name) + "]\n" + gates;
  if (!append(lines)) note("No rule can give runbook " + runbook + " to " + list_of(people) + ": " + fault_ + ".");
}

void Proposer::tell_what_to_type(const std::string& person, const std::string& account) {
  const auto runbooks = access_.find({account, person});
  if (runbooks == access_.end()) return;
  note(person + " may log in to " + printable(account) + " after: hallpass request " + *runbooks->second.begin() +
       " --target host=" + host_.name + " --reason \"...\"");
}

void Proposer::look_at(const RefusedLogins& r) {
  const std::string account = printable(r.account);
  if (!r.automation.empty() && r.automation != kNoTerminal) {
    note("A program logs in to " + account + " (" + r.automation +
         "). It cannot ask for a grant: let it come by another "
         "way, or put the account into the exempt group: usermod -aG " +
         kExemptGroup + " " + account);
    return;
  }
  if (r.why == "key_needed") {
    note("Somebody logs in to " + account + " without a key: grants let people in by their keys.");
    return;
  }
  if (r.why == "keys_of_several_people") {
    note("Logins to " + account + " prove keys of several people at once: one person's are needed.");
    return;
  }
  if (!is_about_policy(r.why)) {
    note("Refused logins to " + account + " for a reason of this host (" + printable(r.why) + "): hallpass host check");
    return;
  }
  const std::string person = r.person.empty() ? enroll(r) : r.person;
  if (person.empty()) return;
  if (policy_->people.count(person) == 0) {
    note(printable(person) + ", who logs in to " + account + ", is not in the policy any more.");
    return;
  }
  if (access_.count({r.account, person}) == 0) give(person, r.account);
  asking_.insert({person, r.account});
}

}  // namespace

Proposal propose(const Observations& observations, const Policy& policy, const HostIdentity& host) {
  return Proposer(observations, policy, host).take();
}

}  // namespace hallpass
