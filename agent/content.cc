#include "agent/content.h"

#include <algorithm>
#include <map>

#include "host/paths.h"

namespace hallpass {
namespace {

// How near a grant is to admitting; more is nearer. What does not concern this host is told to nobody here.
int nearness(const Grant& g) {
  if (g.state == GrantState::pending) return g.step == Step::not_started ? 5 : 4;
  if (g.state == GrantState::denied || g.state == GrantState::revoked || g.state == GrantState::ended) return 3;
  const bool foreign = g.step == Step::target || g.step == Step::requester;
  return g.state == GrantState::void_ && g.known && !foreign ? 2 : 0;
}

bool nearer(const Grant& a, const Grant& b) {
  if (nearness(a) != nearness(b)) return nearness(a) > nearness(b);
  const UnixTime when_a = nearness(a) == 3 ? a.at : a.requested_at;
  const UnixTime when_b = nearness(b) == 3 ? b.at : b.requested_at;
  if (when_a != when_b) return when_a > when_b;
  return a.request < b.request;
}

}  // namespace

Access access_of(const Policy& policy, const HostIdentity& host) {
  Access access;
  for (const Rule& rule : policy.rules) {
    if (!any_matches(rule.targets, host)) continue;
    for (const std::string& name : rule.runbooks) {
      const auto runbook = policy.runbooks.find(name);
      if (runbook == policy.runbooks.end()) continue;
      for (const std::string& requester : rule.requester_people) {
        const auto person = policy.people.find(requester);
        if (person == policy.people.end()) continue;
        access[{policy.account_for(runbook->second, person->second), requester}].insert(name);
      }
    }
  }
  return access;
}

std::vector<AccountKey> account_keys(const Policy& policy, const Access& access, const std::set<std::string>& voided,
                                     bool drop) {
  std::vector<AccountKey> keys;
  const auto add = [&](const std::string& account, const std::string& subject, const Person& person, bool personal) {
    for (const EnrolledKey& enrolled : person.keys) {
      if (voided.count(enrolled.key.fingerprint()) != 0) continue;
      keys.push_back({account, enrolled.key.fingerprint(), subject, enrolled.key.line(), personal});
    }
  };
  for (const auto& [place, runbooks] : access) {
    const auto& [account, subject] = place;
    const Person& person = policy.people.find(subject)->second;
    add(account, subject, person, person.account == account);
  }
  if (drop) {
    for (const auto& [name, person] : policy.people) add(paths::kDropAccount, name, person, false);
  }
  std::sort(keys.begin(), keys.end(), [](const AccountKey& a, const AccountKey& b) {
    return std::tie(a.account, a.fingerprint) < std::tie(b.account, b.fingerprint);
  });
  const auto same = [](const AccountKey& a, const AccountKey& b) {
    return a.account == b.account && a.fingerprint == b.fingerprint;
  };
  keys.erase(std::unique(keys.begin(), keys.end(), same), keys.end());
  return keys;
}

std::vector<Waiting> waiting_records(const Access& access, const Docket& docket, UnixTime now) {
  std::map<std::pair<std::string_view, std::string_view>, const Grant*> nearest;
  for (const auto& [request, grant] : docket.all()) {
    if (nearness(grant) == 0 || grant.subject.empty() || docket.shares_id(request)) continue;
    if (nearness(grant) == 3 && grant.at + kRememberEnded < now) continue;
    const Grant*& best = nearest[{grant.account, grant.subject}];
    if (best == nullptr || nearer(grant, *best)) best = &grant;
  }
  std::vector<Waiting> records;
  for (const auto& [place, runbooks] : access) {
    Waiting w;
    w.account = place.first;
    w.subject = place.second;
    w.state = "none";
    w.runbooks.assign(runbooks.begin(), runbooks.end());
    if (const auto found = nearest.find({place.first, place.second}); found != nearest.end()) {
      const Grant& g = *found->second;
      w.state = to_string(g.state);
      w.id = grant_id(g.request);
      w.detail = g.detail;
      w.at = g.at;
    }
    records.push_back(std::move(w));
  }
  return records;
}

}  // namespace hallpass
