// "Did you mean": the nearest known name to one that is not known.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace hallpass {

// The candidate fewest edits (insert, delete, replace, swap of neighbours) away, the first of equals; "" when none is
// near enough to be a slip of the fingers (a third of the name, at least one edit).
std::string nearest_name(std::string_view name, std::span<const std::string> candidates);

}  // namespace hallpass
