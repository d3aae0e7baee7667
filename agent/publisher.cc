#include "agent/publisher.h"

#include <algorithm>
#include <charconv>

#include "core/hash.h"

namespace hallpass {
namespace {

// Fields with their lengths, so that no two records are spelled alike.
class Spelling {
 public:
  Spelling& add(std::string_view field) {
    add(static_cast<std::int64_t>(field.size()));
    text_.append(field);
    return *this;
  }
  Spelling& add(std::int64_t n) {
    char digits[24];
    text_.append(digits, std::to_chars(digits, digits + sizeof digits, n).ptr);
    text_ += ':';
    return *this;
  }
  Spelling& add(const std::vector<std::string>& list) {
    add(static_cast<std::int64_t>(list.size()));
    for (const std::string& s : list) add(s);
    return *this;
  }
  Digest digest() const { return sha256(text_); }

 private:
  std::string text_;
};

Digest spell(const AccountKey& k) {
  return Spelling().add("key").add(k.account).add(k.fingerprint).add(k.subject).add(k.line).add(k.personal).digest();
}

}  // namespace

Digest what_it_says(const Admission& a) {
  Spelling s;
  s.add("admission").add(a.account).add(a.subject).add(a.runbook).add(a.reason).add(a.ticket).add(a.approvers);
  s.add(as_text(a.grant.bytes)).add(to_unix(a.start)).add(to_unix(a.end)).add(a.personal).add(a.shared_sudo);
  s.add(a.alert).add(a.rule).add(static_cast<std::int64_t>(a.commands.size()));
  for (const Command& c : a.commands) {
    s.add(static_cast<int>(c.kind)).add(c.as_user).add(c.as_group).add(c.executables).add(c.arguments).add(c.sha256);
    s.add(static_cast<int>(c.subcommands)).add(c.env_keep).add(c.unbounded).add(c.password);
  }
  return s.digest();
}

std::vector<Publisher::Power> Publisher::powers_of(const SnapshotContent& content) {
  std::vector<Power> powers;
  powers.reserve(content.admissions.size() + content.keys.size());
  for (const Admission& a : content.admissions)
    powers.push_back({a.what == Digest{} ? what_it_says(a) : a.what, a.end});
  for (const AccountKey& k : content.keys) powers.push_back({spell(k), UnixTime::max()});
  std::sort(powers.begin(), powers.end());
  return powers;
}

// What differs without giving or taking anything. Generation and clock floor are left out: they alone are no reason to
// write.
Digest Publisher::rest_of(const SnapshotContent& content) {
  Spelling s;
  const SnapshotMeta& m = content.meta;
  s.add(m.fleet).add(m.host).add(m.machine_id).add(m.policy_version).add(to_unix(m.valid_until)).add(m.strict_clock);
  s.add(m.standing_sudo_denied);
  for (const Waiting& w : content.waiting) {
    s.add(w.account).add(w.subject).add(w.state).add(w.id).add(w.detail).add(to_unix(w.at)).add(w.runbooks);
  }
  return s.digest();
}

bool Publisher::differs(const Said& next) const {
  return !published_ || withdrawn_ || next.rest != said_.rest || next.powers != said_.powers;
}

bool Publisher::narrows(const std::vector<Power>& next, UnixTime now) const {
  if (!published_) return true;
  return std::any_of(said_.powers.begin(), said_.powers.end(), [&](const Power& p) {
    // What has ended by itself is refused by every reader already.
    return p.until > now && !std::binary_search(next.begin(), next.end(), p);
  });
}

void Publisher::set_space_aside() {
  const Status aside = store_.set_space_aside();
  shortage_ = aside ? "" : aside.error().message;
}

void Publisher::believe_standing(const SnapshotContent& content) {
  published_ = true;
  said_ = {powers_of(content), Digest{}};
}

Status Publisher::publish(const SnapshotContent& content, UnixTime now) {
  return put_in_place(content, said_by(content), now);
}

std::optional<Status> Publisher::publish_if_different(const SnapshotContent& content, UnixTime now) {
  Said next = said_by(content);
  if (!differs(next)) return std::nullopt;
  return put_in_place(content, std::move(next), now);
}

Status Publisher::put_in_place(const SnapshotContent& content, Said next, UnixTime now) {
  const bool narrowing = narrows(next.powers, now);
  Status done = store_.publish(content, false);
  if (!done && narrowing) done = store_.publish(content, true);
  if (!done) {
    if (narrowing) withdraw(done.error().message);
    return done;
  }
  published_ = true;
  said_ = std::move(next);
  set_space_aside();
  // Only after the new snapshot stands: a mark left by a crash in between costs a moment without logins, never the
  // opposite.
  if (const Status cleared = store_.clear_withdrawn(); !cleared) return cleared;
  withdrawn_ = false;
  return Unit{};
}

void Publisher::withdraw(const std::string& why) {
  // Both, each for the case that the other one fails or is undone: the file comes back when a read-only disk refuses
  // the unlink, the mark is gone after a boot.
  const Status marked = store_.mark_withdrawn(why);
  const Status removed = store_.remove_snapshot();
  if (withdrawn_) return;
  withdrawn_ = marked || removed;
  const std::string detail = withdrawn_ ? "" : ", and it could not even be withdrawn: " + removed.error().message;
  journal_.event(Event::snapshot_withdrawn,
                 "nobody is admitted: what must end could not be written (" + why + ")" + detail,
                 {{"WHY", why + detail}});
}

}  // namespace hallpass
