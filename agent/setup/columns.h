// A table for a terminal: columns as wide as their widest cell, two spaces between them.
#pragma once

#include <string>
#include <vector>

namespace hallpass {

class Columns {
 public:
  void add(std::vector<std::string> row);
  std::string text() const;
  bool empty() const { return rows_.empty(); }

 private:
  std::vector<std::size_t> widths_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace hallpass
