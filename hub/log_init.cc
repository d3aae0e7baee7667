#include "hub/log_init.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/edge/files.h"
#include "core/log/checkpoint.h"
#include "core/log/merkle.h"
#include "core/log/tiles.h"
#include "core/values/text.h"
#include "hub/durable.h"
#include "hub/log_store.h"

namespace hallpass::hub {
namespace {

constexpr std::size_t kMaxKeyBytes = 4096;

std::string in_words(int error) {
  return std::generic_category().message(error);
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? "" : path.substr(0, slash);
}

// Narrower than notes allow: it is typed, and stands in URLs of monitors.
bool is_plain_name(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(".-_/").find(c) != std::string_view::npos;
  };
  return !name.empty() && name.size() <= 200 && std::all_of(name.begin(), name.end(), plain);
}

Status refuse_existing(const LogInit& init) {
  const std::string kept[] = {init.state_dir + "/" + std::string(kCommittedName),
                              init.log_dir + "/" + std::string(kCheckpointPath), init.log_dir + "/tile"};
  for (const std::string& path : kept) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) == 0) {
      return Error{Errc::mismatch, "there is a log already (" + printable(path) +
                                       "), and init never touches one: start the hub, or name other directories"};
    }
    if (errno != ENOENT && errno != ENOTDIR) {
      return Error{Errc::unavailable, "cannot look at " + printable(path) + ": " + in_words(errno)};
    }
  }
  return Unit{};
}

// The key in that file, or a new one called `name`. `wanted`: what it must be called; empty: whatever it is.
Result<NoteSigner> key_at(const std::string& path, NoteKeyType type, const std::string& wanted,
                          const std::string& name) {
  Result<NoteSigner> there = load_note_key(path, type);
  if (there) {
    if (wanted.empty() || there->verifier().name == wanted) return there;
    return Error{Errc::mismatch, printable(path) + " is the key of " + printable(there->verifier().name, 80) +
                                     ", not of " + printable(wanted, 80) + ": use that name, or move the file away"};
  }
  if (there.error().code != Errc::not_found) return there.error();
  if (name.empty()) {
    return Error{Errc::malformed,
                 "a new log needs a name that is its own for good: hallpass-hub init --name "
                 "log.example.org/hallpass"};
  }
  if (!is_plain_name(name)) {
    return Error{Errc::malformed, "\"" + printable(name, 80) +
                                      "\" cannot name a key: take up to 200 letters, digits and . - _ / as in "
                                      "log.example.org/hallpass"};
  }
  const NoteSigner made = NoteSigner::generate(name, type);
  if (const std::string folder = parent_of(path); !folder.empty()) {
    if (const Status done = make_directory_durably(folder, 0700); !done) return done.error();
  }
  if (const Status done = create_file_durably(path, made.text() + "\n", 0600); !done) return done.error();
  return made;
}

Status give(const LogInit& init) {
  if (init.owner.empty()) return Unit{};
  const passwd* user = ::getpwnam(init.owner.c_str());
  if (user == nullptr) {
    return Error{Errc::not_found, "there is no user " + printable(init.owner, 80) + ": create it, then run init again"};
  }
  const std::string all[] = {init.log_dir,   init.log_dir + "/" + std::string(kCheckpointPath),
                             init.state_dir, init.state_dir + "/" + std::string(kCommittedName),
                             init.log_key,   init.witness_key};
  for (const std::string& path : all) {
    if (::lchown(path.c_str(), user->pw_uid, user->pw_gid) != 0) {
      return Error{Errc::unavailable, "cannot give " + printable(path) + " to " + printable(init.owner, 80) + ": " +
                                          in_words(errno) + "; give it by hand (chown)"};
    }
  }
  return Unit{};
}

std::string report(const NoteKey& log, const NoteKey& witness) {
  return "log      " + log.text() + "\nwitness  " + witness.text() +
         "\n\nFor /etc/hallpass/trust.toml on every host:\n\n[log]\nkey       = \"" + log.text() +
         "\"\nwitnesses = [\"" + witness.text() + "\"]\nquorum    = 1\n";
}

}  // namespace

Result<NoteSigner> load_note_key(const std::string& path, NoteKeyType type) {
  Result<std::string> text = read_file(AT_FDCWD, path, kMaxKeyBytes);
  if (!text) return text.error();
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    return Error{Errc::unavailable, "cannot look at " + printable(path) + ": " + in_words(errno)};
  }
  if ((info.st_mode & 077) != 0) {
    return Error{Errc::untrusted, printable(path) +
                                      " can be read by others than its owner: chmod 600, and if others "
                                      "may have had it, begin a new log with a new key"};
  }
  if (!text->empty() && text->back() == '\n') text->pop_back();
  Result<NoteSigner> key = NoteSigner::parse(*text);
  if (!key) return Error{key.error().code, printable(path) + ": " + key.error().message};
  if (key->verifier().type != type) {
    const bool log = type == NoteKeyType::ed25519;
    return Error{Errc::unsupported, printable(path) + " is not a " + (log ? "log's" : "witness's") +
                                        " key: perhaps log_key and witness_key are exchanged"};
  }
  return key;
}

// A crash leaves keys and directories, which the next init takes up; from state/committed on there is a log, which the
// hub publishes when it starts.
Result<std::string> init_log(const LogInit& init) {
  if (const Status fresh = refuse_existing(init); !fresh) return fresh.error();
  const Result<NoteSigner> log = key_at(init.log_key, NoteKeyType::ed25519, init.origin, init.origin);
  if (!log) return log.error();
  const std::string name = init.witness.empty() ? log->verifier().name + "/witness" : init.witness;
  const Result<NoteSigner> witness = key_at(init.witness_key, NoteKeyType::cosignature, init.witness, name);
  if (!witness) return witness.error();
  if (const Status done = make_directory_durably(init.log_dir, 0755); !done) return done.error();
  if (const Status done = make_directory_durably(init.state_dir, 0700); !done) return done.error();
  Checkpoint empty;
  empty.origin = log->verifier().name;
  empty.root = empty_root();
  const std::string text = format_checkpoint(empty);
  const std::string note = with_signature(text, log->sign_line(text));
  const std::pair<const std::string&, std::string_view> files[] = {{init.state_dir, kCommittedName},
                                                                   {init.log_dir, kCheckpointPath}};
  for (const auto& [folder, file] : files) {
    Result<DurableTree> tree = DurableTree::open(folder);
    if (!tree) return tree.error();
    const unsigned mode = file == kCommittedName ? 0600 : 0644;
    if (const Status done = tree->put_now(std::string(file), note, mode); !done) return done.error();
  }
  if (const Status done = give(init); !done) return done.error();
  return report(log->verifier(), witness->verifier());
}

}  // namespace hallpass::hub
