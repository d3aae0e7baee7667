// ctl: what `hallpass host ...` runs, as root on a production host. hallpass-host(8).
//
//   status [--json]   what the agent last wrote; 1 when something is wrong
//   clock accept      this host's clock is right
//   ledger reset      give a damaged ledger up
#include <fcntl.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>

#include "agent/ctl/ask.h"
#include "agent/ctl/status_view.h"
#include "agent/layout.h"
#include "core/edge/files.h"
#include "core/edge/tzdb.h"
#include "host/clock.h"

namespace hallpass {
namespace {

constexpr int kFine = 0, kWrong = 1, kUsage = 2;
constexpr std::size_t kMaxStatusBytes = std::size_t{1024} * 1024;

int complain(const std::string& what) {
  std::fprintf(stderr, "hallpass host: %s\n", what.c_str());
  return kWrong;
}

int show_status(const Layout& layout, bool as_json) {
  const Result<std::string> text = read_file(AT_FDCWD, layout.status(), kMaxStatusBytes);
  if (!text) {
    return complain(text.error().code == Errc::not_found
                        ? "there is no status yet: is hallpass-agent running? `systemctl status hallpass-agent`"
                        : text.error().message);
  }
  const Result<Json> status = parse_json(*text);
  if (!status) return complain(layout.status() + " cannot be read: " + status.error().message);
  const Zone zone = local_zone();
  const StatusView view = view_status(*status, read_clock(), zone);
  std::fputs(as_json ? text->c_str() : view.text.c_str(), stdout);
  if (as_json && !view.stale.empty()) std::fprintf(stderr, "hallpass host: %s\n", view.stale.c_str());
  return view.fine ? kFine : kWrong;
}

int tell_agent(const Layout& layout, std::string_view command) {
  const Result<std::string> answer = ask_agent(layout.control_socket(), command);
  if (!answer) return complain(answer.error().message);
  std::printf("%s\n", answer->c_str());
  return kFine;
}

}  // namespace
}  // namespace hallpass

int main(int argc, char** argv) {
  using namespace hallpass;
  CLI::App app{"Looks after hallpass on this host.", "hallpass host"};
  Layout layout;
  bool as_json = false;
  app.add_option("--root", layout.root, "put DIR before every path")->type_name("DIR");
  app.require_subcommand(1);
  CLI::App* status = app.add_subcommand("status", "what the agent knows, and what is wrong");
  status->add_flag("--json", as_json, "as JSON");
  CLI::App* clock = app.add_subcommand("clock", "this host's clock")->require_subcommand(1);
  CLI::App* accept = clock->add_subcommand("accept", "the clock is right: vouch for it");
  CLI::App* ledger = app.add_subcommand("ledger", "the agent's ledger")->require_subcommand(1);
  CLI::App* reset = ledger->add_subcommand("reset", "give a damaged ledger up: all requests made so far are refused");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kFine : kUsage;
  }
  if (accept->parsed()) return tell_agent(layout, "clock-accept");
  if (reset->parsed()) return tell_agent(layout, "ledger-reset");
  return show_status(layout, as_json);
}
