// What people read: what their grants allow (`sudo -l`), and why something is not covered.
#pragma once

#include <string>
#include <string_view>

#include "sudo_plugin/grants.h"

namespace hallpass {

// A command line as somebody would type it, made safe to print.
std::string spoken(const std::string& program, const std::vector<std::string_view>& arguments);

// "alice may run the following commands on web-3 by grants:\n…"; empty: there is no grant with commands.
std::string list_grants(const SnapshotReader& store, const Session& session, const Abilities& abilities, UnixTime now);

// Why no grant covers the wish: the nearest one, what did not fit, what to type. Several lines, the last without a
// newline.
std::string not_covered(const Wish& wish, const Search& search, std::string_view account, UnixTime now);

}  // namespace hallpass
