// The real ssh-keygen: what it signs verifies here, what we armor verifies there. FIDO keys by the software
// authenticator sk_soft.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "core/sshsig.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/vectors.h"

extern char** environ;

namespace {

using hallpass::as_bytes;
using hallpass::Bytes;
using hallpass::Presence;
using hallpass::PublicKey;
using hallpass::Result;
using hallpass::Sshsig;

constexpr const char* kNamespace = "request@hallpass";
const std::string kMessage = "DSSEv1 4 type 5 hello\n";
const std::vector<std::string> kNoOrigins;

class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / "hallpass-keygen-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) std::abort();
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Runs ssh-keygen with `input` on its standard input; what it printed goes to `output`. True when it exits with 0.
bool ssh_keygen(const std::vector<std::string>& arguments, const std::string& input, const std::string& output) {
  std::vector<char*> argv = {const_cast<char*>("ssh-keygen")};
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, input.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int fault = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  return fault == 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

struct Kind {
  const char* name;
  std::vector<std::string> options;
  bool security_key;
};
const Kind kKinds[] = {
    {"ed25519", {"-t", "ed25519"}, false},
    {"ecdsa", {"-t", "ecdsa", "-b", "256"}, false},
    {"rsa", {"-t", "rsa", "-b", "2048"}, false},
    {"ed25519-sk", {"-t", "ed25519-sk"}, true},
    {"ed25519-sk with an application", {"-t", "ed25519-sk", "-O", "application=ssh:prod"}, true},
    {"ecdsa-sk", {"-t", "ecdsa-sk"}, true},
};

struct Touch {
  const char* name;
  bool no_presence;
  bool verification;
  std::optional<Presence> presence;  // nullopt: refused
};
const Touch kTouches[] = {
    {"touched", false, false, Presence::touch},
    {"touched and verified", false, true, Presence::verified},
    {"not touched", true, false, std::nullopt},
    {"verified, not touched", true, true, std::nullopt},
};
const Touch kPlain = {"plain key", false, false, Presence::none};

void set_flag(const char* name, bool on) {
  on ? setenv(name, "1", 1) : unsetenv(name);
}

int wrong_signature(const Folder& folder, const PublicKey& key, const Touch& touch, const char* name) {
  set_flag("SK_SOFT_NOUP", touch.no_presence);
  set_flag("SK_SOFT_UV", touch.verification);
  if (!ssh_keygen({"-Y", "sign", "-f", folder / "key", "-n", kNamespace}, folder / "message", folder / "sig")) {
    return wrong_if(true, "ssh-keygen cannot sign");
  }
  const Result<Bytes> blob = hallpass::parse_sshsig_armor(read_whole_file(folder / "sig"));
  if (!blob) return wrong_if(true, name);
  const Sshsig signature = hallpass::parse_sshsig(blob.value()).value();
  const Result<Presence> presence = hallpass::verify_sshsig(signature, key, kNamespace, as_bytes(kMessage), kNoOrigins);
  int wrong = wrong_if(presence.has_value() != touch.presence.has_value() || (presence && *presence != *touch.presence),
                       (std::string(name) + ", " + touch.name).c_str());
  const auto other = hallpass::verify_sshsig(signature, key, kNamespace, as_bytes(kMessage + "x"), kNoOrigins);
  wrong += wrong_if(other.has_value(), name);

  std::ofstream(folder / "ours", std::ios::binary) << hallpass::format_sshsig_armor(blob.value());
  wrong += wrong_if(
      !ssh_keygen({"-Y", "check-novalidate", "-n", kNamespace, "-s", folder / "ours"}, folder / "message", "/dev/null"),
      "ssh-keygen refuses our armor");
  return wrong;
}

int wrong_kind(const Kind& kind) {
  const Folder folder;
  std::ofstream(folder / "message", std::ios::binary) << kMessage;
  std::vector<std::string> options = kind.options;
  options.insert(options.end(), {"-q", "-N", "", "-C", "a comment", "-f", folder / "key"});
  if (!ssh_keygen(options, "/dev/null", "/dev/null")) return wrong_if(true, "ssh-keygen makes no key");
  std::string line = read_whole_file(folder / "key.pub");
  line.pop_back();
  const Result<PublicKey> key = PublicKey::from_line(line);
  if (!key) return wrong_if(true, kind.name);
  int wrong = wrong_if(hallpass::key_comment(line) != "a comment", "the comment");
  ssh_keygen({"-l", "-f", folder / "key.pub"}, "/dev/null", folder / "listed");
  const bool same = read_whole_file(folder / "listed").find(" " + key.value().fingerprint() + " ") != std::string::npos;
  wrong += wrong_if(!same, "the fingerprint");
  if (!kind.security_key) return wrong + wrong_signature(folder, key.value(), kPlain, kind.name);
  for (const Touch& touch : kTouches) wrong += wrong_signature(folder, key.value(), touch, kind.name);
  return wrong;
}

int wrong_kinds() {
  setenv("SSH_SK_PROVIDER", HALLPASS_SK_SOFT, 1);
  unsetenv("SSH_AUTH_SOCK");
  int wrong = 0;
  for (const Kind& kind : kKinds) wrong += wrong_kind(kind);
  return wrong;
}
void test_kinds(void**) {
  assert_int_equal(wrong_kinds(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_kinds)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
