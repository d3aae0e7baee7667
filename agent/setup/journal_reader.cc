#include "agent/setup/journal_reader.h"

#include <systemd/sd-journal.h>

#include <cstring>
#include <memory>
#include <string_view>

namespace hallpass {
namespace {

constexpr std::size_t kMostOfValue = std::size_t{4} * 1024;

using Journals = std::unique_ptr<sd_journal, void (*)(sd_journal*)>;

Error failed(const std::string& what, int code) {
  return {Errc::unavailable, what + ": " + std::strerror(-code)};
}

Result<Journals> open_journal(const Layout& layout) {
  sd_journal* opened = nullptr;
  const int code = layout.root.empty() ? sd_journal_open(&opened, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM)
                                       : sd_journal_open_directory(&opened, layout.at("/var/log/journal").c_str(), 0);
  if (code < 0) return failed("the journal cannot be opened", code);
  Journals journals(opened, sd_journal_close);
  // Opening succeeds where there is nothing, and where files may not be read.
  if (sd_journal_has_persistent_files(opened) <= 0 && sd_journal_has_runtime_files(opened) <= 0)
    return Error{Errc::unavailable, "no journal can be read here: is systemd-journald running, and are you root?"};
  return journals;
}

void read_fields(sd_journal* journal, const std::vector<std::string>& fields, JournalEntry& entry) {
  for (const std::string& field : fields) {
    const void* data = nullptr;
    std::size_t size = 0;
    if (sd_journal_get_data(journal, field.c_str(), &data, &size) < 0 || size <= field.size()) continue;
    const std::string_view text(static_cast<const char*>(data), size);
    entry.fields[field] = text.substr(field.size() + 1, kMostOfValue);
  }
}

}  // namespace

const std::string& JournalEntry::get(std::string_view field) const {
  static const std::string kNone;
  const auto found = fields.find(field);
  return found == fields.end() ? kNone : found->second;
}

Result<bool> read_journal(const Layout& layout, const JournalQuery& query,
                          const std::function<void(const JournalEntry&)>& take) {
  const Result<Journals> opened = open_journal(layout);
  if (!opened) return opened.error();
  sd_journal* journal = opened->get();
  for (const std::string& match : query.matches) {
    if (const int code = sd_journal_add_match(journal, match.data(), match.size()); code < 0)
      return failed("the journal cannot be searched", code);
  }
  // Values are cut anyway; a long one need not be unpacked whole.
  sd_journal_set_data_threshold(journal, kMostOfValue + 64);
  if (const int code = sd_journal_seek_tail(journal); code < 0) return failed("the journal cannot be read", code);
  for (std::size_t n = 0;; ++n) {
    const int code = sd_journal_previous(journal);
    if (code < 0) return failed("the journal cannot be read to its end", code);
    if (code == 0) return true;
    if (n >= query.most) return false;
    std::uint64_t microseconds = 0;
    if (sd_journal_get_realtime_usec(journal, &microseconds) < 0) continue;
    JournalEntry entry;
    entry.at = from_unix(static_cast<long long>(microseconds / 1'000'000));
    if (entry.at < query.since) return true;
    read_fields(journal, query.fields, entry);
    take(entry);
  }
}

}  // namespace hallpass
