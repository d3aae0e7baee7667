// sudo's plugin interface, and how its vectors of "name=value" are read. Source: sudo_plugin(5).
#pragma once

// Headers since sudo 1.9.15 use a keyword of C's.
#define restrict __restrict
#include <sudo_plugin.h>
#undef restrict

#include <cstring>
#include <string_view>

namespace hallpass {

// A null-terminated vector of sudo's, borrowed; may be null.
class Vector {
 public:
  explicit Vector(char* const* items) : items_(items) {}
  std::size_t size() const {
    std::size_t n = 0;
    while (items_ != nullptr && items_[n] != nullptr) ++n;
    return n;
  }
  std::string_view operator[](std::size_t i) const { return items_[i]; }
  // The value of "name=value"; null when it is not there.
  const char* get(std::string_view name) const {
    for (char* const* i = items_; i != nullptr && *i != nullptr; ++i) {
      if (strncmp(*i, name.data(), name.size()) == 0 && (*i)[name.size()] == '=') return *i + name.size() + 1;
    }
    return nullptr;
  }
  std::string_view text(std::string_view name) const {
    const char* value = get(name);
    return value == nullptr ? std::string_view() : value;
  }

 private:
  char* const* items_;
};

}  // namespace hallpass
