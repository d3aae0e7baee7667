#include "hub/notices_text.h"

#include <algorithm>
#include <set>

#include "core/explain.h"
#include "core/hash.h"

namespace hallpass::hub {
namespace {

constexpr std::size_t kIdBytes = kDocumentIdDigits / 2;

std::string joined(const std::vector<std::string>& texts, std::string_view between) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : std::string(between)) + text;
  return out;
}

// "restart-web (service = nginx) on host=web-3"
std::string asked(const Request& request) {
  std::string parameters, targets;
  for (const auto& [name, values] : request.parameters) {
    parameters += (parameters.empty() ? "" : "; ") + name + " = " + joined(values, ", ");
  }
  for (const Selector& target : request.targets) targets += (targets.empty() ? "" : " or ") + target.text();
  return request.runbook + (parameters.empty() ? "" : " (" + parameters + ")") + " on " + targets;
}

// What every notice about a grant says.
Notice about(const Statement& taken, const Judgement& after, const Request& request, const Policy& policy) {
  Notice notice;
  notice.at = taken.made_at();
  notice.fleet = request.fleet;
  notice.grant = grant_id(after.request);
  notice.request = format_digest(after.request);
  notice.subject = request.subject;
  notice.runbook = request.runbook;
  const auto runbook = policy.runbooks.find(request.runbook);
  if (runbook != policy.runbooks.end()) notice.title = runbook->second.title;
  notice.account = after.account;
  notice.parameters.assign(request.parameters.begin(), request.parameters.end());
  for (const Selector& target : request.targets) notice.targets.push_back(target.text());
  notice.duration = request.duration;
  notice.reason = request.reason;
  notice.ticket = request.ticket;
  for (const Command& command : after.commands) notice.commands.push_back(describe_command(command));
  return notice;
}

bool waits_for_approval(const RuleResult& result) {
  return result.state == GrantState::pending && result.step == Step::gates;
}

std::string presence_words(const Policy& policy, int rule) {
  for (const Rule& r : policy.rules) {
    if (r.number != rule || r.presence == Presence::none) continue;
    return r.presence == Presence::verified ? ", signed with a FIDO key that asks for a PIN or finger"
                                            : ", signed with a touch on a FIDO key";
  }
  return {};
}

Notice wanted(Notice notice, const Judgement& after, const Request& request, const Policy& policy) {
  std::set<std::string> people;
  std::vector<std::string> missing;
  for (const RuleResult& result : after.rules) {
    if (!waits_for_approval(result)) continue;
    const std::vector<std::string> who = who_can_approve(after, result, policy);
    people.insert(who.begin(), who.end());
    const std::string words = result.detail + presence_words(policy, result.rule);
    if (!who.empty() && std::find(missing.begin(), missing.end(), words) == missing.end()) missing.push_back(words);
  }
  notice.to.assign(people.begin(), people.end());
  notice.event = "approval_wanted";
  notice.message = request.subject + " asks for " + asked(request) + " for " + format_duration(request.duration);
  notice.missing = joined(missing, "; or it ");
  notice.respond_by = request.respond_by;
  notice.command = "hallpass approve " + notice.grant;
  return notice;
}

// "web-3" of "host=web-3" alone.
std::string only_host(const Request& request) {
  constexpr std::string_view kHost = "host=";
  if (request.targets.size() != 1) return {};
  const std::string& text = request.targets.front().text();
  if (text.rfind(kHost, 0) != 0 || text.find(',') != std::string::npos) return {};
  return text.substr(kHost.size());
}

void say_granted(Notice& notice, const Judgement& after, const Request& request) {
  notice.event = "approved";
  notice.from = after.window->start;
  notice.until = after.window->end;
  const std::string host = only_host(request);
  notice.command = "ssh " + after.account + "@" + (host.empty() ? "HOST" : host);
  const bool later = after.state == GrantState::pending;
  notice.message = asked(request) + " is granted to " + request.subject +
                   (later ? " from " + format_time(*notice.from) : "") + " until " + format_time(*notice.until) +
                   (after.approvers.empty() ? "" : ", approved by " + joined(after.approvers, " and "));
}

void say_over(Notice& notice, const char* event, const std::string& what, const Request& request) {
  notice.event = event;
  notice.message = notice.by + " " + what + " " + request.subject + "'s " + asked(request);
  notice.command = "hallpass explain " + notice.grant;
}

// To the requester, of what somebody decided.
Notice decided(Notice notice, const Statement& taken, const Judgement& after, const Request& request) {
  notice.to = {request.subject};
  notice.by = taken.signer();
  const Decision* decision = taken.decision();
  notice.comment = decision != nullptr ? decision->comment : taken.revocation()->reason;
  if (decision == nullptr) {
    say_over(notice, "revoked", "revoked", request);
  } else if (!decision->approve) {
    say_over(notice, "denied", "denied", request);
  } else if (after.window && (after.state == GrantState::active || after.state == GrantState::pending)) {
    say_granted(notice, after, request);
  } else {
    say_over(notice, "not_granted", "approved", request);
    notice.missing = after.detail;
  }
  return notice;
}

}  // namespace

std::vector<Notice> notices_of(const Statement& taken, const Judgement& before, const Judgement& after,
                               const Request& request, const Policy& policy) {
  Notice notice = about(taken, after, request, policy);
  if (taken.request() != nullptr) {
    notice = wanted(std::move(notice), after, request, policy);
  } else if (before.state != after.state || before.step != after.step) {
    notice = decided(std::move(notice), taken, after, request);
  }
  if (notice.to.empty()) return {};
  std::vector<Notice> all{notice};
  for (const std::string& person : notice.to) {
    Notice mail = notice;
    mail.by_mail = true;
    mail.to = {person};
    all.push_back(std::move(mail));
  }
  return all;
}

std::string notice_id(const Digest& statement, const Digest& grant, const Notice& notice) {
  const std::string about = "hallpass notice\n" + format_digest(statement) + "\n" + format_digest(grant) + "\n" +
                            (notice.by_mail ? "mail\n" + notice.to.front() : "room") + "\n";
  return hex_encode(ByteView(sha256(about).bytes).first(kIdBytes));
}

}  // namespace hallpass::hub
