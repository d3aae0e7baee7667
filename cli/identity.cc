#include "cli/identity.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "cli/config.h"
#include "cli/output.h"
#include "cli/process.h"
#include "core/edge/files.h"
#include "core/nearest.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

constexpr std::size_t kMaxKeyFile = std::size_t{64} * 1024;
constexpr std::string_view kPrivateBegin = "-----BEGIN OPENSSH PRIVATE KEY-----";
constexpr std::string_view kPrivateEnd = "-----END OPENSSH PRIVATE KEY-----";

// Takes an SSH string (u32 length, bytes) off the front.
std::optional<ByteView> take_string(ByteView& in) {
  if (in.size() < 4) return std::nullopt;
  const std::size_t length = std::size_t{in[0]} << 24 | std::size_t{in[1]} << 16 | std::size_t{in[2]} << 8 | in[3];
  if (length > in.size() - 4) return std::nullopt;
  const ByteView out = in.subspan(4, length);
  in = in.subspan(4 + length);
  return out;
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find_first_of("\r\n"));
}

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> out;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

std::vector<SigningKey> agent_keys() {
  std::vector<SigningKey> out;
  const char* socket = std::getenv("SSH_AUTH_SOCK");
  if (socket == nullptr || *socket == '\0') return out;
  const auto listed = run({"ssh-add", "-L"}, Streams::captured);
  if (!listed || listed->status != 0) return out;
  for (const std::string& line : split_lines(listed->output)) {
    auto key = PublicKey::from_line(line);
    if (!key) continue;  // a certificate, or a type we do not know
    const std::string_view comment = key_comment(line);
    const std::string name = comment.empty() ? key->fingerprint() : std::string(comment);
    out.push_back({std::move(key).value(), "", name + " (ssh-agent)"});
  }
  return out;
}

std::vector<SigningKey> file_keys() {
  std::vector<SigningKey> out;
  std::vector<std::string> names;
  std::error_code ignored;
  const std::string dir = home_directory() + "/.ssh";
  for (const auto& entry : std::filesystem::directory_iterator(dir, ignored)) {
    if (entry.path().extension() == ".pub") names.push_back(entry.path().string());
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const std::string private_file = name.substr(0, name.size() - 4);
    if (access(private_file.c_str(), R_OK) != 0) continue;
    const auto text = read_file(AT_FDCWD, name, kMaxKeyFile, true);
    if (!text) continue;
    auto key = PublicKey::from_line(first_line(text.value()));
    if (key) out.push_back({std::move(key).value(), private_file, shorten_home(private_file)});
  }
  return out;
}

std::vector<std::string> names_of(const Policy& policy) {
  std::vector<std::string> names;
  for (const auto& [name, person] : policy.people) names.push_back(name);
  for (const auto& [name, service] : policy.services) names.push_back(name);
  return names;
}

const std::vector<EnrolledKey>* enrolled_keys(const Policy& policy, const std::string& name) {
  if (const auto person = policy.people.find(name); person != policy.people.end()) return &person->second.keys;
  if (const auto service = policy.services.find(name); service != policy.services.end()) return &service->second.keys;
  return nullptr;
}

Error nobody_called(const Policy& policy, const std::string& name) {
  const std::string near = nearest_name(name, names_of(policy));
  return {Errc::not_found,
          fmt::format("{} is not in the policy of {}{}; an admin can add [people.{}] with your public key",
                      printable(name), policy.fleet, near.empty() ? "" : fmt::format(" (did you mean {}?)", near),
                      is_name(name) ? name : "NAME")};
}

Result<Identity> with_key_given(const Policy& policy, const std::string& as, const std::string& given) {
  auto key = load_signing_key(given);
  if (!key) return key.error();
  const auto owner = policy.find(key->key);
  if (!owner) {
    return Error{Errc::not_found,
                 fmt::format("key {} is not enrolled in the policy of {}; an admin can add it:\n  keys = [{}]",
                             printable(key->label), policy.fleet, toml_quote(key->key.line()))};
  }
  if (!as.empty() && owner->name != as) {
    return Error{Errc::mismatch, fmt::format("key {} is {}'s, not {}'s; use another --key, or --as {}",
                                             printable(key->label), owner->name, printable(as), owner->name)};
  }
  const bool service = policy.services.contains(owner->name);
  return Identity{owner->name, service, {std::move(key).value()}};
}

Error no_key_for(const Policy& policy, const std::string& name) {
  std::vector<std::string> lines;
  if (const auto* keys = enrolled_keys(policy, name)) {
    for (const EnrolledKey& k : *keys)
      lines.push_back(fmt::format("\n  {} {}", k.key.fingerprint(), printable(k.comment)));
  }
  std::string list;
  for (const std::string& line : lines) list += line;
  return {Errc::not_found,
          fmt::format("none of {}'s enrolled keys is in ssh-agent or ~/.ssh; say which with --key FILE, or key = in "
                      "config.toml. Enrolled:{}",
                      name, list)};
}

Result<Identity> find_by_keys(const Policy& policy) {
  std::vector<SigningKey> keys = available_keys();
  std::set<std::string> owners;
  for (const SigningKey& k : keys) {
    if (const auto owner = policy.find(k.key)) owners.insert(owner->name);
  }
  if (owners.empty()) {
    return Error{
        Errc::not_found,
        "who are you? no key in ssh-agent or ~/.ssh is enrolled in the policy; use --as NAME and --key FILE, or "
        "write me = and key = in " +
            shorten_home(config_directory()) + "/config.toml"};
  }
  if (owners.size() > 1) {
    const std::vector<std::string> names(owners.begin(), owners.end());
    return Error{Errc::mismatch, fmt::format("your keys belong to {}; say who you are with --as {}",
                                             join_words(names, "and"), names[0])};
  }
  return who_am_i(policy, *owners.begin(), "");
}

}  // namespace

Result<PublicKey> public_half(std::string_view file) {
  const auto bad = [](const char* why) { return Error{Errc::malformed, fmt::format("the private key file {}", why)}; };
  const std::size_t begin = file.find(kPrivateBegin);
  const std::size_t end = file.find(kPrivateEnd);
  if (begin == file.npos || end == file.npos || end < begin) return bad("is not in OpenSSH's format");
  std::string text;
  for (const char c : file.substr(begin + kPrivateBegin.size(), end - begin - kPrivateBegin.size())) {
    if (c != '\n' && c != '\r') text += c;
  }
  const auto bytes = base64_decode(text);
  static constexpr std::string_view kMagic{"openssh-key-v1\0", 15};
  if (!bytes || bytes->size() < kMagic.size() + 4 || as_text(bytes.value()).substr(0, kMagic.size()) != kMagic)
    return bad("is damaged");
  ByteView rest = ByteView(bytes.value()).subspan(kMagic.size());
  for (int i = 0; i < 3; ++i) {  // cipher, key derivation, its options
    if (!take_string(rest)) return bad("is damaged");
  }
  if (rest.size() < 4) return bad("is damaged");
  rest = rest.subspan(4);  // number of keys: always 1
  const auto blob = take_string(rest);
  return blob ? PublicKey::from_blob(*blob) : Result<PublicKey>(bad("is damaged"));
}

Result<SigningKey> load_signing_key(const std::string& given) {
  if (given.starts_with("SHA256:")) {
    for (SigningKey& k : agent_keys()) {
      if (k.key.fingerprint() == given) return std::move(k);
    }
    return Error{Errc::not_found,
                 fmt::format("ssh-agent holds no key {}; `ssh-add -l` lists what it has", printable(given))};
  }
  const std::string path = expand_home(given);
  const auto text = read_file(AT_FDCWD, path, kMaxKeyFile, true);
  if (!text) return text.error();
  if (text->find(" PRIVATE KEY-----") == std::string::npos) {
    auto key = PublicKey::from_line(first_line(text.value()));
    if (!key)
      return Error{key.error().code,
                   fmt::format("{} is not an SSH key file: {}", printable(given), key.error().message)};
    return SigningKey{std::move(key).value(), path, shorten_home(path)};
  }
  auto key = public_half(text.value());
  if (!key) {  // an older PEM file: its public half stands beside it
    const auto beside = read_file(AT_FDCWD, path + ".pub", kMaxKeyFile, true);
    if (!beside)
      return Error{key.error().code, fmt::format("{}: {}, and {}.pub cannot be read", printable(given),
                                                 key.error().message, printable(given))};
    key = PublicKey::from_line(first_line(beside.value()));
    if (!key) return key.error();
  }
  return SigningKey{std::move(key).value(), path, shorten_home(path)};
}

std::vector<SigningKey> available_keys() {
  std::vector<SigningKey> keys = agent_keys();
  for (SigningKey& k : file_keys()) {
    const bool known =
        std::any_of(keys.begin(), keys.end(), [&](const SigningKey& other) { return other.key == k.key; });
    if (!known) keys.push_back(std::move(k));
  }
  return keys;
}

Result<Identity> who_am_i(const Policy& policy, const std::string& as, const std::string& key) {
  if (!as.empty() && enrolled_keys(policy, as) == nullptr) return nobody_called(policy, as);
  if (!key.empty()) return with_key_given(policy, as, key);
  if (as.empty()) return find_by_keys(policy);
  Identity me{as, policy.services.contains(as), {}};
  for (SigningKey& k : available_keys()) {
    const auto owner = policy.find(k.key);
    if (owner && owner->name == as) me.keys.push_back(std::move(k));
  }
  if (me.keys.empty()) return no_key_for(policy, as);
  return me;
}

Result<SigningKey> choose_key(const Identity& me, Presence needed) {
  const auto hardware =
      std::find_if(me.keys.begin(), me.keys.end(), [](const SigningKey& k) { return k.key.is_security_key(); });
  if (needed == Presence::none || me.service) return me.keys.front();
  if (hardware != me.keys.end()) return *hardware;
  return Error{Errc::untrusted,
               fmt::format("the policy wants a hardware key's {} behind this signature, and {} is an ordinary key; "
                           "sign with a security key "
                           "(--key), or ask an admin to enrol one",
                           needed == Presence::verified ? "verification" : "touch", printable(me.keys.front().label))};
}

}  // namespace hallpass::cli
