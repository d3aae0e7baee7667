#include "agent/setup/accounts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>
#include <map>
#include <set>

#include "core/edge/files.h"
#include "core/hash.h"
#include "core/values/bytes.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxTableBytes = std::size_t{64} * 1024 * 1024;
constexpr std::size_t kMaxKeyFileBytes = std::size_t{1024} * 1024;
constexpr std::size_t kShortestHash = 13;  // DES, crypt(5)

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  for (std::size_t end = text.find(at); end != std::string_view::npos; end = text.find(at)) {
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  parts.push_back(text);
  return parts;
}

template <class Number>
bool read_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

// The lines of a table of /etc, each as its fields. Errors: not_found, unavailable.
Result<std::vector<std::vector<std::string>>> read_table(const std::string& path, std::size_t least_fields) {
  const Result<std::string> text = read_file(AT_FDCWD, path, kMaxTableBytes, true);
  if (!text) {
    const bool absent = text.error().code == Errc::not_found;
    return Error{absent ? Errc::not_found : Errc::unavailable, text.error().message};
  }
  std::vector<std::vector<std::string>> rows;
  for (const std::string_view line : split(*text, '\n')) {
    const auto fields = split(line, ':');
    if (line.empty() || line[0] == '#' || fields.size() < least_fields) continue;
    rows.emplace_back(fields.begin(), fields.end());
  }
  return rows;
}

// sync, halt and shutdown are accounts whose shell does that one thing.
bool is_shell(std::string_view path) {
  static const std::set<std::string_view> kNone = {"nologin", "false", "sync", "halt", "shutdown"};
  return kNone.count(path.substr(path.rfind('/') + 1)) == 0;
}

struct Secret {
  bool password = false, expired = false;
};

std::map<std::string, Secret> secrets_of(const std::vector<std::vector<std::string>>& rows) {
  using Days = std::chrono::duration<std::int64_t, std::ratio<86400>>;
  const auto today = std::chrono::duration_cast<Days>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::map<std::string, Secret> secrets;
  for (const auto& row : rows) {
    const std::string& hash = row[1];
    Secret secret;
    secret.password = hash.size() >= kShortestHash && hash[0] != '!' && hash[0] != '*';
    std::int64_t last_day = -1;
    secret.expired =
        row.size() > 7 && read_number(std::string_view(row[7]), last_day) && last_day >= 0 && today >= last_day;
    secrets.emplace(row[0], secret);
  }
  return secrets;
}

// "%h/.ssh/%u" filled in; relative to the home directory as sshd has it. Empty: a pattern that sshd refuses.
std::string fill_in(std::string_view pattern, const Account& account) {
  std::string path;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%') {
      path += pattern[i];
      continue;
    }
    const char kind = ++i < pattern.size() ? pattern[i] : '\0';
    if (kind == 'h') {
      path += account.home;
    } else if (kind == 'u') {
      path += account.name;
    } else if (kind == 'U') {
      path += std::to_string(account.uid);
    } else if (kind == '%') {
      path += '%';
    } else {
      return "";
    }
  }
  return path.empty() || path[0] == '/' ? path : account.home + "/" + path;
}

// A descriptor of the directory that holds `path`, which lies below `home`: what stands below it is the account's to
// choose, so that a link there would show root's own files. -1: there is none.
int open_below(const std::string& home, std::string_view path) {
  int at = ::open(home.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  const auto parts = split(path, '/');
  for (std::size_t i = 0; at >= 0 && i + 1 < parts.size(); ++i) {
    if (parts[i].empty() || parts[i] == ".") continue;
    const int next = ::openat(at, std::string(parts[i]).c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    ::close(at);
    at = next;
  }
  return at;
}

Result<std::string> read_key_file(const Layout& layout, const std::string& path, const Account& account) {
  const std::string below = account.home + "/";
  if (account.home.empty() || account.home == "/" || path.compare(0, below.size(), below) != 0)
    return read_file(AT_FDCWD, layout.at(path), kMaxKeyFileBytes);
  const std::string_view rest = std::string_view(path).substr(below.size());
  const int directory = open_below(layout.at(account.home), rest);
  if (directory < 0) return Error{Errc::not_found, printable(path) + " is not there"};
  Result<std::string> text = read_file(directory, std::string(rest.substr(rest.rfind('/') + 1)), kMaxKeyFileBytes);
  ::close(directory);
  return text;
}

std::string_view take_word(std::string_view& text) {
  const std::size_t start = text.find_first_not_of(" \t");
  text.remove_prefix(start == std::string_view::npos ? text.size() : start);
  const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

// Options may hold quoted blanks.
void skip_options(std::string_view& text) {
  bool quoted = false;
  std::size_t i = 0;
  for (; i < text.size() && (quoted || (text[i] != ' ' && text[i] != '\t')); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == '"') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    }
  }
  text.remove_prefix(i);
}

bool is_key_type(std::string_view word) {
  return word.starts_with("ssh-") || word.starts_with("ecdsa-") || word.starts_with("sk-");
}

// False: no key in this line.
bool read_key(std::string_view line, AuthorizedKey& key) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  const std::size_t start = line.find_first_not_of(" \t");
  if (start == std::string_view::npos || line[start] == '#') return false;
  line.remove_prefix(start);
  std::string_view rest = line;
  std::string_view type = take_word(rest);
  if (!is_key_type(type)) {
    rest = line;
    skip_options(rest);
    key.options = line.substr(0, line.size() - rest.size());
    type = take_word(rest);
  }
  const std::string_view encoded = take_word(rest);
  const Result<Bytes> blob = base64_decode(encoded);
  if (!is_key_type(type) || !blob || blob->empty()) return false;
  key.key = std::string(type) + " " + std::string(encoded);
  std::string digest = base64_encode(sha256(ByteView(*blob)).bytes);
  digest.erase(digest.find_last_not_of('=') + 1);
  key.fingerprint = "SHA256:" + digest;
  const std::size_t comment = rest.find_first_not_of(" \t");
  key.comment = comment == std::string_view::npos ? "" : printable(rest.substr(comment));
  return true;
}

}  // namespace

Result<std::vector<Account>> read_accounts(const Layout& layout) {
  const auto users = read_table(layout.at("/etc/passwd"), 7);
  if (!users) return Error{Errc::unavailable, users.error().message};
  const auto shadow = read_table(layout.at("/etc/shadow"), 2);
  if (!shadow && shadow.error().code != Errc::not_found) return shadow.error();
  const auto secrets = shadow ? secrets_of(*shadow) : std::map<std::string, Secret>();
  std::vector<Account> accounts;
  std::set<std::string> seen;  // of several lines with one name the first counts
  for (const auto& row : *users) {
    Account account;
    account.name = row[0];
    if (!read_number(std::string_view(row[2]), account.uid) || !read_number(std::string_view(row[3]), account.gid) ||
        account.name.empty() || !seen.insert(account.name).second)
      continue;
    account.home = row[5];
    account.shell = row[6];
    const auto secret = secrets.find(account.name);
    account.has_password = secret != secrets.end() && secret->second.password;
    account.can_log_in = is_shell(account.shell) && (secret == secrets.end() || !secret->second.expired);
    accounts.push_back(std::move(account));
  }
  return accounts;
}

Result<std::vector<std::string>> group_members(const Layout& layout, std::string_view group,
                                               const std::vector<Account>& accounts) {
  const auto groups = read_table(layout.at("/etc/group"), 4);
  if (!groups) return Error{Errc::unavailable, groups.error().message};
  const auto found = std::find_if(groups->begin(), groups->end(), [&](const auto& row) { return row[0] == group; });
  if (found == groups->end()) return Error{Errc::not_found, "there is no group " + printable(group) + " in /etc/group"};
  std::set<std::string> members;
  for (const std::string_view name : split((*found)[3], ',')) {
    if (!name.empty()) members.emplace(name);
  }
  gid_t gid = 0;
  if (read_number(std::string_view((*found)[2]), gid)) {
    for (const Account& account : accounts) {
      if (account.gid == gid) members.insert(account.name);
    }
  }
  return std::vector<std::string>(members.begin(), members.end());
}

std::vector<AuthorizedKey> authorized_keys(const Layout& layout, const Account& account,
                                           const std::vector<std::string>& patterns) {
  std::vector<AuthorizedKey> keys;
  std::set<std::string> seen;
  for (const std::string& pattern : patterns) {
    const std::string path = fill_in(pattern, account);
    if (path.empty() || pattern == "none" || !seen.insert(path).second) continue;
    const Result<std::string> text = read_key_file(layout, path, account);
    if (!text) continue;
    int line = 0;
    for (const std::string_view each : split(*text, '\n')) {
      AuthorizedKey key;
      key.file = path;
      key.line = ++line;
      if (read_key(each, key)) keys.push_back(std::move(key));
    }
  }
  return keys;
}

}  // namespace hallpass
