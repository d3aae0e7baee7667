// GET /v1/grants: what the hub knows of the grants, judged for no host, as JSON for the CLI and for people's scripts.
// docs/hub-api.md.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/judge.h"
#include "hub/registry.h"

namespace hallpass::hub {

struct GrantQuery {
  std::vector<GrantState> states;  // empty: all
  std::string subject;             // empty: everybody's
  std::string grant;               // canonical id prefix; empty: all
};
// "state=active,pending&subject=alice&grant=k7m3". Error: malformed.
Result<GrantQuery> parse_grant_query(std::string_view query);

// nullopt: not in a state that was asked for.
std::optional<Json> grant_json(const GrantCase& grant, const PolicyInForce& policy, const GrantQuery& query,
                               UnixTime now);
// {"fleet":…,"policy":…,"now":…,"grants":[…]}
std::string grants_json(std::span<const GrantCase> cases, const PolicyInForce& policy, const GrantQuery& query,
                        UnixTime now);

}  // namespace hallpass::hub
