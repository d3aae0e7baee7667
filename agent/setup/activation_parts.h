// What activation's ways forward and back share.
#pragma once

#include <string>
#include <vector>

#include "agent/layout.h"
#include "agent/setup/activation_record.h"
#include "core/values/result.h"

namespace hallpass {

// One at a time. Waits 10 s for another one, then goes on without: who holds it may have been stopped for good, and the
// way back must not wait for him. What he does later fails, for his hidden files are gone.
class ActivationLock {
 public:
  explicit ActivationLock(const Layout& layout);
  ~ActivationLock();
  ActivationLock(const ActivationLock&) = delete;
  ActivationLock& operator=(const ActivationLock&) = delete;
  bool held() const { return held_; }

 private:
  int fd_ = -1;
  bool held_ = false;
};
Status make_activation_folder(const Layout& layout);

// Takes the changes of a pending record back, file by file. Goes on after a failure and returns the first.
Status undo_changes(const Layout& layout, const ActivationRecord& record, std::vector<std::string>& told);
// Removes the hidden files that `record`, which is not pending, has no use for.
void clean_hidden(const Layout& layout, const ActivationRecord& record);

}  // namespace hallpass
