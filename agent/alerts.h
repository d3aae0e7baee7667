// What an operations team must hear of, put into the queue that hallpass-notify delivers from. docs/operations.md,
// "Alerts".
//
// Every alert is a journal entry too. Of one kind, about one grant, account or file, one a minute is queued at most,
// and of one kind kAlertsAMinute, so that what somebody can cause at will does not push out what he would rather hide;
// the next one says in LEFT_OUT how many there were between. Nothing here waits for a network, and what cannot be
// queued is counted and told, never thrown.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "agent/journal.h"
#include "agent/timekeeper.h"
#include "notify/queue.h"

namespace hallpass {

inline constexpr Seconds kAlertAgain{60};
inline constexpr int kAlertsAMinute = 30;
inline constexpr std::size_t kMaxAlertKeys = 1000;
inline constexpr Seconds kLossAgain{600};  // that alerts cannot be queued

// Whether somebody must be woken for it.
bool is_alert(Event event);

struct AlertCounts {
  std::uint64_t queued = 0;
  std::uint64_t left_out = 0;  // for coming too often
  std::uint64_t lost = 0;      // the queue did not take them
};

class AlertingJournal final : public Journal {
 public:
  // `inner` and `queue` must live longer. `memory`: a file of this boot (in /run) that keeps when what was told, so
  // that an agent that is started again and again tells no more than one that runs; empty: none.
  AlertingJournal(Journal& inner, AlertSink& queue, std::string host, ClockSource clock, std::string memory = {});

  using Journal::event;
  // To the inner journal first, then alert().
  void event(Event event, std::string_view message, const EventFields& fields) override;
  // For entries that others have written into the journal.
  void alert(Event event, std::string_view message, const EventFields& fields);
  // Once a minute: what was left out last is queued, if nothing has come since.
  void minute();

  void set_host(std::string host) { host_ = std::move(host); }
  const AlertCounts& counts() const { return counts_; }

 private:
  using Key = std::pair<Event, std::string>;
  struct Recent {
    Seconds told{0};
    std::uint64_t left_out = 0;
    std::optional<Alert> last_left_out;
  };
  struct Budget {
    Seconds since{0};
    int used = 0;
  };
  void take(Event event, std::string_view message, const EventFields& fields);
  Recent& recent(const Key& key, Seconds now);
  bool within_budget(Event event, Seconds now);
  void put(Alert alert, std::uint64_t left_out, Seconds now);
  void lost(const Error& error, Seconds now);
  void recall();
  void remember() const;

  Journal& inner_;
  AlertSink& queue_;
  std::string host_;
  ClockSource clock_;
  std::string memory_;
  std::map<Key, Recent> recent_;
  std::map<Event, Budget> budgets_;
  AlertCounts counts_;
  std::uint64_t lost_untold_ = 0;
  std::optional<Seconds> loss_told_;
  bool no_queue_told_ = false;
};

}  // namespace hallpass
