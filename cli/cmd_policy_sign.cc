// `hallpass policy sign`: shows what changes, adds one admin's signature, and keeps a copy of what is in force.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "cli/commands.h"
#include "cli/policy_file.h"
#include "core/edge/files.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

// Two admins may sign in the same moment: reading, merging and writing of the .sig is one step.
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::string& dir) : fd_(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (fd_ >= 0) {
      while (flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
      }
    }
  }
  ~DirectoryLock() {
    if (fd_ >= 0) close(fd_);
  }
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int fd_;
};

struct Signing {
  std::string path;  // policy.toml
  std::string dir;
  std::string known;  // the directory that holds what is in force: `dir`, or the copy of the hub
  std::string text;
  std::shared_ptr<const Policy> policy;
  std::shared_ptr<const Policy> in_force;  // nullptr: this is the first
  Admins trusted;                // who decides: of the policy in force, else of trust.toml, else of the file itself
  std::set<std::string> voided;  // keys that sign no more
  std::string fleet;
};

std::string names(const std::set<std::string>& set) {
  return set.empty() ? "nobody" : join_words({set.begin(), set.end()}, "and");
}

std::shared_ptr<const Policy> newest_in_force(const std::vector<KeptPolicy>& kept, const std::optional<Trust>& trust) {
  for (auto k = kept.rbegin(); k != kept.rend(); ++k) {
    if (check_policy_trust(*k->policy, k->sig, kept, trust).level != PolicyTrust::Level::unsigned_) return k->policy;
  }
  return nullptr;
}

Result<Signing> prepare(Context& context, const std::string& given) {
  const auto path = policy_path(context, given);
  if (!path) return path.error();
  Signing s;
  s.path = path.value();
  s.dir = std::filesystem::path(s.path).parent_path().string();
  if (s.dir.empty()) s.dir = ".";
  s.known = s.dir;
  if (context.on_hub()) {
    // A hub without a policy yet is no obstacle: this may become its first.
    if (const auto workspace = context.open_workspace()) s.known = workspace->dir();
  }
  const auto text = read_file(AT_FDCWD, s.path, kMaxPolicyBytes, true);
  if (!text) return text.error();
  s.text = text.value();
  const CheckedPolicy checked = check_policy(s.text, Context::now());
  if (!checked.policy || has_errors(checked.diagnostics)) {
    return Error{Errc::malformed, join_diagnostics(shorten_home(s.path), checked.diagnostics)};
  }
  s.policy = checked.policy;
  s.fleet = s.policy->fleet;
  const auto trust = load_trust();
  if (!trust) return trust.error();
  s.in_force = newest_in_force(kept_policies(s.known), trust.value());
  s.trusted = s.in_force ? admins_of(*s.in_force) : trust.value() ? trust.value()->admins : admins_of(*s.policy);
  if (const auto workspace = Workspace::open(s.known)) s.voided = voided_keys(workspace->statements(), *s.policy);
  return s;
}

// Versions only go up, and one version is one text.
Status check_version(const Signing& s) {
  const Policy& p = *s.policy;
  if (s.in_force && p.fleet != s.in_force->fleet) {
    return Error{Errc::mismatch,
                 fmt::format("this policy is for fleet {}, the one in force is for {}", p.fleet, s.in_force->fleet)};
  }
  if (s.in_force && s.in_force->digest != p.digest && p.version <= s.in_force->version) {
    return Error{Errc::untrusted, fmt::format("version {} is in force; write version = {} in {} before signing",
                                              s.in_force->version, s.in_force->version + 1, shorten_home(s.path))};
  }
  const std::string kept = fmt::format("{}/policy-{}.toml", s.dir, p.version);
  const auto text = read_file(AT_FDCWD, kept, kMaxPolicyBytes, true);
  if (text && text.value() != s.text) {
    return Error{Errc::untrusted,
                 fmt::format("{} is another policy of the same version; write a higher version", shorten_home(kept))};
  }
  return Unit{};
}

// An admin of the new policy, or one of the old whom the new drops.
Result<Identity> signer_identity(const Context& context, const Signing& s) {
  auto me = context.identity(*s.policy);
  if (me && s.policy->admins.contains(me->name)) return me;
  if (s.in_force) {
    auto old = context.identity(*s.in_force);
    if (old && s.in_force->admins.contains(old->name)) return old;
  }
  if (!me) return me;
  return Error{Errc::untrusted,
               fmt::format("{} is no admin; {} sign policies of {}", me->name, names(s.policy->admins), s.fleet)};
}

void show_changes(Output& out, const Signing& s) {
  const Policy& p = *s.policy;
  for (const Diagnostic& d : lint_policy(p, Context::now())) out.note(format_diagnostic(shorten_home(s.path), d));
  if (!s.in_force) {
    out.note(fmt::format("First policy of {}: version {}, {}, {}, {}", p.fleet, p.version,
                         count_of(p.people.size(), "person", "people"), count_of(p.runbooks.size(), "runbook"),
                         count_of(p.rules.size(), "rule")));
    out.note(fmt::format("Admins: {} ({} must sign)", names(p.admins), p.admin_threshold));
    return;
  }
  if (s.in_force->digest == p.digest) {
    out.note(fmt::format("Version {} is in force already; this only adds a signature.", p.version));
    return;
  }
  out.note(fmt::format("Version {} -> {} of {}:", s.in_force->version, p.version, p.fleet));
  const std::vector<std::string> changes = describe_changes(*s.in_force, p);
  for (const std::string& change : changes) {
    const Style style = change.starts_with('+') ? Style::good : change.starts_with('-') ? Style::bad : Style::waiting;
    out.note("  " + out.styled(printable(change, 2000), style));
  }
  if (changes.empty()) out.note("  nothing that matters: comments, titles or the version only");
  const auto voided = voided_by(p, s.known, Context::now());
  if (!voided) return;
  for (const std::string& line : voided_lines(voided.value())) out.warn(line);
}

Envelope merged(const Signing& s, const EnvelopeSignature& added, const std::string& payload, bool* replaced) {
  const ByteView bytes = as_bytes(payload);
  Envelope fresh{std::string(kPolicyPayloadType), Bytes(bytes.begin(), bytes.end()), {}};
  if (const auto old = read_file(AT_FDCWD, s.path + ".sig", kMaxSignatureFile, true)) {
    const auto envelope = parse_envelope(old.value());
    *replaced = !envelope || envelope->payload != fresh.payload;
    if (!*replaced) fresh.signatures = envelope->signatures;
  }
  std::erase_if(fresh.signatures, [&](const EnvelopeSignature& e) { return e.keyid == added.keyid; });
  fresh.signatures.push_back(added);
  return fresh;
}

struct Signed {
  std::set<std::string> own;      // of the policy's own admins
  std::set<std::string> trusted;  // of those who decide now
  bool complete = false;
  std::string missing;  // what accept_policy says
};

Result<Signed> count_signers(const Signing& s, const std::string& sig) {
  Signed out;
  auto own = policy_signers(*s.policy, sig, admins_of(*s.policy), s.voided);
  if (!own) return own.error();
  auto trusted = policy_signers(*s.policy, sig, s.trusted, s.voided);
  if (!trusted) return trusted.error();
  out.own = std::move(own).value();
  out.trusted = std::move(trusted).value();
  const auto accepted = accept_policy(*s.policy, sig, s.trusted, s.fleet, 1, s.voided);
  out.complete = accepted.has_value();
  if (!accepted) out.missing = accepted.error().message;
  return out;
}

// The copy goes first: a host that sees the new signatures finds the copy too.
Status write_signatures(const Signing& s, const std::string& sig, bool complete) {
  if (complete) {
    const std::string copy = fmt::format("{}/policy-{}.toml", s.dir, s.policy->version);
    if (auto written = write_file_durably(copy, s.text, 0644); !written) return written;
    if (auto written = write_file_durably(copy + ".sig", sig, 0644); !written) return written;
  }
  return write_file_durably(s.path + ".sig", sig, 0644);
}

int report(Context& context, const Signing& s, const Signed& result, bool replaced) {
  Output& out = context.out();
  if (out.json()) {
    JsonArray signers;
    for (const std::string& name : result.own) signers.emplace_back(name);
    out.json(JsonObject{{"version", s.policy->version},
                        {"signers", std::move(signers)},
                        {"threshold", s.policy->admin_threshold},
                        {"complete", Json(result.complete)}});
    return 0;
  }
  if (replaced) out.note("signatures over another version were in policy.toml.sig; they were replaced");
  out.line(fmt::format("Signed version {}: {} of {} needed ({})", s.policy->version, result.own.size(),
                       s.policy->admin_threshold, names(result.own)));
  if (!result.complete) {
    out.line("  " + printable(result.missing, 1000));
    return 0;
  }
  out.line(fmt::format("  complete: hosts will take it; kept as policy-{}.toml", s.policy->version));
  if (context.on_hub()) out.line(fmt::format("  next: hallpass policy publish {}", shell_word(s.path)));
  return 0;
}

}  // namespace

int cmd_policy_sign(Context& context, const PolicyFileArgs& args) {
  Output& out = context.out();
  auto prepared = prepare(context, args.file);
  if (!prepared) return out.fail(prepared.error());
  const Signing& s = prepared.value();
  if (const auto version = check_version(s); !version) return out.fail(version.error());
  const auto me = signer_identity(context, s);
  if (!me) return out.fail(me.error());
  const SigningKey key = me->keys.front();
  if (s.voided.contains(key.key.fingerprint()))
    return out.fail(Exit::refused, fmt::format("key {} was revoked; sign with another", printable(key.label)));
  show_changes(out, s);
  int refused = 0;
  if (!context.agreed(fmt::format("Sign version {}?", s.policy->version), false, &refused)) return refused;

  const std::string payload = policy_payload(s.policy->fleet, s.policy->version, s.policy->digest);
  const auto signature = sign_policy_payload(key, payload);
  if (!signature) return out.fail(signature.error());
  const DirectoryLock lock(s.dir);
  const auto again = read_file(AT_FDCWD, s.path, kMaxPolicyBytes, true);
  if (!again || again.value() != s.text)
    return out.fail(Exit::refused,
                    fmt::format("{} changed meanwhile; nothing was written, sign again", shorten_home(s.path)));
  bool replaced = false;
  const std::string sig = format_envelope(merged(s, signature.value(), payload, &replaced));
  const auto result = count_signers(s, sig);
  if (!result)
    return out.fail(Exit::signing,
                    fmt::format("the signature does not verify: {}; nothing was written", result.error().message));
  if (!result->own.contains(me->name) && !result->trusted.contains(me->name)) {
    return out.fail(Exit::signing, "the signature does not count; nothing was written");
  }
  if (const auto written = write_signatures(s, sig, result->complete); !written) return out.fail(written.error());
  return report(context, s, result.value(), replaced);
}

}  // namespace hallpass::cli
