#include <algorithm>

#include "core/values/text.h"
#include "notify/config_parts.h"
#include "notify/mail.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxUser = 256;

std::optional<Fault> take_server(const std::string& text, EmailConfig& email) {
  const char* example = "write server = \"smtp://mail.example.org:587\" or \"smtps://mail.example.org\"";
  const Url url = url_of(text);
  if (!url) return Fault{"server is not a URL", example};
  const std::string scheme = part_of(url, CURLUPART_SCHEME), host = part_of(url, CURLUPART_HOST);
  const std::string port = part_of(url, CURLUPART_PORT), path = part_of(url, CURLUPART_PATH);
  if (scheme != "smtp" && scheme != "smtps") return Fault{"server is neither smtp:// nor smtps://", example};
  if (!part_of(url, CURLUPART_USER).empty() || !part_of(url, CURLUPART_PASSWORD).empty()) {
    return Fault{"server holds a user name or a password", "write user = \"...\" and password_file = \"/...\""};
  }
  // To libcurl the path is the name that we greet with.
  if (!path.empty() && path != "/") return Fault{"server has a path", example};
  if (!part_of(url, CURLUPART_QUERY).empty() || !part_of(url, CURLUPART_FRAGMENT).empty()) {
    return Fault{"server has more than a host and a port", example};
  }
  email.server = email.server_shown = scheme + "://" + host + (port.empty() ? "" : ":" + port);
  return std::nullopt;
}

// The address's characters are shown: it is no secret.
void check_address(const std::string& address, const std::string& what, int line, TomlReader& reader) {
  if (is_mail_address(address)) return;
  reader.error(line, what + " \"" + printable(address) + "\" is no e-mail address", "write \"name@example.org\"");
}

void read_account(EmailConfig& email, TomlReader& reader) {
  const Toml* user = reader.optional("user");
  const Toml* file = reader.optional("password_file");
  email.user = reader.string("user").value_or("");
  email.password_file = reader.string("password_file").value_or("");
  const auto unseen = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (user != nullptr && (email.user.empty() || email.user.size() > kMaxUser ||
                          std::any_of(email.user.begin(), email.user.end(), unseen))) {
    reader.error(user->line(), "user is empty, too long or holds control characters", "write user = \"hallpass\"");
  }
  if (file != nullptr && (email.password_file.empty() || email.password_file.front() != '/')) {
    reader.error(file->line(), "password_file \"" + printable(email.password_file) + "\" is not an absolute path",
                 "begin it with /");
  }
  if ((user == nullptr) == (file == nullptr)) return;
  reader.error(user != nullptr ? user->line() : file->line(), "user and password_file belong together",
               user != nullptr ? "write password_file = \"/etc/hallpass/mail-password\"" : "write user = \"...\"");
}

void read_people(EmailConfig& email, TomlReader& reader) {
  const Toml* people = reader.optional("people");
  if (people == nullptr) return;
  if (people->as_table() == nullptr) {
    reader.error(people->line(), "people is no table", "write people = { bob = \"bob@example.org\" }");
    return;
  }
  for (const auto& [name, value] : *people->as_table()) {
    if (!is_name(name)) {
      reader.error(value.line(), "\"" + printable(name) + "\" is no name of a person", "write it as the policy does");
    } else if (value.as_string() == nullptr) {
      reader.error(value.line(), "the address of " + name + " is no string",
                   "write " + name + " = \"name@example.org\"");
    } else {
      check_address(*value.as_string(), "the address of " + name + ",", value.line(), reader);
      email.people[name] = *value.as_string();
    }
  }
}

void read_recipients(EmailConfig& email, TomlReader& reader) {
  for (const auto& [address, line] : reader.strings("to")) {
    check_address(address, "to", line, reader);
    if (email.to.size() == kMaxMailAddresses) {
      reader.error(line, "to has more than " + std::to_string(kMaxMailAddresses) + " addresses",
                   "write to a mailing list instead");
    }
    if (std::find(email.to.begin(), email.to.end(), address) == email.to.end()) email.to.push_back(address);
  }
  const Toml* domain = reader.optional("domain");
  email.domain = reader.string("domain").value_or("");
  if (domain != nullptr && !is_mail_domain(email.domain)) {
    reader.error(domain->line(), "domain \"" + printable(email.domain) + "\" is no domain",
                 "write domain = \"example.org\"");
  }
  read_people(email, reader);
}

}  // namespace

std::string EmailConfig::address_of(const std::string& person) const {
  const auto found = people.find(person);
  if (found != people.end()) return found->second;
  return domain.empty() ? std::string() : person + "@" + domain;
}

void read_email(EmailConfig& email, TomlReader& root, std::vector<Diagnostic>& out) {
  const Toml* table = root.optional("email");
  if (table == nullptr) return;
  if (table->as_table() == nullptr) {
    root.error(table->line(), "email is no table", "begin it with [email]");
    return;
  }
  TomlReader reader(*table, "[email]", out);
  const Toml* server = reader.required("server", "server = \"smtp://mail.example.org:587\"");
  const Toml* from = reader.required("from", "from = \"hallpass@example.org\"");
  email.allow_plain = reader.boolean("allow_plain").value_or(false);
  if (const std::optional<std::string> text = reader.string("server"); server != nullptr && text) {
    if (const std::optional<Fault> fault = take_server(*text, email)) {
      reader.error(server->line(), fault->what, fault->cure);
    }
  }
  if (const std::optional<std::string> text = reader.string("from"); from != nullptr && text) {
    check_address(*text, "from", from->line(), reader);
    email.from = *text;
  }
  read_account(email, reader);
  read_recipients(email, reader);
  if (email.to.empty() && email.domain.empty() && email.people.empty()) {
    reader.warning(table->line(), "[email] names nobody to write to",
                   "write to = [\"ops@example.org\"] for alerts, domain or people for notices");
  }
  reader.finish();
}

}  // namespace hallpass
