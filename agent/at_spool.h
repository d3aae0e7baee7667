// Jobs of at(1) and batch(1), which are files in a spool that belongs to the daemon: users reach it only through at.
//
// A job's file is its maker's. Its name is a letter (the queue), five hex digits (a number) and eight (when it is due,
// in minutes since 1970); while it runs the letter is '='. atd removes the file under its first name when it starts the
// job and the other one when the job's shell has ended; what that left running has no file.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/values/result.h"

namespace hallpass {

struct AtJob {
  std::string spool;         // its directory
  std::string file;          // "a0000201c88f83", "=0000201c88f83"
  std::int64_t changed = 0;  // ctime, nanoseconds since 1970: when it was made, or began to run
  std::int64_t written = 0;  // mtime: when it was made. A job that runs has its file open and can set it
  bool runs() const { return file.front() == '='; }
  std::string name() const { return file.substr(1); }  // the same before and while it runs
};

// Of one owner. Files of other names and kinds are left out; so are spools that are not there.
std::vector<AtJob> at_jobs(const std::vector<std::string>& spools, uid_t owner);
// Nanoseconds since 1970; 0: not the name of a job.
std::int64_t at_job_due(std::string_view name);
// "12", as atq shows it.
std::string at_job_number(std::string_view name);
// One that is gone meanwhile is removed. Errors: mismatch (not the owner's regular file any more), unavailable.
Status remove_at_job(const AtJob& job, uid_t owner);

}  // namespace hallpass
