// hallpass-agent: verifies what lies in the directories and publishes who is admitted to this host. hallpass-agent(8).
#include <fcntl.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "agent/agent.h"
#include "agent/alerts.h"
#include "agent/event_loop.h"
#include "agent/status_file.h"
#include "core/edge/config_file.h"
#include "core/edge/files.h"
#include "core/edge/harden.h"
#include "core/edge/tzdb.h"

namespace hallpass {
namespace {

struct Options {
  std::string root;
  bool once = false;
  bool check_config = false;
};

struct Configuration {
  HostConfig host;
  Trust trust;
};

std::optional<Configuration> read_configuration(const Layout& layout, std::string& faults) {
  std::optional<HostConfig> host = read_config_file<HostConfig>(layout.host_config(), parse_host_config, faults);
  std::optional<Trust> trust = read_config_file<Trust>(layout.trust(), parse_trust, faults);
  if (!host || !trust) return std::nullopt;
  return Configuration{std::move(*host), std::move(*trust)};
}

std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n')) text.replace(at, 1, "; ");
  return text;
}

// Under systemd it is a stream to journald: one that hangs must not hold up the end of a session.
void let_stderr_drop() {
  struct stat st {};
  if (fstat(STDERR_FILENO, &st) == 0 && S_ISSOCK(st.st_mode))
    fcntl(STDERR_FILENO, F_SETFL, fcntl(STDERR_FILENO, F_GETFL) | O_NONBLOCK);
}

void make_directory(const std::string& path, mode_t mode) {
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    mkdir(path.substr(0, at).c_str(), 0755);
  }
  if (mkdir(path.c_str(), mode) == 0) chmod(path.c_str(), mode);  // whatever the umask
}

// While no configuration says the name.
std::string kernel_host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

std::unique_ptr<Agent> make_agent(const Layout& layout, Configuration configuration, Journal& journal,
                                  SnapshotStore& store) {
  AgentSeams seams;
  seams.clock = read_clock;
  seams.zones = load_zones;
  seams.journal = &journal;
  seams.store = &store;
  seams.alive = [] { sd_notify(0, "WATCHDOG=1"); };
  return std::make_unique<Agent>(layout, std::move(configuration.host), std::move(configuration.trust),
                                 std::move(seams));
}

int run_once(Agent& agent, const Layout& layout) {
  constexpr int kPortion_ms = 1000;
  while (agent.work(kPortion_ms)) continue;
  agent.time_passed();
  while (const std::optional<Program> program = agent.sudo_defaults().next())
    agent.sudo_defaults().ended(run_program(*program));
  write_status(agent, layout);
  return agent.problems().empty() ? 0 : 1;
}

int run(const Options& options) {
  const Layout layout{options.root};
  std::string faults;
  std::optional<Configuration> configuration = read_configuration(layout, faults);
  std::fputs(faults.c_str(), stderr);
  if (options.check_config) return configuration ? 0 : 1;
  SystemJournal entries(options.root.empty());
  AlertQueue queue(layout.at(kAlertDirectory), layout.at(kAlertCounter));
  AlertingJournal journal(entries, queue, configuration ? configuration->host.host.name : kernel_host_name(),
                          read_clock, layout.alerts_told());
  if (!configuration) {
    faults = one_line(faults);
    journal.event(Event::config_refused, "hallpass-agent cannot start: " + faults, {{"WHY", faults}});
    return 1;
  }
  make_directory(layout.at(paths::kStateDir), 0700);
  make_directory(layout.at(paths::kRunDir), 0755);
  make_directory(layout.at(paths::kRunDir) + "/metrics", 0755);
  FileSnapshotStore store(layout.snapshot(), layout.withdrawn());
  std::unique_ptr<Agent> agent = make_agent(layout, std::move(*configuration), journal, store);
  if (const Status started = agent->start(); !started) {
    std::fprintf(stderr, "hallpass-agent: %s\n", started.error().message.c_str());
    return 1;
  }
  if (options.once) return run_once(*agent, layout);
  LoopHooks hooks;
  hooks.reload = [&]() -> std::unique_ptr<Agent> {
    std::string wrong;
    std::optional<Configuration> next = read_configuration(layout, wrong);
    if (next) {
      journal.set_host(next->host.host.name);
      return make_agent(layout, std::move(*next), journal, store);
    }
    wrong = one_line(wrong);
    journal.event(Event::config_refused, "the new configuration is refused, the old one stays: " + wrong,
                  {{"WHY", wrong}});
    return nullptr;
  };
  return run_event_loop(std::move(agent), layout, journal, queue, hooks);
}

}  // namespace
}  // namespace hallpass

int main(int argc, char** argv) {
  hallpass::Options options;
  CLI::App app{"Verifies signed grants and publishes who is admitted to this host.", "hallpass-agent"};
  app.add_option("--root", options.root, "put DIR before every path")->type_name("DIR");
  app.add_flag("--once", options.once, "read, judge and publish once, then end");
  app.add_flag("--check-config", options.check_config, "read the configuration, say what is wrong with it, and end");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  while (!options.root.empty() && options.root.back() == '/') options.root.pop_back();
  hallpass::harden_process();
  hallpass::let_stderr_drop();
  return hallpass::run(options);
}
