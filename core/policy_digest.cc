// What approvers agree to, as one digest.
//
// Runbook digest: SHA-256 of this JSON object in RFC 8785 form (members sorted, no white space; UTF-8):
//
//   {"account":"self",                        "self" or the shared account
//    "default_duration":1800,                 seconds
//    "hallpass":"runbook/1",
//    "max_duration":7200,                     seconds
//    "parameters":{"service":["nginx","php8.2-fpm"]},     choices sorted by bytes; {} when there are none
//    "sudo":[                                 in the order of the file; [] when there are none
//      {"arguments":["{restart,reload}","${service}"],     tokens as written; kind "edit": the files; otherwise []
//       "as_group":"",                        "" is the user's own groups
//       "as_user":"root",
//       "env_keep":[],                        sorted by bytes
//       "executables":["/usr/bin/systemctl"], sorted by bytes; [] unless kind is "run"
//       "kind":"run",                         "run", "shell", "any", "edit"
//       "password":false,
//       "sha256":"",                          64 small hex digits, or ""
//       "subcommands":"allow",                "allow", "deny", "check"
//       "unbounded":false}]}
//
// Every member is always there, with its default where the policy is silent, so that writing a default out changes
// nothing. Lists whose order means nothing are sorted. The runbook's name and title are not part of it, nor shared_sudo
// (which only accepts what account and sudo already say).
#include <algorithm>

#include "core/hash.h"
#include "core/json.h"
#include "core/policy.h"

namespace hallpass {
namespace {

JsonArray strings(const std::vector<std::string>& values) {
  JsonArray array;
  for (const std::string& value : values) array.emplace_back(value);
  return array;
}

JsonArray sorted(std::vector<std::string> values) {
  std::sort(values.begin(), values.end());
  return strings(values);
}

const char* kind_word(Command::Kind kind) {
  switch (kind) {
    case Command::Kind::run:
      return "run";
    case Command::Kind::shell:
      return "shell";
    case Command::Kind::any:
      return "any";
    case Command::Kind::edit:
      return "edit";
  }
  std::abort();
}

const char* subcommands_word(Subcommands subcommands) {
  switch (subcommands) {
    case Subcommands::allow:
      return "allow";
    case Subcommands::deny:
      return "deny";
    case Subcommands::check:
      return "check";
  }
  std::abort();
}

Json command_json(const Command& command) {
  return JsonObject{{"arguments", strings(command.arguments)},
                    {"as_group", command.as_group},
                    {"as_user", command.as_user},
                    {"env_keep", sorted(command.env_keep)},
                    {"executables", sorted(command.executables)},
                    {"kind", kind_word(command.kind)},
                    {"password", command.password},
                    {"sha256", command.sha256},
                    {"subcommands", subcommands_word(command.subcommands)},
                    {"unbounded", command.unbounded}};
}

}  // namespace

Digest runbook_digest(const Runbook& runbook) {
  JsonObject parameters;
  for (const auto& [name, choices] : runbook.parameters) parameters.emplace_back(name, sorted(choices));
  JsonArray sudo;
  for (const Command& command : runbook.sudo) sudo.push_back(command_json(command));
  return sha256(to_canonical_json(JsonObject{{"account", runbook.account},
                                             {"default_duration", std::int64_t{runbook.default_duration.count()}},
                                             {"hallpass", "runbook/1"},
                                             {"max_duration", std::int64_t{runbook.max_duration.count()}},
                                             {"parameters", std::move(parameters)},
                                             {"sudo", std::move(sudo)}}));
}

}  // namespace hallpass
