// The registered sessions of this host, and that each ends in time (docs/architecture.md, "Sessions").
//
// look() is all there is: it reads the registry, asks what admits each session's person now, warns, begins what is due
// and goes on with what has begun. It is called after every publishing of admissions (the agent publishes first and
// reads the registry second; pam_hallpass.so registers first and reads the admissions second: so one of them sees a
// revocation), when the registry changes, and when next_due() or next_step() has come. It never waits.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/journal.h"
#include "agent/session_deadline.h"
#include "agent/session_ending.h"
#include "agent/session_host.h"
#include "agent/visits.h"

namespace hallpass {

// How a grant ended, or stopped to count.
struct GrantOver {
  std::string why;               // "ended", "revoked: revoked by ana: laptop stolen"
  std::optional<UnixTime> at{};  // when its window was over; nullopt: it was ended before, just now
};

// The histogram of metrics: how long after its time nothing was left of a session.
struct EndDelays {
  static constexpr double kBounds[] = {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30};  // seconds
  std::array<std::uint64_t, std::size(kBounds) + 1> counts{};                 // the last: more
  double sum = 0;
};

class Sessions {
 public:
  struct Seams {
    SessionHost* host = nullptr;
    Journal* journal = nullptr;
    Visits* visits = nullptr;
    std::string registry;  // /run/hallpass/sessions
    std::string host_name;
    std::function<UnixTime()> now;  // that counts
    // Everything that admits `subject` to `account`, begun or not. What it points to lives until the agent changes.
    std::function<std::vector<Power>(const std::string& account, const std::string& subject)> powers;
    std::function<bool(const std::string& account)> anyone_admitted;  // now
    std::function<bool(const std::string& account, const std::string& subject)> personal;
    std::function<GrantOver(const Digest& grant)> how_over;
    std::function<std::string(const Digest& grant)> runbook;  // of a grant; empty: not known any more
  };
  Sessions(Seams seams, std::vector<Seconds> warn);

  // What runs already when the agent starts.
  void start();
  void look();
  // Once a minute: what no notification tells.
  void minute();

  UnixTime next_due() const;                      // by the time that counts; UnixTime::max(): nothing
  std::optional<Milliseconds> next_step() const;  // in time since boot
  void set_warnings(std::vector<Seconds> warn);

  enum class State { live, left_behind, ending };  // left_behind: its person logged out, something still runs
  struct View {
    Session session;
    State state = State::live;
    Deadline deadline;
    std::vector<Digest> used;
  };
  std::vector<View> all() const;
  std::array<std::size_t, 3> by_state() const;  // how many, in the order of State
  // By the registry's name: "5", "logind-5".
  std::optional<View> find(const std::string& name) const;
  // An operator ends it. Errors: not_found.
  Status end(const std::string& name, const std::string& reason);

  // PID 1 did not take the limit of this session (logind's name).
  void limit_failed(const std::string& id, const std::string& why);

  const EndDelays& delays() const { return delays_; }
  std::uint64_t not_ended() const;  // right now: sessions whose end fails

 private:
  struct Entry {
    Session session;
    bool personal = false;
    bool record_gone = false, told_gone = false, told_would_end = false, left_behind = false;
    Milliseconds left_at{0};  // since when PID 1 does not look at its limit: left behind, or abandoned by logind
    bool left_limited = false;
    Deadline deadline;
    std::optional<Seconds> next_warning;          // at which time left
    std::map<Digest, std::vector<Command>> used;  // grants, and what they allow; empty: not known any more
    std::unique_ptr<SessionEnding> ending;
    std::string why;
    UnixTime due{};
    Milliseconds late_at_begin{0}, told_at{0};
    bool told_late = false;
  };

  static State state_of(const Entry& e);
  static View view_of(const Entry& e);
  static constexpr Milliseconds kLeftBehindAfter{1000};  // many processes outlive their login by a moment

  void look_at_registry();
  void enter(const std::string& name, Session session);
  void note_use(Entry& e, const std::vector<Power>& powers);
  Deadline deadline(Entry& e);
  static std::string who(const Entry& e);
  void judge(Entry& e);
  void move_deadline(Entry& e, const Deadline& next, bool first);
  void warn(Entry& e);
  void write_terminals(const Entry& e, const std::string& text);
  void begin(Entry& e, const std::string& why, std::optional<UnixTime> due);
  bool go_on(Entry& e);
  void tell_remains(Entry& e);
  void tell_ended(const Entry& e);
  bool closed(Entry& e);
  void limit_left_behind(Entry& e);
  void forget(const std::string& name);
  void end_visits();
  void tell_sleep();
  EventFields fields(const Entry& e) const;
  Milliseconds delay(const Entry& e) const;

  Seams seams_;
  std::vector<Seconds> warn_;  // longest first
  std::map<std::string, Entry> entries_;
  std::set<std::string> unreadable_;
  std::map<std::string, std::vector<Digest>> noted_;  // grants whose sudo was used, by session, as read last
  std::optional<Milliseconds> visits_next_;
  EndDelays delays_;
  Milliseconds slept_{0};
  UnixTime now_{};  // one time for all of a look
  bool started_ = false;
};

}  // namespace hallpass
