#include "core/matching.h"

#include <algorithm>
#include <utility>

namespace hallpass {
namespace {

// Augmenting paths (Kuhn) over gates with several places. People are indices into the caller's list, so that sorting
// restores its order.
class Matcher {
 public:
  Matcher(std::span<const Places> gates, std::span<const std::string> people)
      : gates_(gates), people_(people), placed_(gates.size()) {
    for (const Places& gate : gates) open_ += std::max(gate.count, 0);
  }

  Assignment run() {
    std::set<std::string> seen;
    for (std::size_t person = 0; person < people_.size() && open_ > 0; ++person) {
      if (!seen.insert(people_[person]).second) continue;
      std::vector<bool> tried(gates_.size(), false);
      if (place(person, tried)) --open_;
    }
    Assignment result;
    result.open = open_;
    for (std::vector<std::size_t>& placed : placed_) {
      std::sort(placed.begin(), placed.end());
      std::vector<std::string>& names = result.filled_by.emplace_back();
      for (const std::size_t person : placed) names.push_back(people_[person]);
    }
    return result;
  }

 private:
  // Finds a place for `person`, moving others to gates where they may stand as well. Depth is at most the number of
  // gates.
  bool place(std::size_t person, std::vector<bool>& tried) {
    for (std::size_t g = 0; g < gates_.size(); ++g) {
      if (tried[g] || gates_[g].members.count(people_[person]) == 0) continue;
      tried[g] = true;
      if (static_cast<int>(placed_[g].size()) < gates_[g].count) {
        placed_[g].push_back(person);
        return true;
      }
      // A move inside place() may change the lists of other gates, never of this one: it is marked as tried.
      for (std::size_t& holder : placed_[g]) {
        if (!place(holder, tried)) continue;
        holder = person;
        return true;
      }
    }
    return false;
  }

  std::span<const Places> gates_;
  std::span<const std::string> people_;
  std::vector<std::vector<std::size_t>> placed_;
  int open_ = 0;
};

}  // namespace

Assignment assign_places(std::span<const Places> gates, std::span<const std::string> people) {
  return Matcher(gates, people).run();
}

std::optional<std::vector<std::vector<std::string>>> fill_places(std::span<const Places> gates,
                                                                 std::span<const std::string> people) {
  Assignment best = assign_places(gates, people);
  if (best.open > 0) return std::nullopt;
  return std::move(best.filled_by);
}

int open_places(std::span<const Places> gates, std::span<const std::string> people) {
  return assign_places(gates, people).open;
}

}  // namespace hallpass
