// One notice as it lies in the hub's queue and as receivers of plain JSON get it. docs/operations.md, "Notices".
//
//   {"hallpass":"notice/1","id":"<32 hex>","channel":"room","at":"...","event":"approval_wanted","to":["ana","bob"],
//    "message":"...","fleet":"...","grant":"k7m3-9x2d-q4fh","request":"sha256:...","subject":"alice",
//    "runbook":"restart-web","title":"...","account":"alice","parameters":{"service":["nginx"]},"targets":["host=web-3"],
//    "duration":1800,"reason":"...","ticket":"...","commands":["as root: ..."],"missing":"waits for 1 approval of
//    leads", "respond_by":"...","by":"","comment":"","command":"hallpass approve k7m3-9x2d-q4fh"}
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/values/time.h"
#include "notify/document.h"

namespace hallpass {

inline constexpr std::size_t kMaxNoticePeople = 500;  // in `to`; more are left out

struct Notice {
  bool by_mail = false;         // to the one person in `to`; else to rooms (webhook, command), for all of them
  std::vector<std::string> to;  // names of the policy
  UnixTime at{};                // when what it tells was signed
  std::string event;            // approval_wanted, approved, denied, revoked, not_granted
  std::string message;          // one clause
  std::string fleet, grant, request, subject, runbook, title, account;
  std::vector<std::pair<std::string, std::vector<std::string>>> parameters;
  std::vector<std::string> targets;
  Seconds duration{};
  std::string reason, ticket;
  std::vector<std::string> commands;  // what may be run under sudo, for people
  std::string missing;                // empty: nothing
  std::optional<UnixTime> respond_by, from, until;
  std::string by, comment;  // who decided, and what he says to it
  std::string command;      // to type; may be empty
};

// Never over kMaxDocumentBytes: texts are made printable and cut, lists are cut.
std::string notice_json(const Notice& notice, std::string_view id);

}  // namespace hallpass
