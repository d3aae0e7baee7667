#include "notify/routes.h"

#include "core/hash.h"

namespace hallpass {
namespace {

constexpr std::size_t kDigestBytes = 6;

}  // namespace

std::vector<std::string> Routes::rooms() const {
  std::vector<std::string> names;
  if (!config_.webhook.empty()) names.emplace_back(kWebhook);
  if (!config_.command.empty()) names.emplace_back(kCommand);
  return names;
}

std::string Routes::mail_receiver(const std::string& address) {
  std::string name = "email-" + hex_encode(ByteView(sha256(address).bytes).first(kDigestBytes));
  addresses_[name] = address;
  return name;
}

std::vector<std::string> Routes::everybody() {
  std::vector<std::string> names = rooms();
  for (const std::string& address : config_.email.to) names.push_back(mail_receiver(address));
  return names;
}

std::vector<std::string> Routes::of(const DocumentHead& head) {
  if (head.kind == DocumentHead::Kind::alert) return everybody();
  if (head.kind == DocumentHead::Kind::room_notice) return rooms();
  if (config_.email.server.empty()) return {};
  const std::string address = config_.email.address_of(head.person);
  if (!address.empty()) return {mail_receiver(address)};
  if (told_.insert(head.person).second) unknown_(head.person);
  return {};
}

std::string Routes::address_of(const std::string& receiver) const {
  const auto found = addresses_.find(receiver);
  return found == addresses_.end() ? std::string() : found->second;
}

}  // namespace hallpass
