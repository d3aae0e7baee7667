#include "pam/offered_keys.h"

#include <map>

#include "host/paths.h"
#include "pam/why_words.h"

namespace hallpass {
namespace {

constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

bool only(const std::string& text, const std::string& also, std::size_t most) {
  return !text.empty() && text.size() <= most && text.find_first_not_of(kLetters + also) == std::string::npos;
}

// Whatever sshd's configuration says besides: who comes by this account hands grants in and does nothing else. PAM asks
// for no grant there, so the key leaves no record.
std::string drop_door() {
  return std::string("restrict,command=\"") + paths::kDrop + "\" ";
}

// Subjects who have an admission to the account now.
std::map<std::string, bool, std::less<>> admitted_now(const SnapshotReader& store, const std::string& account,
                                                      UnixTime now) {
  std::map<std::string, bool, std::less<>> subjects;
  store.admissions(account, [&](const AdmissionView& a) {
    if (a.start <= now && now < a.end) subjects.emplace(a.subject, true);
    return true;
  });
  return subjects;
}

std::string shut_door(const SnapshotReader& store, const KeyView& key) {
  WaitingView none;
  none.account = key.account;
  none.subject = key.subject;
  none.state = "none";
  std::string words;
  if (!store.waiting(key.account, key.subject,
                     [&](const WaitingView& w) { words = why_words(store.meta().host, w); })) {
    words = why_words(store.meta().host, none);
  }
  return std::string("restrict,command=\"") + paths::kWhy + " " + words + "\" ";
}

}  // namespace

Result<KeysQuery> parse_keys_query(const std::vector<std::string>& arguments) {
  KeysQuery query;
  std::vector<std::string> words;
  for (const auto& a : arguments) {
    if (a == "--mode=observe" && words.empty()) {
      query.observe = true;
    } else {
      words.push_back(a);
    }
  }
  const Error error{Errc::malformed, "usage: hallpass-keys [--mode=observe] USER [FINGERPRINT [TYPE KEY]]"};
  if (words.empty() || words.size() > 4 || words.size() == 3) return error;
  if (!only(words[0], "._-+@$\\", 256) || words[0][0] == '-') return error;
  query.account = words[0];
  if (words.size() >= 2) {
    if (!words[1].starts_with("SHA256:") || words[1].size() != 50 || !only(words[1].substr(7), "+/", 43)) return error;
    query.fingerprint = words[1];
  }
  if (words.size() == 4) {
    if (!only(words[2], "@.-", 64) || !only(words[3], "+/=", 65536)) return error;
    query.line = words[2] + " " + words[3];
  }
  return query;
}

KeysAnswer answer_keys(const SnapshotReader& store, const ClockReading& clock, const KeysQuery& query) {
  KeysAnswer answer;
  // A key offered inside a certificate is not the key itself: sshd judges the certificate, PAM's session phase its key.
  if (query.observe || query.is_certificate()) return answer;
  const bool clock_ok = !store.meta().strict_clock || clock.synchronised || same_boot(clock, store.meta().floor);
  const auto admitted = admitted_now(store, query.account, effective_now(clock, store.meta().floor));
  const bool drop = query.account == paths::kDropAccount;
  const auto add = [&](const KeyView& key) {
    const bool well_formed = only(std::string(key.line), "@.-+/= ", 65536);
    if (!well_formed || (!query.line.empty() && key.line != query.line)) return true;
    if (drop) {
      answer.lines += drop_door();
    } else if (!clock_ok || !admitted.contains(key.subject)) {
      answer.lines += shut_door(store, key);
    } else if (!key.personal) {
      answer.lines += "no-agent-forwarding ";
    }
    answer.lines += std::string(key.line) + "\n";
    answer.record = !drop && !query.fingerprint.empty();
    return true;
  };
  if (query.fingerprint.empty()) {
    store.keys(query.account, add);
  } else {
    store.key(query.account, query.fingerprint, add);
  }
  return answer;
}

}  // namespace hallpass
