// Writes a snapshot by hand, for tests of what reads snapshots: no policy, no signatures. See --help.
#include <openssl/evp.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/snapshot_writer.h"
#include "host/sudo_defaults.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace): a program of one file

constexpr char kHelp[] =
    R"(usage: make_snapshot FILE [OPTION…] [RECORD…] [@FILE-OF-WORDS, one a line]
       make_snapshot --seal-defaults <TEXT >SUDOERS.DEFAULTS

Writes an admissions snapshot, replacing FILE by rename. Times are Unix seconds, or +N / -N: seconds from now.

options:
  --machine-id ID        default: the first line of /etc/machine-id
  --machine-id-file F    the same, from another file
  --host NAME            default: web-3
  --fleet NAME           default: test
  --strict-clock         readers admit nobody until the clock is synchronised
  --deny-standing-sudo   sessions under a grant get nothing from the site's own sudoers
  --floor WALL           clock floor (of another boot)

records (each NAME=VALUE word belongs to the record before it):
  --admit ACCOUNT SUBJECT [start=-60] [end=+1800] [id=k7m3-9x2d-q4fh] [runbook=restart-web] [reason=TEXT] [ticket=TEXT]
                          [approvers=bob,ana] [shared=1] [shared_sudo=1] [number=N]
                          number tells apart several grants of one account; shared=1: not the subject's own account
  --command USER[:GROUP] [run='PATH[|PATH] ARGUMENT...'] [edit='TOKEN...'] [kind=shell|any] [subcommands=deny|check]
                          [env_keep=A,B] [sha256=HEX] [password=1]
                          of the --admit before it; blanks separate the tokens
  --key ACCOUNT SUBJECT FILE.pub|'TYPE BASE64' [shared=1]
  --wait ACCOUNT SUBJECT STATE [id=…] [detail=TEXT] [at=TIME] [runbooks=a,b]
                          STATE: pending ended denied revoked void none
)";

[[noreturn]] void usage_error(const std::string& what) {
  std::fprintf(stderr, "make_snapshot: %s; see --help\n", what.c_str());
  std::exit(2);
}

UnixTime time_of(const std::string& text) {
  char* end = nullptr;
  const long long n = std::strtoll(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0') usage_error("not a time: " + text);
  return from_unix(text[0] == '+' || text[0] == '-' ? n + static_cast<long long>(time(nullptr)) : n);
}

std::vector<std::string> split(const std::string& text, char separator = ',') {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find(separator, at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

std::string first_words(const std::string& path) {
  std::ifstream in(path);
  std::string type, base64;
  if (!(in >> type)) usage_error("cannot read " + path);
  in >> base64;
  return base64.empty() ? type : type + " " + base64;
}

Digest sha256_of(const std::string& bytes) {
  Digest d;
  EVP_Digest(bytes.data(), bytes.size(), d.bytes.data(), nullptr, EVP_sha256(), nullptr);
  return d;
}

std::string fingerprint_of(const std::string& line) {
  const std::string base64 = line.substr(line.find(' ') + 1);
  std::string blob(base64.size(), '\0');
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(blob.data()),
                                reinterpret_cast<const unsigned char*>(base64.data()), static_cast<int>(base64.size()));
  if (n < 0) usage_error("not a key: " + line);
  blob.resize(static_cast<std::size_t>(n) - (base64.ends_with("==") ? 2U : base64.ends_with("=") ? 1U : 0U));
  const Digest digest = sha256_of(blob);
  char text[64];
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text), digest.bytes.data(), 32);
  return "SHA256:" + std::string(text, 43);
}

// The words of one record: its positional ones, and the NAME=VALUE ones.
struct Words {
  std::vector<std::string> plain;
  std::map<std::string, std::string> named;
  std::string get(const std::string& name, const std::string& otherwise) const {
    const auto found = named.find(name);
    return found == named.end() ? otherwise : found->second;
  }
};

Words take(const std::vector<std::string>& args, std::size_t& at, std::size_t plain) {
  Words words;
  for (; words.plain.size() < plain; ++at) {
    if (at >= args.size()) usage_error("a record is cut short");
    words.plain.push_back(args[at]);
  }
  for (; at < args.size() && !args[at].starts_with("--"); ++at) {
    const auto equals = args[at].find('=');
    if (equals == std::string::npos) usage_error("unexpected word: " + args[at]);
    words.named[args[at].substr(0, equals)] = args[at].substr(equals + 1);
  }
  return words;
}

Admission admission_of(const Words& w) {
  Admission a;
  a.account = w.plain[0];
  a.subject = w.plain[1];
  a.id = w.get("id", "k7m3-9x2d-q4fh");
  a.runbook = w.get("runbook", "restart-web");
  a.reason = w.get("reason", "a test");
  a.ticket = w.get("ticket", "");
  a.approvers = split(w.get("approvers", ""));
  a.grant = sha256_of(a.subject + " " + a.id + " " + w.get("number", "0"));
  a.start = time_of(w.get("start", "-60"));
  a.end = time_of(w.get("end", "+1800"));
  a.personal = w.get("shared", "0") == "0";
  a.shared_sudo = w.get("shared_sudo", "0") == "1";
  return a;
}

Command command_of(const Words& w) {
  Command c;
  const auto who = split(w.plain[0], ':');
  c.as_user = who.at(0);
  if (who.size() > 1) c.as_group = who[1];
  const std::string kind = w.get("kind", w.named.count("edit") != 0 ? "edit" : "run");
  c.kind = kind == "shell"  ? Command::Kind::shell
           : kind == "any"  ? Command::Kind::any
           : kind == "edit" ? Command::Kind::edit
                            : Command::Kind::run;
  c.arguments = split(w.get(kind == "edit" ? "edit" : "run", ""), ' ');
  if (c.kind == Command::Kind::run) {
    if (c.arguments.empty()) usage_error("a command without run=");
    c.executables = split(c.arguments.front(), '|');
    c.arguments.erase(c.arguments.begin());
  }
  const std::string subcommands = w.get("subcommands", "allow");
  c.subcommands = subcommands == "deny"    ? Subcommands::deny
                  : subcommands == "check" ? Subcommands::check
                                           : Subcommands::allow;
  c.env_keep = split(w.get("env_keep", ""), ',');
  c.sha256 = w.get("sha256", "");
  c.password = w.get("password", "0") == "1";
  return c;
}

AccountKey key_of(const Words& w) {
  AccountKey k;
  k.account = w.plain[0];
  k.subject = w.plain[1];
  k.line = w.plain[2].find(' ') == std::string::npos ? first_words(w.plain[2]) : w.plain[2];
  k.fingerprint = fingerprint_of(k.line);
  k.personal = w.get("shared", "0") == "0";
  return k;
}

Waiting waiting_of(const Words& w) {
  return {w.plain[0],
          w.plain[1],
          w.plain[2],
          w.get("id", ""),
          w.get("detail", ""),
          time_of(w.get("at", "0")),
          split(w.get("runbooks", ""))};
}

SnapshotContent parse(const std::vector<std::string>& args) {
  SnapshotContent c;
  c.meta.fleet = "test";
  c.meta.host = "web-3";
  c.meta.policy_version = 1;
  c.meta.generation = 1;
  c.meta.valid_until = time_of("+864000");
  std::size_t at = 1;
  const auto value = [&] { return at < args.size() ? args[at++] : (usage_error("a value is missing"), std::string()); };
  while (at < args.size()) {
    const std::string option = args[at++];
    if (option == "--machine-id") {
      c.meta.machine_id = value();
    } else if (option == "--machine-id-file") {
      c.meta.machine_id = first_words(value());
    } else if (option == "--host") {
      c.meta.host = value();
    } else if (option == "--fleet") {
      c.meta.fleet = value();
    } else if (option == "--strict-clock") {
      c.meta.strict_clock = true;
    } else if (option == "--deny-standing-sudo") {
      c.meta.standing_sudo_denied = true;
    } else if (option == "--floor") {
      c.meta.floor.wall = time_of(value());
    } else if (option == "--admit") {
      c.admissions.push_back(admission_of(take(args, at, 2)));
    } else if (option == "--command") {
      if (c.admissions.empty()) usage_error("--command without --admit");
      c.admissions.back().commands.push_back(command_of(take(args, at, 1)));
    } else if (option == "--key") {
      c.keys.push_back(key_of(take(args, at, 3)));
    } else if (option == "--wait") {
      c.waiting.push_back(waiting_of(take(args, at, 3)));
    } else {
      usage_error("unknown option: " + option);
    }
  }
  if (c.meta.machine_id.empty()) c.meta.machine_id = first_words("/etc/machine-id");
  return c;
}

// "@FILE": each line of the file is a word.
std::vector<std::string> expanded(const std::vector<std::string>& words) {
  std::vector<std::string> out;
  for (const std::string& word : words) {
    if (word.empty() || word[0] != '@') {
      out.push_back(word);
      continue;
    }
    std::ifstream in(word.substr(1));
    if (!in) usage_error("no such file: " + word.substr(1));
    for (std::string line; std::getline(in, line);) out.push_back(line);
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args = expanded({argv + 1, argv + argc});
  if (!args.empty() && args[0] == "--seal-defaults") {
    const std::string text{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
    std::cout << sealed_defaults(text);
    return 0;
  }
  if (args.empty() || args[0] == "--help") {
    std::fputs(kHelp, stdout);
    return args.empty() ? 2 : 0;
  }
  const auto image = build_snapshot(parse(args));
  const auto done = image ? publish_snapshot(*image, args[0], false) : Status(image.error());
  if (!done) std::fprintf(stderr, "make_snapshot: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
