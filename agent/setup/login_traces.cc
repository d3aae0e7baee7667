#include "agent/setup/login_traces.h"

#include <fcntl.h>
#include <utmp.h>

#include <algorithm>
#include <cstring>

#include "agent/setup/journal_reader.h"
#include "core/edge/files.h"

namespace hallpass {
namespace {

// A single `ssh HOST COMMAND` has no terminal either.
constexpr int kSeveral = 3;
constexpr std::size_t kMostOfWtmp = std::size_t{64} * 1024 * 1024;

std::string text_of(const char* field, std::size_t size) {
  return {field, strnlen(field, size)};
}

}  // namespace

bool LoginTraces::never_on_terminal(const std::string& account) const {
  const auto seen = by_account.find(account);
  if (seen == by_account.end() || on_terminal.count(account) != 0) return false;
  return seen->second.recorded >= kSeveral;
}

std::string accepted_account(std::string_view message) {
  constexpr std::string_view kAccepted = "Accepted ", kFor = " for ", kFrom = " from ";
  if (message.substr(0, kAccepted.size()) != kAccepted) return {};
  const auto account = message.find(kFor);
  const auto end = message.rfind(kFrom);
  if (account == std::string_view::npos || end == std::string_view::npos) return {};
  const auto start = account + kFor.size();
  return end <= start ? std::string() : std::string(message.substr(start, end - start));
}

void add_terminals(std::string_view wtmp, LoginTraces& traces) {
  struct utmp record {};
  for (; wtmp.size() >= sizeof record; wtmp.remove_prefix(sizeof record)) {
    std::memcpy(&record, wtmp.data(), sizeof record);
    const UnixTime at = from_unix(record.ut_tv.tv_sec);
    if (record.ut_type == EMPTY || record.ut_tv.tv_sec <= 0) continue;
    traces.terminals_since = std::min(traces.terminals_since.value_or(at), at);
    if (record.ut_type == USER_PROCESS) traces.on_terminal.insert(text_of(record.ut_user, sizeof record.ut_user));
  }
}

void add_login(std::string_view message, UnixTime at, LoginTraces& traces) {
  const std::string account = accepted_account(message);
  if (account.empty()) return;
  SeenLogins& seen = traces.by_account[account];
  ++seen.count;
  if (traces.terminals_since && at >= *traces.terminals_since) ++seen.recorded;
  seen.last = std::max(seen.last, at);
}

LoginTraces read_login_traces(const Layout& layout, UnixTime since) {
  LoginTraces traces;
  // The one before, too, for wtmp is begun anew each month.
  for (const char* name : {"/var/log/wtmp", "/var/log/wtmp.1"}) {
    const Result<std::string> wtmp = read_file(AT_FDCWD, layout.at(name), kMostOfWtmp);
    if (wtmp) add_terminals(*wtmp, traces);
  }
  JournalQuery query;
  // sshd's monitor writes these; OpenSSH 9.8 made it a program of its own.
  query.matches = {"_UID=0", "SYSLOG_IDENTIFIER=sshd", "SYSLOG_IDENTIFIER=sshd-session"};
  query.fields = {"MESSAGE"};
  query.since = since;
  const Result<bool> read = read_journal(
      layout, query, [&](const JournalEntry& entry) { add_login(entry.get("MESSAGE"), entry.at, traces); });
  traces.known = read.has_value();
  return traces;
}

}  // namespace hallpass
