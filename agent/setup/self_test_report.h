// How the self-test's processes tell the one that asked: a JSON object a line, on a pipe.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/setup/self_test.h"

namespace hallpass {

// To a pipe. Who reads it may have gone: that is no error here.
void report_trial(int fd, const Trial& trial);
void report_fault(int fd, const std::string& fault);  // the first one counts
void report_done(int fd);                             // every trial was made or skipped
void report_end(int fd);                              // and everything was taken away

class ReportReader {
 public:
  explicit ReportReader(std::function<void(const Trial&)> told) : told_(std::move(told)) {}
  void take(std::string_view bytes);
  // Errors: unavailable (a fault was told; the trials were not all made; the end was not told, so that something may be
  // left).
  Result<std::vector<Trial>> finish() const;

 private:
  void line(std::string_view text);
  std::function<void(const Trial&)> told_;
  std::string rest_, fault_;
  std::vector<Trial> trials_;
  bool done_ = false, ended_ = false;
};

}  // namespace hallpass
