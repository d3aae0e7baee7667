// Do distinct people fill every gate? Bipartite matching of people to places, so that overlapping groups are used as
// well as possible.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace hallpass {

struct Places {
  std::set<std::string> members;  // who may fill a place here
  int count = 0;                  // how many distinct people are needed
};

// People in their places, as many as can be placed.
struct Assignment {
  std::vector<std::vector<std::string>> filled_by;  // an entry of `gates` each, in the order of `people`
  int open = 0;                                     // places that nobody fills, at best
};

// `people` in order of preference (earliest approval first); a name that comes twice counts once. The set of people
// placed is the lexicographically first in that order among the sets that fill the most places (the greedy basis of a
// transversal matroid): someone once placed keeps a place, possibly of another gate, whoever comes after. Nobody is
// placed once all places are filled.
Assignment assign_places(std::span<const Places> gates, std::span<const std::string> people);

// When all places can be filled: who fills which, a list of names for each entry of `gates` (count names each).
// nullopt: they cannot.
std::optional<std::vector<std::vector<std::string>>> fill_places(std::span<const Places> gates,
                                                                 std::span<const std::string> people);
// How many places stay open under the best assignment.
int open_places(std::span<const Places> gates, std::span<const std::string> people);

}  // namespace hallpass
