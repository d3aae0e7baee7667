#include "pam/login.h"

#include <algorithm>

#include "host/spoken_time.h"
#include "pam/words.h"

namespace hallpass {
namespace {

Verdict refused(const char* why, std::string words) {
  Verdict v;
  v.why = why;
  v.words = std::move(words);
  return v;
}

bool names_a_key(const Login& login) {
  return !login.keys.empty() || login.offered.has_value();
}

// Is the subject of this admission the one who logs in? Every key proved must be one of his. Without a key the session
// phase admits to a personal account only; the account phase, which may not know the key yet, to any. `fingerprint` is
// set to that of a key of his.
bool is_subject(const Login& login, const AdmissionView& a, std::string& fingerprint) {
  if (!names_a_key(login)) return a.personal || !login.session;
  const auto holds = [&](std::string_view wanted, bool by_line) {
    for (const auto key : a.keys) {
      const auto print = key.substr(0, key.find(' '));
      if (print.size() == key.size() || (by_line ? key.substr(print.size() + 1) : print) != wanted) continue;
      fingerprint = print;
      return true;
    }
    return false;
  };
  if (login.keys.empty()) return holds(*login.offered, false);
  return std::all_of(login.keys.begin(), login.keys.end(), [&](const auto& line) { return holds(line, true); });
}

// Whom the keys belong to; `why` is set when they do not name one person.
struct Owner {
  std::string subject, fingerprint, looked_at;  // the last: the key at which `why` was set
  const char* why = nullptr;
  int damaged = 0;
};

Owner owner_of(const SnapshotReader& store, const Login& login) {
  Owner owner;
  std::vector<std::string> keys = login.keys;
  if (keys.empty() && login.offered) keys.push_back(*login.offered);
  for (const auto& key : keys) {
    bool found = false, same = true;
    owner.damaged += store.keys(login.account, [&](const KeyView& k) {
      found = k.line == key || k.fingerprint == key;
      if (!found) return true;
      same = owner.subject.empty() || owner.subject == k.subject;
      owner.subject = k.subject;
      owner.fingerprint = k.fingerprint;
      return false;
    });
    owner.looked_at = key;
    if (!found || owner.subject.empty()) owner.why = "unknown_key";
    if (!same) owner.why = "keys_of_several_people";
    if (owner.why != nullptr) break;
  }
  return owner;
}

// A personal account belongs to one person: without a key, a refusal is about him. Empty on a shared account.
std::string owner_of_account(const SnapshotReader& store, const std::string& account) {
  std::string subject;
  store.keys(account, [&](const KeyView& k) {
    if (k.personal) subject = k.subject;
    return false;
  });
  return subject;
}

void take(Verdict& v, const AdmissionView& a, UnixTime now) {
  v.decision = Verdict::Decision::admit;
  v.why = "admitted";
  v.subject = a.subject;
  v.grant = a.id;
  v.request = a.grant;
  v.runbook = a.runbook;
  v.reason = a.reason;
  v.ticket = a.ticket;
  v.approvers.assign(a.approvers.begin(), a.approvers.end());
  v.end = a.end;
  v.left = a.end - now;
}

std::string no_admission_words(const SnapshotReader& store, const Login& login, const std::string& subject,
                               UnixTime now, Verdict& v) {
  const std::string& host = store.meta().host;
  if (subject.empty())
    return "hallpass: a login to " + login.account + " on " + host + " needs the key of a person who has a grant";
  WaitingView none;
  none.account = login.account;
  none.subject = subject;
  std::string words = waiting_words(host, none, now);
  store.waiting(login.account, subject, [&](const WaitingView& w) {
    if (w.state != "none") v.why = w.state;
    v.grant = w.id;
    words = waiting_words(host, w, now);
  });
  return words;
}

std::string owner_words(const Owner& owner, const Login& login, const std::string& host) {
  const std::string place = " for " + login.account + " on " + host;
  if (std::string_view(owner.why) != "unknown_key") return "hallpass: the keys used belong to different people" + place;
  return "hallpass: this key is nobody's" + place + ": the policy does not list it";
}

// Why not, and what helps. Changes nothing about the answer.
void explain_refusal(const SnapshotReader& store, const Login& login, UnixTime now, Verdict& v) {
  const Owner owner = owner_of(store, login);
  v.key = owner.fingerprint;
  v.damaged += owner.damaged;
  if (owner.why != nullptr) {
    v.why = owner.why;
    if (v.why == "unknown_key" && !login.keys.empty()) v.unknown_key = owner.looked_at;
    v.words = owner_words(owner, login, store.meta().host);
  } else {
    v.why = "no_grant";
    v.subject = owner.subject.empty() ? owner_of_account(store, login.account) : owner.subject;
    v.words = no_admission_words(store, login, v.subject, now, v);
    if (v.subject.empty()) v.why = "key_needed";
  }
  if (v.damaged > 0) v.words = store_words("a record of it is damaged") + "\n" + v.words;
}

}  // namespace

Verdict decide(const SnapshotReader& store, const ClockReading& clock, const Login& login) {
  const SnapshotMeta& meta = store.meta();
  if (meta.strict_clock && !clock.synchronised && !same_boot(clock, meta.floor)) {
    return refused("clock_not_synchronised",
                   "hallpass: the clock of " + meta.host +
                       " is not synchronised yet, and its owners ask for that. Try again in a minute");
  }
  const UnixTime now = effective_now(clock, meta.floor);
  Verdict v;
  v.damaged = store.admissions(login.account, [&](const AdmissionView& a) {
    if (a.start > now || now >= a.end || a.end <= v.end || !is_subject(login, a, v.key)) return true;
    take(v, a, now);
    v.sure = names_a_key(login) || a.personal;
    if (!login.session) v.words = admitted_words(meta.host, a, now);  // told once, by the account phase
    return true;
  });
  if (v.decision == Verdict::Decision::deny) explain_refusal(store, login, now, v);
  return v;
}

EventRecord login_event(Event event, const std::string& account, const std::string& rhost, const Verdict& v) {
  const bool admitted = v.decision == Verdict::Decision::admit;
  std::string message = "Login to " + account + (v.subject.empty() ? "" : " of " + v.subject);
  message += admitted ? " admitted by grant " + v.grant + " until " + utc_text(v.end) : " refused: " + v.why;
  EventRecord record(event, message);
  record.with("ACCOUNT", account).with("SUBJECT", v.subject).with("GRANT", v.grant).with("RUNBOOK", v.runbook);
  record.with("REASON", v.reason).with("TICKET", v.ticket).with("KEY", v.key).with("RHOST", rhost);
  for (const auto& a : v.approvers) record.with("APPROVERS", a);
  record.with("DECISION", admitted ? "admit" : "deny").with("WHY", v.why).with("PUBLIC_KEY", v.unknown_key);
  return admitted ? record.with("EXPIRES", utc_text(v.end)) : record;
}

}  // namespace hallpass
