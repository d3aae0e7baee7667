#include "agent/sudoers_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "core/edge/files.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxFiles = 1000;
constexpr std::size_t kMaxSudoersBytes = std::size_t{16} * 1024 * 1024;

std::string short_host_name() {
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) != 0) return {};
  const std::string whole = name;
  return whole.substr(0, whole.find('.'));
}

// A path as sudoers spells it: in quotes, or up to the first blank that no backslash protects.
std::string unquoted(std::string_view text, std::string_view short_host) {
  std::string path;
  const bool quoted = !text.empty() && text.front() == '"';
  if (quoted) text.remove_prefix(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted ? c == '"' : c == ' ' || c == '\t' || c == '\r') break;
    if (c == '\\' && i + 1 < text.size()) {
      path += text[++i];
    } else if (c == '%' && i + 1 < text.size() && text[i + 1] == 'h') {
      path += short_host;
      ++i;
    } else {
      path += c;
    }
  }
  return path;
}

std::string_view without_blanks(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  return first == std::string_view::npos ? std::string_view{} : text.substr(first);
}

class Survey {
 public:
  explicit Survey(uid_t owner) : owner_(owner), short_host_(short_host_name()) {}

  void file(const std::string& path) {
    if (!add(path, S_IFREG)) return;
    const auto text = read_file(AT_FDCWD, path, kMaxSudoersBytes, true);
    if (!text) return;  // cvtsudoers says what is wrong with it
    const std::string beside = path.substr(0, path.rfind('/') + 1);
    for (const SudoersInclude& include : sudoers_includes(*text, short_host_)) {
      const std::string named = include.path.front() == '/' ? include.path : beside + include.path;
      include.directory ? directory(named) : file(named);
    }
  }
  SudoersSurvey take() { return std::move(found_); }

 private:
  void directory(const std::string& path) {
    if (!add(path, S_IFDIR)) return;
    found_.directories.push_back(path);
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(opendir(path.c_str()), closedir);
    while (const dirent* entry = stream ? readdir(stream.get()) : nullptr) {
      const std::string name = entry->d_name;
      // What sudo skips: packages' leftovers, editors' copies, "." and "..".
      if (name.find('.') == std::string::npos && name.back() != '~') file(path + "/" + name);
    }
  }

  // False: nothing is to be read there, or it was already.
  bool add(const std::string& path, mode_t type) {
    struct stat st {};
    const bool there = stat(path.c_str(), &st) == 0 && (st.st_mode & S_IFMT) == type;
    if (there && type == S_IFREG) {
      if (!found_.files.emplace(path, stamp_of_file(path)).second) return false;
    } else if (!found_.files.emplace(path, FileStamp{there, st.st_uid, st.st_gid, st.st_mode}).second) {
      return false;
    }
    if (found_.files.size() > kMaxFiles) {
      found_.fault = "sudoers includes more than " + std::to_string(kMaxFiles) + " files";
      return false;
    }
    const bool others_write = (st.st_mode & S_IWOTH) != 0 || ((st.st_mode & S_IWGRP) != 0 && st.st_gid != 0);
    if (there && found_.fault.empty() && (st.st_uid != owner_ || others_write))
      found_.fault = path + (others_write ? " can be written by others than root" : " is not root's");
    return there;
  }

  uid_t owner_;
  std::string short_host_;
  SudoersSurvey found_;
};

}  // namespace

FileStamp stamp_of_file(const std::string& path) {
  struct stat st {};
  if (stat(path.c_str(), &st) != 0) return {};
  return {static_cast<std::int64_t>(st.st_dev),
          static_cast<std::int64_t>(st.st_ino),
          static_cast<std::int64_t>(st.st_size),
          static_cast<std::int64_t>(st.st_mode),
          (static_cast<std::int64_t>(st.st_uid) << 32) | static_cast<std::int64_t>(st.st_gid),
          st.st_mtim.tv_sec,
          st.st_mtim.tv_nsec,
          st.st_ctim.tv_sec,
          st.st_ctim.tv_nsec};
}

std::vector<SudoersInclude> sudoers_includes(std::string_view text, std::string_view short_host) {
  std::vector<SudoersInclude> found;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = without_blanks(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || (line.front() != '@' && line.front() != '#')) continue;
    line.remove_prefix(1);
    const std::size_t word = line.find_first_of(" \t");
    if (word == std::string_view::npos) continue;
    const bool directory = line.substr(0, word) == "includedir";
    if (!directory && line.substr(0, word) != "include") continue;
    std::string path = unquoted(without_blanks(line.substr(word)), short_host);
    if (!path.empty()) found.push_back({std::move(path), directory});
  }
  return found;
}

SudoersSurvey survey_sudoers(const std::string& sudoers, uid_t owner) {
  Survey survey(owner);
  survey.file(sudoers);
  return survey.take();
}

}  // namespace hallpass
