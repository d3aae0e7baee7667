// Who may read, by token. Only SHA-256 values are kept, and a wrong token takes as long as a right one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hub/config.h"

namespace hallpass::hub {

class Tokens {
 public:
  explicit Tokens(std::vector<ReadToken> tokens) : tokens_(std::move(tokens)) {}
  // An Authorization header's value; empty: there was none.
  bool allow(std::string_view authorization) const;

 private:
  std::vector<ReadToken> tokens_;
};

}  // namespace hallpass::hub
