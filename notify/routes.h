// Who gets what: the webhook and the command alerts and notices for rooms, an e-mail address alerts or the notices of
// its person. Each is a receiver of its own, with an order and a pace of its own, so that one full mailbox holds up
// nobody else.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "notify/config.h"
#include "notify/document.h"

namespace hallpass {

inline constexpr char kWebhook[] = "webhook";
inline constexpr char kCommand[] = "command";

class Routes {
 public:
  // config outlives this. unknown: told once of each person that notices are for and that has no address.
  Routes(const NotifyConfig& config, std::function<void(const std::string& person)> unknown)
      : config_(config), unknown_(std::move(unknown)) {}

  // Who gets alerts, and whatever nobody can read.
  std::vector<std::string> everybody();
  std::vector<std::string> of(const DocumentHead& head);
  // The address behind one of the names given so far; empty: that one is no e-mail.
  std::string address_of(const std::string& receiver) const;

 private:
  std::vector<std::string> rooms() const;
  // "email-" and 12 hex digits of the address's digest: it becomes part of a file's name.
  std::string mail_receiver(const std::string& address);

  const NotifyConfig& config_;
  std::function<void(const std::string& person)> unknown_;
  std::map<std::string, std::string> addresses_;
  std::set<std::string> told_;
};

}  // namespace hallpass
