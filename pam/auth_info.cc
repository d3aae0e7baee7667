#include "pam/auth_info.h"

#include <algorithm>

#include "core/values/bytes.h"

namespace hallpass {
namespace {

// Reads SSH's length-prefixed fields (RFC 4251 section 5); past the end everything is empty and `ok` is false.
struct Reader {
  std::string_view rest;
  bool ok = true;
  std::string_view take(std::size_t n) {
    ok = ok && n <= rest.size();
    const std::string_view out = ok ? rest.substr(0, n) : std::string_view();
    rest.remove_prefix(out.size());
    return out;
  }
  std::size_t number() {
    std::size_t n = 0;
    for (const char c : take(4)) n = n << 8 | static_cast<unsigned char>(c);
    return n;
  }
  std::string_view field() { return take(number()); }
};

void append_field(std::string& blob, std::string_view field) {
  for (int shift = 24; shift >= 0; shift -= 8) blob += static_cast<char>(field.size() >> shift & 0xff);
  blob += field;
}

// Certificate types and how many fields their keys have (OpenSSH PROTOCOL.certkeys).
struct CertificateType {
  std::string_view name, key;
  int fields;
};
constexpr CertificateType kCertificates[] = {
    {"ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", 1},
    {"ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp256", 2},
    {"ssh-rsa-cert-v01@openssh.com", "ssh-rsa", 2},
    {"sk-ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519@openssh.com", 2},
    {"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com", 3},
};

// One publickey line without its first word; empty when it is not `<type> <base64>`.
std::string key_of(std::string_view words) {
  const auto space = words.find(' ');
  if (space == std::string_view::npos || space == 0) return {};
  const auto type = words.substr(0, space), base64 = words.substr(space + 1);
  if (type.find("-cert-") != std::string_view::npos) return certified_key(type, base64);
  const auto blob = base64_decode(base64);
  if (!blob) return {};
  Reader reader{as_text(*blob)};
  return reader.field() == type && reader.ok ? std::string(words) : std::string();
}

}  // namespace

std::string certified_key(std::string_view type, std::string_view base64) {
  const auto* known = std::find_if(std::begin(kCertificates), std::end(kCertificates),
                                   [&](const CertificateType& c) { return c.name == type; });
  const auto bytes = base64_decode(base64);
  if (known == std::end(kCertificates) || !bytes) return {};
  Reader reader{as_text(*bytes)};
  if (reader.field() != type) return {};
  reader.field();  // nonce
  std::string blob;
  append_field(blob, known->key);
  for (int i = 0; i < known->fields; ++i) append_field(blob, reader.field());
  reader.take(8);  // serial
  const bool user = reader.number() == 1;
  if (!reader.ok || !user) return {};
  return std::string(known->key) + " " + base64_encode(as_bytes(blob));
}

AuthInfo parse_auth_info(std::string_view text) {
  AuthInfo info;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.empty()) continue;
    info.readable = true;
    if (line.substr(0, line.find(' ')) != "publickey") continue;  // password, keyboard-interactive/pam, …: name no key
    std::string key = line.size() > 10 ? key_of(line.substr(10)) : std::string();
    if (key.empty()) return {};
    info.keys.push_back(std::move(key));
  }
  return info;
}

}  // namespace hallpass
