// hallpass-hub: writes the log of a fleet's statements, and serves it. hallpass-hub(8).
#include <pwd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "core/edge/harden.h"
#include "hub/http_program.h"
#include "hub/log_init.h"
#include "hub/setup.h"

namespace hallpass::hub {
namespace {

constexpr char kOwner[] = "hallpass-hub";

struct Options {
  std::string config = kConfigFile;
  LogInit init;
};

void allow_many_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int run(const Options& options) {
  std::signal(SIGPIPE, SIG_IGN);
  allow_many_descriptors();
  std::string faults;
  std::optional<Setup> setup = read_setup(options.config, faults);
  std::fputs(faults.c_str(), stderr);
  return setup ? run_hub(options.config, *std::move(setup)) : 1;
}

int check(const Options& options) {
  std::string faults;
  const std::optional<Setup> setup = read_setup(options.config, faults);
  std::fputs(faults.c_str(), stderr);
  if (!setup) return 1;
  const Result<Keys> keys = read_keys(setup->config);
  const auto now = std::chrono::time_point_cast<Seconds>(std::chrono::system_clock::now());
  const Result<std::string> checked = keys ? check_whole_log(*setup, *keys, now) : keys.error();
  std::fputs(checked ? checked->c_str() : (checked.error().message + "\n").c_str(), checked ? stdout : stderr);
  return checked ? 0 : 1;
}

// The configuration may come later: without one, its defaults.
int init(Options options) {
  HubConfig config;
  std::string faults;
  if (access(options.config.c_str(), F_OK) == 0) {
    const std::optional<HubConfig> read = read_hub_config(options.config, faults);
    std::fputs(faults.c_str(), stderr);
    if (!read) return 1;
    config = *read;
  }
  options.init.log_dir = config.log;
  options.init.state_dir = config.state;
  options.init.log_key = config.log_key;
  options.init.witness_key = config.witness_key;
  if (options.init.owner.empty() && geteuid() == 0 && getpwnam(kOwner) != nullptr) options.init.owner = kOwner;
  const Result<std::string> made = init_log(options.init);
  std::fputs(made ? made->c_str() : (made.error().message + "\n").c_str(), made ? stdout : stderr);
  return made ? 0 : 1;
}

}  // namespace
}  // namespace hallpass::hub

int main(int argc, char** argv) {
  hallpass::hub::Options options;
  CLI::App app{"Writes the log of a fleet's statements, and serves it.", "hallpass-hub"};
  app.set_version_flag("--version", std::string("hallpass-hub ") + HALLPASS_VERSION);
  app.add_option("--config", options.config, "read FILE instead of " + options.config)->type_name("FILE");
  app.require_subcommand(0, 1);
  app.fallthrough();
  app.add_subcommand("run", "serve, until a signal ends it (the default)");
  CLI::App* check =
      app.add_subcommand("check", "read the configuration and verify the log, say what is wrong, and end");
  CLI::App* init = app.add_subcommand("init", "make a new, empty log and its keys; print what trust.toml must say");
  init->add_option("--name,--origin", options.init.origin, "the log's name, such as log.example.org/hallpass")
      ->type_name("NAME");
  init->add_option("--witness", options.init.witness, "the name of its own witness instead of NAME/witness")
      ->type_name("NAME");
  init->add_option("--owner", options.init.owner,
                   "the user to give everything to (default, for root: hallpass-hub, if there is one)")
      ->type_name("USER");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  hallpass::harden_process();
  if (*check) return hallpass::hub::check(options);
  if (*init) return hallpass::hub::init(options);
  return hallpass::hub::run(options);
}
