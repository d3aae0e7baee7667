#include "hub/grants_json.h"

#include <algorithm>

#include "core/explain.h"
#include "core/values/text.h"

namespace hallpass::hub {
namespace {

constexpr GrantState kStates[] = {GrantState::void_, GrantState::pending, GrantState::active,
                                  GrantState::ended, GrantState::denied,  GrantState::revoked};

Error malformed(std::string message) {
  return {Errc::malformed, std::move(message)};
}

Status take_states(std::string_view list, GrantQuery& query) {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    const std::string_view name = list.substr(0, end);
    const auto* state =
        std::find_if(std::begin(kStates), std::end(kStates), [&](GrantState s) { return to_string(s) == name; });
    if (state == std::end(kStates)) {
      return malformed("state=" + printable(name, 40) +
                       " is none of active, pending, ended, denied, revoked and void; separate several by commas");
    }
    query.states.push_back(*state);
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return Unit{};
}

Status take_member(std::string_view name, std::string_view value, GrantQuery& query) {
  if (value.empty()) return malformed("the query's \"" + printable(name, 40) + "\" has no value");
  if (name == "state") return take_states(value, query);
  if (name == "subject") {
    if (!is_name(value)) return malformed("subject=" + printable(value, 40) + " is not the name of a person");
    query.subject = value;
    return Unit{};
  }
  if (name == "grant") {
    const Result<std::string> prefix = parse_grant_id_prefix(value);
    if (!prefix) return malformed("grant=" + printable(value, 40) + " is not a grant's id, as k7m3-9x2d-q4fh");
    query.grant = *prefix;
    return Unit{};
  }
  return malformed("the query's \"" + printable(name, 40) + "\" is none of state, subject and grant");
}

Json strings(const auto& texts) {
  JsonArray array;
  for (const auto& text : texts) array.emplace_back(std::string_view(text));
  return array;
}

Json statement_json(const KnownStatement& known) {
  const Statement& s = known.statement;
  const char* kind = s.request() != nullptr ? "request" : s.decision() != nullptr ? "decision" : "revocation";
  const Json index = known.index ? Json(static_cast<std::int64_t>(*known.index)) : Json(nullptr);
  JsonObject out{{"index", index}, {"kind", kind}, {"by", s.signer()}, {"at", format_time(s.made_at())}};
  if (const Decision* decision = s.decision()) {
    out.emplace_back("decision", decision->approve ? "approve" : "deny");
    out.emplace_back("comment", decision->comment);
  }
  if (const Revocation* revocation = s.revocation()) out.emplace_back("reason", revocation->reason);
  return out;
}

std::vector<std::string> texts_of(const std::vector<Selector>& selectors) {
  std::vector<std::string> out;
  for (const Selector& selector : selectors) out.push_back(selector.text());
  return out;
}

// The gates of the rule that decides; of none: those that wait.
Json gates_json(const Judgement& j) {
  JsonArray out;
  for (const RuleResult& rule : j.rules) {
    if (j.rule != 0 && rule.rule != j.rule) continue;
    for (const GateResult& gate : rule.gates) {
      out.emplace_back(JsonObject{{"rule", rule.rule},
                                  {"from", strings(gate.from)},
                                  {"count", gate.count},
                                  {"filled_by", strings(gate.filled_by)}});
    }
  }
  return out;
}

}  // namespace

Result<GrantQuery> parse_grant_query(std::string_view query) {
  GrantQuery out;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view member = query.substr(0, end);
    const std::size_t equals = std::min(member.find('='), member.size());
    const std::string_view value = member.substr(std::min(equals + 1, member.size()));
    if (const Status ok = take_member(member.substr(0, equals), value, out); !ok) return ok.error();
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return out;
}

std::optional<Json> grant_json(const GrantCase& grant, const PolicyInForce& policy, const GrantQuery& query,
                               UnixTime now) {
  if (!query.grant.empty() && !grant_id_has_prefix(grant.digest, query.grant)) return std::nullopt;
  const Judgement j = judge(grant.digest, statements_of(grant.bearing), *policy.policy, nullptr, now, policy.zones);
  if (!query.states.empty() && std::find(query.states.begin(), query.states.end(), j.state) == query.states.end()) {
    return std::nullopt;
  }
  const Request& request = *grant.own.front().statement.request();
  JsonArray statements;
  for (const KnownStatement& known : grant.own) statements.push_back(statement_json(known));
  const Json judgement = to_json_value(j);
  const auto same = [&](const char* name) { return *judgement.find(name); };
  return JsonObject{{"id", grant_id(grant.digest)},
                    {"digest", format_digest(grant.digest)},
                    {"state", same("state")},
                    {"detail", j.detail},
                    {"subject", request.subject},
                    {"account", j.account},
                    {"runbook", request.runbook},
                    {"targets", strings(texts_of(request.targets))},
                    {"duration", request.duration.count()},
                    {"reason", request.reason},
                    {"ticket", request.ticket},
                    {"requested_at", format_time(request.requested_at)},
                    {"respond_by", format_time(request.respond_by)},
                    {"window", same("window")},
                    {"approvers", same("approvers")},
                    {"ended_by", j.ended_by},
                    {"gates", gates_json(j)},
                    {"statements", std::move(statements)},
                    {"judgement", judgement}};
}

std::string grants_json(std::span<const GrantCase> cases, const PolicyInForce& policy, const GrantQuery& query,
                        UnixTime now) {
  JsonArray grants;
  for (const GrantCase& grant : cases) {
    if (auto json = grant_json(grant, policy, query, now)) grants.push_back(*std::move(json));
  }
  return to_json(JsonObject{{"fleet", policy.policy->fleet},
                            {"policy", policy.policy->version},
                            {"now", format_time(now)},
                            {"grants", std::move(grants)}}) +
         "\n";
}

}  // namespace hallpass::hub
