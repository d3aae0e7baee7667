// Looks at what the modules in sshd and sudo tell, for what only shows over several logins: many refused ones, one at
// an hour at which the rule admits nobody, a grant that everybody should hear of. Memory is bounded whatever comes.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "agent/alerts.h"
#include "agent/module_event.h"

namespace hallpass {

inline constexpr Seconds kRefusedWindow{600};
inline constexpr std::size_t kMaxWatched = 1000;  // accounts, grants; the one seen longest ago is forgotten

// Remembers keys for a while.
class Recently {
 public:
  // True when the key was not seen within `again`; it is then.
  bool is_new(const std::string& key, Seconds now, Seconds again);

 private:
  std::map<std::string, Seconds> seen_;
};

class Docket;
// LoginWatch's seams on the agent's docket. The newest request of the last day that fails for the hour alone:
std::optional<std::string> request_outside_hours(const Docket& docket, std::string_view subject,
                                                 std::string_view account, UnixTime now);
bool grant_alerts(const Docket& docket, std::string_view id);

class LoginWatch {
 public:
  struct Seams {
    ClockSource clock;
    // The id of a request of this subject for this account that this host's rules do not admit for the hour alone.
    std::function<std::optional<std::string>(std::string_view subject, std::string_view account)> outside_hours;
    // Whether the rule that admits this grant (by its id) says alert = true.
    std::function<bool(std::string_view grant)> alerts;
  };
  // refused_logins: of one account within ten minutes, that are too many; 0: never.
  LoginWatch(AlertingJournal& journal, int refused_logins, Seams seams)
      : journal_(journal), refused_logins_(refused_logins), seams_(std::move(seams)) {}

  // A datagram of a module (agent/relay.h). Throws nothing.
  void take(std::string_view datagram);
  void set_refused_logins(int refused_logins) { refused_logins_ = refused_logins; }
  // What modules told, by name of the event.
  const std::map<std::string, std::uint64_t>& counts() const { return counts_; }

 private:
  static constexpr std::int64_t kSlots = 60;
  struct Refused {
    std::array<std::uint32_t, kSlots> slots{};  // of ten seconds each
    std::int64_t slot = 0;                      // the newest
    std::uint32_t count(std::int64_t now);
  };
  void look(std::string_view datagram);
  void refused(const ModuleEvent& login, Seconds now);
  void used(const ModuleEvent& record, Seconds now);
  Refused& refused_of(const std::string& account, std::int64_t slot);

  AlertingJournal& journal_;
  int refused_logins_;
  Seams seams_;
  std::map<std::string, Refused> refused_;
  Recently told_often_, told_hours_, told_used_;
  std::map<std::string, std::uint64_t> counts_;
};

}  // namespace hallpass
