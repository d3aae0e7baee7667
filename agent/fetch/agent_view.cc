#include "agent/fetch/agent_view.h"

#include "core/json.h"

namespace hallpass {
namespace {

const Json* member(const Json& status, const char* table, const char* name) {
  const Json* found = status.find(table);
  return found == nullptr ? nullptr : found->find(name);
}

std::int64_t number(const Json* value) {
  return value != nullptr && value->as_int() != nullptr && *value->as_int() > 0 ? *value->as_int() : 0;
}

}  // namespace

AgentView parse_agent_status(std::string_view json) {
  const Result<Json> status = parse_json(json);
  if (!status) return {};
  AgentView view;
  view.policy = number(member(*status, "policy", "version"));
  const Json* root = member(*status, "log", "root");
  if (root == nullptr || root->as_string() == nullptr) return view;
  const Result<Digest> digest = parse_digest(*root->as_string());
  if (!digest) return view;
  view.log_size = static_cast<std::uint64_t>(number(member(*status, "log", "size")));
  view.log_root = *digest;
  return view;
}

}  // namespace hallpass
