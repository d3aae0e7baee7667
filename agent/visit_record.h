// What stood on an account before the first login of a visit, and the file that keeps it: "visit/1", docs/formats.md.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/values/result.h"

namespace hallpass {

// Times of files are nanoseconds since 1970 by the wall clock, those of processes clock ticks since boot.
struct Visit {
  struct Unit {
    std::string group;        // control group of a unit of the user manager
    std::uint64_t start = 0;  // of its oldest process
  };
  struct Login {
    std::uint32_t audit = 0;  // audit session id of an at job that ran
    std::uint64_t start = 0;
  };
  struct Job {
    std::string name;  // AtJob::name()
    std::int64_t changed = 0;
    bool ran = false;  // when it was recorded
  };
  struct Crontab {
    std::string path;
    std::int64_t changed = 0;
    std::vector<std::string> lines;  // digests of those that say something, in their order
  };

  std::string account;
  uid_t uid = 0;
  bool personal = false;
  // False: the record was damaged, so nothing is known of what stood before.
  bool known = true;
  std::string subject, grant_id;       // of its first session
  std::string boot;                    // boot id
  std::uint64_t start = 0;             // of the earliest leader, in that boot
  std::int64_t began = 0;              // the same by the wall clock
  std::optional<std::int64_t> linger;  // since when, if it stood before
  std::vector<Unit> units;
  std::vector<Login> logins;
  std::vector<Job> jobs;
  std::vector<Crontab> crontabs;

  // A process of the boot `now_boot` that started earlier than this stood before. After a reboot none did.
  std::uint64_t since(std::string_view now_boot) const { return boot == now_boot ? start : 0; }
  bool had_login(std::uint32_t audit, std::string_view now_boot) const;
  bool had_unit(std::string_view group) const;
  bool had_job(std::string_view name) const;

  // Another session began earlier than the one that the record was made for: what is younger did not stand before.
  void move_back(std::uint64_t earlier_start, std::int64_t earlier_began);
};

std::string encode_visit(const Visit& visit);
// Errors: malformed.
Result<Visit> decode_visit(std::string_view text);

}  // namespace hallpass
