// Two texts compared line by line, as `diff -u` shows them.
#pragma once

#include <string>
#include <string_view>

namespace hallpass {

// Empty when they are equal. Bytes that would disturb a terminal are escaped.
std::string unified_diff(std::string_view before, std::string_view after, const std::string& before_name,
                         const std::string& after_name);

}  // namespace hallpass
