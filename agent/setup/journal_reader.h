// The system's journal, read entry by entry: however long it is, nothing of it is kept here.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/layout.h"
#include "core/values/result.h"
#include "core/values/time.h"

namespace hallpass {

struct JournalQuery {
  // "FIELD=value", as sd_journal_add_match(3) takes them: of those of one field any must hold, and of every field one.
  // Anybody can write entries with our fields: match _UID=0, too.
  std::vector<std::string> matches;
  std::vector<std::string> fields;  // what `take` gets to see
  UnixTime since{};
  std::size_t most = 500000;  // entries; a busy host has more than anybody waits for
};

struct JournalEntry {
  UnixTime at{};
  std::map<std::string, std::string, std::less<>> fields;  // of a field that repeats, the first; values cut to 4 KiB
  // Empty: the entry has no such field.
  const std::string& get(std::string_view field) const;
};

// Newest first. With a root of `layout`, the files below its /var/log/journal. False: there were more than `most`.
// Errors: unavailable (no journal that can be read, why).
Result<bool> read_journal(const Layout& layout, const JournalQuery& query,
                          const std::function<void(const JournalEntry&)>& take);

}  // namespace hallpass
