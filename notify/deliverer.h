// Carries documents from the spool to each receiver: in order, one at a time; receivers do not wait for each other.
// Driven by hand: time is passed in, nothing blocks.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "notify/courier.h"
#include "notify/receiver.h"
#include "notify/spool.h"

namespace hallpass {

class Deliverer {
 public:
  using Tell = std::function<void(int priority, std::string)>;
  struct Lane {
    std::string name;  // as the spool knows it
    Receiver* receiver = nullptr;
    Courier courier;
  };
  // Makes a lane for a receiver that the spool waits for and that has none yet; nullopt: there is none by that name.
  using Open = std::function<std::optional<Lane>(const std::string& name)>;
  Deliverer(Spool& spool, std::vector<Lane> lanes, Tell tell, Open open = nullptr);

  // After the spool was refreshed: lanes for those who have none.
  void open_lanes();

  // Collects what has ended, and begins what is due unless `ending`.
  void step(Moment now, bool ending = false);
  // When to step at the latest, apart from receivers that wake us.
  Moment next_step(Moment now) const;
  bool busy() const;

 private:
  struct State {
    Lane lane;
    std::optional<QueuedDocument> carried;
    std::optional<Courier::Next> decided;  // and not yet written down
    Moment pause{};                        // of the spool's trouble
  };
  void collect(State& state, Moment now);
  void settle(State& state, Moment now);
  void begin(State& state, Moment now);
  void trouble(State& state, Moment now, const std::string& what);

  Spool& spool_;
  std::vector<State> states_;
  Tell tell_;
  Open open_;
  std::string told_;  // the spool's trouble, said once
};

}  // namespace hallpass
