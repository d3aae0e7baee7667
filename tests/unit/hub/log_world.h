// What the tests of the log share: a new log in a directory that goes away, and hands to change its files.
#pragma once

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "core/dsse.h"
#include "core/hash.h"
#include "core/policy_trust.h"
#include "hub/log_init.h"
#include "hub/log_store.h"

namespace hallpass::hub::testing {

inline constexpr UnixTime kNow{Seconds{1'800'000'000}};

inline void must(bool ok) {
  if (!ok) std::abort();
}
inline unsigned mode_of(const std::string& path) {
  struct stat info {};
  must(stat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}
template <class T>
T must(Result<T> result) {
  if (!result) std::fprintf(stderr, "%s\n", result.error().message.c_str());
  must(result.has_value());
  return std::move(result).value();
}

inline std::string read_text(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}
inline void write_text(const std::string& path, std::string_view text) {
  std::filesystem::remove(path);  // files of the log are read-only
  std::ofstream(path, std::ios::binary) << text;
}

class TempDir {
 public:
  TempDir() {
    // In memory where there is some: the log flushes often.
    path_ = (access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") + std::string("/hallpass-hub-XXXXXX");
    must(mkdtemp(path_.data()) != nullptr);
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct LogWorld {
  TempDir dir;
  std::string log = dir.path() + "/log", state = dir.path() + "/state";
  std::string log_key = dir.path() + "/log.key", witness_key = dir.path() + "/witness.key";
  UnixTime now = kNow;

  LogInit init() const { return {log, state, log_key, witness_key, "log.test/acme", "", ""}; }
  void make() const { must(init_log(init()).has_value()); }
  NoteSigner log_signer() const { return must(load_note_key(log_key, NoteKeyType::ed25519)); }
  NoteSigner witness_signer() const { return must(load_note_key(witness_key, NoteKeyType::cosignature)); }
  StoreOptions options() const { return {log, state, log_signer(), witness_signer().verifier(), "acme-prod"}; }
  Result<std::unique_ptr<LogStore>> open(const EachEntry& each = {}) const {
    return LogStore::open(options(), now, each);
  }
  // The head signed by log and witness.
  std::string cosigned(const LogHead& head, UnixTime at) const {
    return with_signature(head.note, witness_signer().sign_line(format_checkpoint(head.checkpoint), at));
  }
  std::string signed_note(std::uint64_t size, const Digest& root) const {
    Checkpoint head;
    head.origin = "log.test/acme";
    head.size = size;
    head.root = root;
    const std::string text = format_checkpoint(head);
    return with_signature(text, log_signer().sign_line(text));
  }
};

inline std::vector<std::string> some_entries(std::size_t count, const std::string& word = "entry") {
  std::vector<std::string> entries;
  for (std::size_t i = 0; i < count; ++i) entries.push_back(word + " " + std::to_string(i));
  return entries;
}

struct PolicyFiles {
  std::string toml, sig;
};
inline PolicyFiles policy_files(std::int64_t version) {
  PolicyFiles files;
  files.toml = "version = " + std::to_string(version) + "\n";
  const std::string payload = policy_payload("acme-prod", version, sha256(files.toml));
  Envelope envelope;
  envelope.payload_type = kPolicyPayloadType;
  envelope.payload.assign(payload.begin(), payload.end());
  envelope.signatures.push_back({"test", Bytes(80, 7)});
  files.sig = format_envelope(envelope);
  return files;
}

// Every file below, by its path from there, but for the lock.
inline std::map<std::string, std::string> tree_of(const std::string& path) {
  std::map<std::string, std::string> tree;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    const std::string name = std::filesystem::relative(entry.path(), path).string();
    if (entry.is_regular_file() && name != "state/lock") tree[name] = read_text(entry.path().string());
  }
  return tree;
}

}  // namespace hallpass::hub::testing
