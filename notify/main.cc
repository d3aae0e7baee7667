// hallpass-notify: delivers what hallpass-agent or hallpass-hub has queued to a webhook, a command, or by e-mail.
// hallpass-notify(8).
#include <fcntl.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "core/edge/files.h"
#include "core/edge/harden.h"
#include "notify/config.h"
#include "notify/program.h"
#include "notify/queue.h"

namespace hallpass {
namespace {

constexpr char kConfigFile[] = "/etc/hallpass/notify.toml";
constexpr std::size_t kMaxPassword = 1024;
constexpr int kError = 3, kWarning = 4, kNotice = 5;

struct Options {
  std::string root, config = kConfigFile, queue = kAlertDirectory;
  bool check_config = false;
};

// journald takes the priority from the prefix.
void tell(int priority, const std::string& text) {
  std::fputs(("<" + std::to_string(priority) + ">" + text + "\n").c_str(), stderr);
}

bool read_password(const std::string& root, EmailConfig& email) {
  if (email.password_file.empty()) return true;
  Result<std::string> text = read_file(AT_FDCWD, root + email.password_file, kMaxPassword, true);
  if (!text) {
    tell(kError, "password_file: " + text.error().message + "; it must be readable for this program's user");
    return false;
  }
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  if (text->empty() || text->find_first_of(std::string("\0\r\n", 3)) != std::string::npos) {
    tell(kError, email.password_file + " is not one line with a password");
    return false;
  }
  email.password = std::move(*text);
  return true;
}

// Without a file nobody gets anything, which is a configuration like any other.
std::optional<NotifyConfig> read_configuration(const Options& options) {
  const std::string path = options.root + options.config;
  const Result<std::string> text = read_file(AT_FDCWD, path, kMaxTomlBytes, true);
  if (!text && text.error().code == Errc::not_found) return NotifyConfig{};
  if (!text) {
    tell(kError, path + ": " + text.error().message);
    return std::nullopt;
  }
  std::vector<Diagnostic> diagnostics;
  std::optional<NotifyConfig> config = parse_notify_config(*text, diagnostics);
  for (const Diagnostic& d : diagnostics) std::fputs((format_diagnostic(path, d) + "\n").c_str(), stderr);
  if (config && !read_password(options.root, config->email)) return std::nullopt;
  return config;
}

bool names_nobody(const NotifyConfig& config) {
  return config.webhook.empty() && config.command.empty() && config.email.server.empty();
}

int run(const Options& options) {
  const std::optional<NotifyConfig> config = read_configuration(options);
  if (options.check_config || !config) return config ? 0 : 1;
  const std::string word = options.queue == kAlertDirectory ? "alert" : "notice";
  Routes routes(*config, [](const std::string& person) {
    tell(kWarning,
         "nobody knows where to write to " + person + ", who gets no e-mail: add domain or people to [email]");
  });
  Result<Spool> spool = Spool::open(options.root + options.queue, routes.everybody(),
                                    [&routes](const DocumentHead& head) { return routes.of(head); });
  if (!spool) {
    tell(kError, spool.error().message + "; `systemd-tmpfiles --create` makes it");
    return 1;
  }
  if (names_nobody(*config)) {
    tell(kNotice, options.config + " names neither webhook nor command nor e-mail: " + word + "s are not delivered");
  }
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return 1;
  Program program(*config, *spool, routes, word, tell);
  if (!program.prepare()) {
    tell(kError, "cannot watch the queue");
    return 1;
  }
  return program.run();
}

}  // namespace
}  // namespace hallpass

int main(int argc, char** argv) {
  hallpass::Options options;
  CLI::App app{"Delivers alerts or notices to a webhook, a command, or by e-mail.", "hallpass-notify"};
  app.add_option("--root", options.root, "put DIR before every path")->type_name("DIR");
  app.add_option("--config", options.config, "read FILE instead of " + options.config)->type_name("FILE");
  app.add_option("--queue", options.queue, "deliver what lies in DIR instead of " + options.queue)->type_name("DIR");
  app.add_flag("--check-config", options.check_config, "read the configuration, say what is wrong with it, and end");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  while (!options.root.empty() && options.root.back() == '/') options.root.pop_back();
  hallpass::harden_process();
  return hallpass::run(options);
}
