// Do distinct people fill every gate? Bipartite matching of people to places, so that overlapping groups are used as well as possible.
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

// `people` in order of preference (earliest approval first). When all places can be filled: who fills which, a list of names for each
// entry of `gates` (count names each). The set of people used is the lexicographically first in that order that fills the places.
// nullopt: they cannot be filled.
std::optional<std::vector<std::vector<std::string>>> fill_places(std::span<const Places> gates, std::span<const std::string> people);
// How many places stay open under the best assignment.
int open_places(std::span<const Places> gates, std::span<const std::string> people);

}  // namespace hallpass
