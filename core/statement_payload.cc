#include "core/statement.h"

#include <algorithm>
#include <cstdlib>

#include "core/json.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxTargets = 64;
constexpr std::size_t kMaxParameters = 64;
constexpr std::size_t kMaxParameterValues = 64;
constexpr std::size_t kNonceCharacters = 22;  // 16 bytes

struct KindWords {
  StatementKind kind;
  std::string_view type;
  std::string_view name_space;
  std::string_view version;  // of the `hallpass` member
  std::string_view what;     // for messages
};
constexpr KindWords kKinds[] = {
    {StatementKind::request, "application/vnd.hallpass.request.v1+json", "request@hallpass", "request/1", "a request"},
    {StatementKind::decision, "application/vnd.hallpass.decision.v1+json", "decision@hallpass", "decision/1",
     "a decision"},
    {StatementKind::revocation, "application/vnd.hallpass.revocation.v1+json", "revocation@hallpass", "revocation/1",
     "a revocation"},
};

const KindWords& words(StatementKind kind) {
  return kKinds[static_cast<std::size_t>(kind)];
}

// Readers of one member each. A fault is noted in `in` under the member's name; what they return then is never used.

std::string read_name(JsonReader& in, std::string_view member) {
  std::string text = in.string(member);
  if (!is_name(text))
    in.fail(member, "must be a name: a letter or _, then letters, digits, _ and -, at most 32, lower case");
  return text;
}

std::string read_text(JsonReader& in, std::string_view member) {
  std::string text = in.string(member);
  if (const Status ok = check_text(text); !ok) in.fail(member, ok.error().message);
  return text;
}

UnixTime read_time(JsonReader& in, std::string_view member) {
  const Result<UnixTime> time = parse_time(in.string(member));
  if (!time) in.fail(member, time.error().message);
  return time ? *time : UnixTime{};
}

Digest read_digest(JsonReader& in, std::string_view member) {
  const Result<Digest> digest = parse_digest(in.string(member));
  if (!digest) in.fail(member, "must be sha256: and 64 lower-case hex digits");
  return digest ? *digest : Digest{};
}

Seconds read_duration(JsonReader& in, std::string_view member) {
  return Seconds{in.integer(member, 1, kMaxDuration.count())};
}

std::vector<Selector> read_targets(JsonReader& in, std::string_view member, const Json* value) {
  std::vector<Selector> targets;
  const JsonArray* list = value == nullptr ? nullptr : value->as_array();
  if (list == nullptr || list->empty() || list->size() > kMaxTargets) {
    in.fail(member, "must be a list of 1 to 64 targets");
    return targets;
  }
  for (const Json& item : *list) {
    const std::string* text = item.as_string();
    if (text == nullptr) {
      in.fail(member, "must be a list of strings");
      return targets;
    }
    Result<Selector> target = Selector::parse(*text);
    if (!target) {
      in.fail(member, target.error().message);
      return targets;
    }
    targets.push_back(std::move(*target));
  }
  return targets;
}

// The values chosen for one parameter; empty after a fault, which no good parameter is.
std::vector<std::string> read_values(JsonReader& in, const std::string& parameter, const Json& value) {
  const auto fault = [&](const std::string& why) {
    in.fail("parameters", "parameter " + printable(parameter, 40) + " " + why);
    return std::vector<std::string>{};
  };
  const JsonArray* list = value.as_array();
  if (list == nullptr || list->empty() || list->size() > kMaxParameterValues) {
    return fault("must be a list of 1 to 64 values");
  }
  std::vector<std::string> values;
  for (const Json& item : *list) {
    const std::string* text = item.as_string();
    if (text == nullptr || text->empty()) return fault("must be a list of strings that are not empty");
    if (const Status ok = check_text(*text); !ok) return fault("has a value that " + ok.error().message);
    if (std::find(values.begin(), values.end(), *text) != values.end()) return fault("names a value twice");
    values.push_back(*text);
  }
  return values;
}

std::map<std::string, std::vector<std::string>> read_parameters(JsonReader& in) {
  std::map<std::string, std::vector<std::string>> parameters;
  const Json* value = in.any("parameters");
  const JsonObject* object = value == nullptr ? nullptr : value->as_object();
  if (object == nullptr || object->size() > kMaxParameters) {
    in.fail("parameters", "must be an object of at most 64 parameters");
    return parameters;
  }
  for (const auto& [name, values] : *object) {
    if (!is_name(name)) in.fail("parameters", "has a parameter whose name is no name: " + printable(name, 40));
    parameters.emplace(name, read_values(in, name, values));
  }
  return parameters;
}

bool is_base64url(std::string_view text) {
  return base64url_decode(text).has_value();
}

// "SHA256:" and the unpadded base64 of 32 bytes.
bool is_fingerprint(std::string_view text) {
  constexpr std::string_view kPrefix = "SHA256:";
  if (text.substr(0, kPrefix.size()) != kPrefix || text.size() != kPrefix.size() + 43) return false;
  const Result<Bytes> bytes = base64_decode(std::string(text.substr(kPrefix.size())) + "=");
  return bytes && bytes->size() == 32;
}

Request read_request(JsonReader& in) {
  Request r;
  r.fleet = read_name(in, "fleet");
  r.subject = read_name(in, "subject");
  r.runbook = read_name(in, "runbook");
  r.runbook_digest = read_digest(in, "runbook_digest");
  r.parameters = read_parameters(in);
  r.targets = read_targets(in, "targets", in.any("targets"));
  r.duration = read_duration(in, "duration");
  r.reason = read_text(in, "reason");
  r.ticket = read_text(in, "ticket");
  r.requested_at = read_time(in, "requested_at");
  r.respond_by = read_time(in, "respond_by");
  if (in.nullable("not_before") != nullptr) r.not_before = read_time(in, "not_before");
  r.nonce = in.string("nonce");
  if (r.nonce.size() != kNonceCharacters || !is_base64url(r.nonce)) {
    in.fail("nonce", "must be 22 base64url characters (16 random bytes)");
  }
  return r;
}

Decision read_decision(JsonReader& in) {
  Decision d;
  d.fleet = read_name(in, "fleet");
  d.request = read_digest(in, "request");
  d.by = read_name(in, "by");
  const std::string verdict = in.string("decision");
  d.approve = verdict == "approve";
  if (verdict != "approve" && verdict != "deny") in.fail("decision", "must be approve or deny");
  if (in.nullable("duration") != nullptr) d.duration = read_duration(in, "duration");
  if (const Json* targets = in.nullable("targets"); targets != nullptr)
    d.targets = read_targets(in, "targets", targets);
  d.decided_at = read_time(in, "decided_at");
  d.comment = read_text(in, "comment");
  return d;
}

Revocation read_revocation(JsonReader& in) {
  Revocation r;
  r.fleet = read_name(in, "fleet");
  const int forms = int{in.has("request")} + int{in.has("subject")} + int{in.has("key")};
  if (forms != 1) in.fail("request", "exactly one of request, subject and key must be there");
  if (in.has("request")) {
    r.form = Revocation::Form::request;
    r.request = read_digest(in, "request");
  } else if (in.has("subject")) {
    r.form = Revocation::Form::subject;
    r.subject = read_name(in, "subject");
  } else if (in.has("key")) {
    r.form = Revocation::Form::key;
    r.key = in.string("key");
    if (!is_fingerprint(r.key)) in.fail("key", "must be a key's fingerprint, SHA256: and 43 base64 characters");
  }
  r.by = read_name(in, "by");
  r.revoked_at = read_time(in, "revoked_at");
  r.reason = read_text(in, "reason");
  return r;
}

// The `hallpass` member, before anything else is looked at: another version may have other members.
Status check_version(const KindWords& kind, const Json& json) {
  if (json.as_object() == nullptr) return Error{Errc::malformed, std::string(kind.what) + " must be a JSON object"};
  const Json* member = json.find("hallpass");
  const std::string* version = member == nullptr ? nullptr : member->as_string();
  if (version == nullptr) {
    return Error{Errc::malformed, std::string(kind.what) + ": the member hallpass is missing or no string"};
  }
  if (*version == kind.version) return Unit{};
  const std::string_view stem = kind.version.substr(0, kind.version.find('/') + 1);
  if (std::string_view(*version).substr(0, stem.size()) == stem) {
    return Error{Errc::unsupported, std::string(kind.what) + ": the version " + printable(*version, 40) +
                                        " is not known here; this program reads " + std::string(kind.version)};
  }
  return Error{Errc::mismatch,
               "the member hallpass says " + printable(*version, 40) + ", not " + std::string(kind.version)};
}

template <class T>
Result<Payload> finished(JsonReader& in, T value) {
  if (const Status ok = in.finish(); !ok) return ok.error();
  return Payload{std::move(value)};
}

Json to_json_array(const std::vector<std::string>& values) {
  JsonArray array;
  for (const std::string& value : values) array.emplace_back(value);
  return array;
}

Json to_json_array(const std::vector<Selector>& targets) {
  JsonArray array;
  for (const Selector& target : targets) array.emplace_back(target.text());
  return array;
}

// Members in the order of docs/formats.md: what people sign should read the same everywhere.
JsonObject to_object(const Request& r) {
  JsonObject parameters;
  for (const auto& [name, values] : r.parameters) parameters.emplace_back(name, to_json_array(values));
  return {
      {"hallpass", words(StatementKind::request).version},
      {"fleet", r.fleet},
      {"subject", r.subject},
      {"runbook", r.runbook},
      {"runbook_digest", format_digest(r.runbook_digest)},
      {"parameters", std::move(parameters)},
      {"targets", to_json_array(r.targets)},
      {"duration", std::int64_t{r.duration.count()}},
      {"reason", r.reason},
      {"ticket", r.ticket},
      {"requested_at", format_time(r.requested_at)},
      {"respond_by", format_time(r.respond_by)},
      {"not_before", r.not_before ? Json(format_time(*r.not_before)) : Json(nullptr)},
      {"nonce", r.nonce},
  };
}

JsonObject to_object(const Decision& d) {
  return {
      {"hallpass", words(StatementKind::decision).version},
      {"fleet", d.fleet},
      {"request", format_digest(d.request)},
      {"by", d.by},
      {"decision", d.approve ? "approve" : "deny"},
      {"duration", d.duration ? Json(std::int64_t{d.duration->count()}) : Json(nullptr)},
      {"targets", d.targets ? to_json_array(*d.targets) : Json(nullptr)},
      {"decided_at", format_time(d.decided_at)},
      {"comment", d.comment},
  };
}

JsonObject to_object(const Revocation& r) {
  JsonObject object{{"hallpass", words(StatementKind::revocation).version}, {"fleet", r.fleet}};
  switch (r.form) {
    case Revocation::Form::request:
      object.emplace_back("request", format_digest(r.request));
      break;
    case Revocation::Form::subject:
      object.emplace_back("subject", r.subject);
      break;
    case Revocation::Form::key:
      object.emplace_back("key", r.key);
      break;
  }
  object.emplace_back("by", r.by);
  object.emplace_back("revoked_at", format_time(r.revoked_at));
  object.emplace_back("reason", r.reason);
  return object;
}

}  // namespace

std::string_view payload_type(StatementKind kind) {
  return words(kind).type;
}
std::string_view signature_namespace(StatementKind kind) {
  return words(kind).name_space;
}

Result<Payload> parse_payload(StatementKind kind, std::string_view json) {
  const KindWords& expected = words(kind);
  if (json.size() > kMaxPayloadBytes) {
    return Error{Errc::too_large, std::string(expected.what) + " may have 32 KiB at most"};
  }
  const Result<Json> parsed = parse_json(json);
  if (!parsed) return parsed.error();
  if (const Status ok = check_version(expected, *parsed); !ok) return ok.error();
  JsonReader in(*parsed, std::string(expected.what));
  in.string("hallpass");
  switch (kind) {
    case StatementKind::request:
      return finished(in, read_request(in));
    case StatementKind::decision:
      return finished(in, read_decision(in));
    case StatementKind::revocation:
      return finished(in, read_revocation(in));
  }
  std::abort();
}

std::string format_payload(const Payload& payload) {
  return to_json(std::visit([](const auto& p) { return to_object(p); }, payload));
}

}  // namespace hallpass
