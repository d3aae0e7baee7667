#include "cli/signer.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include "cli/process.h"
#include "core/edge/files.h"
#include "core/policy_trust.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

constexpr std::size_t kMaxArmor = std::size_t{64} * 1024;

StatementKind kind_of(const Payload& payload) {
  return static_cast<StatementKind>(payload.index());
}

std::string noun_of(StatementKind kind) {
  return kind == StatementKind::request ? "request" : kind == StatementKind::decision ? "decision" : "revocation";
}

// ssh-keygen signs a file and writes FILE.sig. A file rather than stdin: with the message on stdin it could not ask for
// a passphrase on the terminal.
Result<std::string> run_ssh_keygen(const SigningKey& key, std::string_view name_space, ByteView message,
                                   const std::string& dir) {
  const std::string file = dir + "/message";
  if (auto written = create_file_durably(file, as_text(message), 0600); !written) return written.error();
  std::string key_file = key.path;
  if (key_file.empty()) {
    key_file = dir + "/key.pub";
    if (auto written = create_file_durably(key_file, key.key.line() + "\n", 0600); !written) return written.error();
  }
  const auto finished = run(
      {"ssh-keygen", "-q", "-Y", "sign", "-n", std::string(name_space), "-f", key_file, "-O", "hashalg=sha512", file},
      Streams::terminal);
  if (!finished) return finished.error();
  if (finished->status != 0) {
    return Error{Errc::bad_signature, fmt::format("ssh-keygen did not sign with {} (status {}); nothing was written",
                                                  printable(key.label), finished->status)};
  }
  return read_file(AT_FDCWD, file + ".sig", kMaxArmor);
}

void announce(const SigningKey& key, std::string_view what) {
  if (isatty(STDERR_FILENO) == 0) return;
  // With ssh-agent in between, the agent sees the key blink and ssh-keygen says nothing.
  if (key.key.is_security_key()) {
    fmt::print(stderr, "Signing {} with {}: touch the key when it blinks.\n", what, printable(key.label));
  } else {
    fmt::print(stderr, "Signing {} with {}.\n", what, printable(key.label));
  }
}

std::string presence_words(Presence needed) {
  return needed == Presence::verified ? "verification (PIN or fingerprint)" : "a touch";
}

}  // namespace

Result<Bytes> sign_message(const SigningKey& key, std::string_view name_space, ByteView message,
                           std::string_view what) {
  auto dir = TemporaryDirectory::create();
  if (!dir) return dir.error();
  announce(key, what);
  const auto armor = run_ssh_keygen(key, name_space, message, dir->path());
  if (!armor) return armor.error();
  const auto bad = [](const Error& why) {
    return Error{Errc::bad_signature,
                 fmt::format("what ssh-keygen made does not count: {}; nothing was written", why.message)};
  };
  auto blob = parse_sshsig_armor(armor.value());
  if (!blob) return bad(blob.error());
  const auto parsed = parse_sshsig(blob.value());
  if (!parsed) return bad(parsed.error());
  const auto verified = verify_sshsig(parsed.value(), key.key, name_space, message, {});
  if (!verified) return bad(verified.error());
  return std::move(blob).value();
}

Result<Statement> sign_statement(const Payload& payload, const SigningKey& key, Presence needed, std::string_view fleet,
                                 const KeyRing& keys) {
  const StatementKind kind = kind_of(payload);
  const std::string text = format_payload(payload);
  if (const auto checked = parse_payload(kind, text); !checked) return checked.error();
  const std::string type(payload_type(kind));
  const Bytes message = pre_authentication_encoding(type, as_bytes(text));
  auto blob = sign_message(key, signature_namespace(kind), message, "this " + noun_of(kind));
  if (!blob) return blob.error();

  const ByteView bytes = as_bytes(text);
  const Envelope envelope{type, Bytes(bytes.begin(), bytes.end()), {{key.key.fingerprint(), std::move(blob).value()}}};
  auto statement = open_statement(format_envelope(envelope), fleet, keys);
  if (!statement) {
    return Error{Errc::bad_signature, fmt::format("the signed {} does not verify: {}; nothing was written",
                                                  noun_of(kind), statement.error().message)};
  }
  if (statement->presence() < needed) {
    return Error{Errc::bad_signature,
                 fmt::format("the policy wants {} behind this signature and {} {}; nothing was written",
                             presence_words(needed), printable(key.label),
                             statement->presence() == Presence::none ? "is no security key" : "gave only a touch")};
  }
  return statement;
}

Result<EnvelopeSignature> sign_policy_payload(const SigningKey& key, std::string_view payload) {
  const Bytes message = pre_authentication_encoding(kPolicyPayloadType, as_bytes(payload));
  auto blob = sign_message(key, kPolicyNamespace, message, "this policy");
  if (!blob) return blob.error();
  return EnvelopeSignature{key.key.fingerprint(), std::move(blob).value()};
}

}  // namespace hallpass::cli
