#include "cli/events.h"

#include <fmt/core.h>

#include "cli/times.h"
#include "core/dsse.h"
#include "core/json.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

constexpr std::size_t kLongText = 600;

std::string quoted_after(const std::string& text) {
  return text.empty() ? "" : ": " + printable(text, kLongText);
}

Event of_request(const Request& r) {
  std::string what = fmt::format("{} asks for {} on {} for {}", r.subject, r.runbook, target_words(r.targets),
                                 rough_duration(r.duration));
  if (!r.parameters.empty()) what += fmt::format(" with {}", parameter_words(r));
  if (!r.ticket.empty()) what += fmt::format(" ({})", printable(r.ticket, kLongText));
  return {r.requested_at, "request", r.subject, what + quoted_after(r.reason), std::nullopt};
}

Event of_decision(const Decision& d) {
  std::string what = fmt::format("{} {}", d.by, d.approve ? "approves" : "denies");
  if (d.duration) what += fmt::format(" for {}", rough_duration(*d.duration));
  if (d.targets) what += fmt::format(" on {}", target_words(*d.targets));
  return {d.decided_at, d.approve ? "approve" : "deny", d.by, what + quoted_after(d.comment), d.request};
}

Event of_revocation(const Revocation& r) {
  std::string what = r.by + " revokes";
  std::optional<Digest> grant;
  switch (r.form) {
    case Revocation::Form::request:
      grant = r.request;
      break;
    case Revocation::Form::subject:
      what += fmt::format(" everything that {} asked for", r.subject);
      break;
    case Revocation::Form::key:
      what += fmt::format(" the key {}", r.key);
      break;
  }
  return {r.revoked_at, "revoke", r.by, what + quoted_after(r.reason), grant};
}

Event of_payload(const Payload& payload) {
  if (const auto* r = std::get_if<Request>(&payload)) return of_request(*r);
  if (const auto* d = std::get_if<Decision>(&payload)) return of_decision(*d);
  return of_revocation(std::get<Revocation>(payload));
}

// The payload of an entry that nobody here can verify: shown, never judged.
std::optional<Json> payload_of(const LogEntry& entry) {
  const auto envelope = parse_envelope(entry.bytes);
  const auto json = envelope ? parse_json(as_text(envelope->payload)) : Result<Json>(envelope.error());
  return json ? std::optional(json.value()) : std::nullopt;
}

std::int64_t number(const Json& json, std::string_view name) {
  const Json* member = json.find(name);
  return member == nullptr || member->as_int() == nullptr ? 0 : *member->as_int();
}

Event of_unverified(const LogEntry& entry, const std::string& why) {
  Event event{{}, "unknown", "", fmt::format("not by a key of the policy in force: {}", printable(why, kLongText)), {}};
  const auto envelope = parse_envelope(entry.bytes);
  if (!envelope) return event;
  for (const StatementKind kind : {StatementKind::request, StatementKind::decision, StatementKind::revocation}) {
    if (envelope->payload_type != payload_type(kind)) continue;
    const auto payload = parse_payload(kind, as_text(envelope->payload));
    if (!payload) continue;
    event = of_payload(payload.value());
    event.what += " (not verified: the policy in force does not have this key)";
  }
  return event;
}

Event of_log(const LogEntry& entry, EntryKind kind) {
  Event event{{}, kind == EntryKind::policy ? "policy" : kind == EntryKind::epoch ? "epoch" : "unknown", "", "", {}};
  const auto json = payload_of(entry);
  if (kind == EntryKind::policy && json) event.what = fmt::format("policy version {}", number(*json, "version"));
  if (kind == EntryKind::epoch && json) {
    const Json* at = json->find("at");
    const auto time =
        at == nullptr || at->as_string() == nullptr ? Result<UnixTime>(Error{}) : parse_time(*at->as_string());
    if (time) event.at = time.value();
    event.what = fmt::format("what matters begins at entry {}", number(*json, "live_from"));
  }
  if (event.what.empty()) event.what = "an entry of a kind that this program does not know";
  return event;
}

}  // namespace

Event event_of(const Statement& s) {
  if (s.request() != nullptr) {
    Event event = of_request(*s.request());
    event.grant = s.payload_digest();
    return event;
  }
  return s.decision() != nullptr ? of_decision(*s.decision()) : of_revocation(*s.revocation());
}

Event event_of(const LogEntry& entry, const Policy& policy) {
  const EntryKind kind = entry_kind(entry.bytes);
  if (kind != EntryKind::statement) return of_log(entry, kind);
  const auto statement = open_statement(entry.bytes, policy.fleet, policy);
  return statement ? event_of(statement.value()) : of_unverified(entry, statement.error().message);
}

std::string what_to_type(const Grant& grant, const Policy& policy) {
  const Judgement& j = grant.overall();
  if (j.state == GrantState::active) {
    const auto& hosts = grant.answers.front().hosts;
    return fmt::format("next: ssh {}@{}", j.account, hosts.size() == 1 ? hosts.front() : "HOST");
  }
  if (j.state == GrantState::pending && j.step == Step::gates && policy.runbooks.contains(grant.request->runbook))
    return fmt::format("to answer: hallpass approve {}", grant.id());
  return {};
}

}  // namespace hallpass::cli
