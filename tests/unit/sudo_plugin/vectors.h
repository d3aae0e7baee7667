// sudo's null-terminated vectors, for tests.
#pragma once

#include <string>
#include <vector>

namespace hallpass::test {

class Words {
 public:
  Words(std::initializer_list<const char*> words) : Words(std::vector<std::string>(words.begin(), words.end())) {}
  explicit Words(std::vector<std::string> words) : words_(std::move(words)) {
    for (std::string& w : words_) pointers_.push_back(w.data());
    pointers_.push_back(nullptr);
  }
  Words(const Words&) = delete;
  Words& operator=(const Words&) = delete;
  char** get() { return pointers_.data(); }
  std::size_t size() const { return words_.size(); }

 private:
  std::vector<std::string> words_;
  std::vector<char*> pointers_;
};

}  // namespace hallpass::test
