// Which of several sources is asked next, and when: the first that works, in the order of the configuration.
//
// A source that fails is left alone for a while that doubles from failure to failure (1 s to 1 min; to
// 15 s while none works, for then nothing reaches this host), a random part of it taken off so that a fleet does not
// come back as one. Another that is ready is asked at once. A source before the
// one that works gets another chance after kAway at the earliest.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace hallpass {

using Moment = std::chrono::steady_clock::time_point;

class Rota {
 public:
  static constexpr std::chrono::seconds kFirst{1}, kLongest{60}, kLongestAlone{15}, kAway{30};
  using Chance = std::function<double()>;  // 0 to 1

  Rota(std::size_t sources, Chance chance) : sources_(sources), chance_(std::move(chance)) {}

  // The source to ask; nullopt: none is ready before when().
  std::optional<std::size_t> next(Moment now) const;
  Moment when() const;
  void succeeded(std::size_t source);
  void failed(std::size_t source, Moment now);

 private:
  struct State {
    int failures = 0;
    Moment not_before{};  // no sooner than this
    Moment away_until{};  // no sooner than this while another works
  };
  std::vector<State> sources_;
  std::optional<std::size_t> working_;
  Chance chance_;
};

}  // namespace hallpass
