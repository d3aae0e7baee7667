// ctl: what `hallpass host ...`, `hallpass time` and `hallpass done` run on a production host. hallpass-host(8).
//
//   status [--json]       what the agent last wrote; 1 when something is wrong
//   sessions [--json]     who is here under a grant, and until when
//   end SESSION           ends one
//   clock accept          this host's clock is right
//   ledger reset          give a damaged ledger up
//   check [--json]        what is wrong on this host, each with its cure
//   time [--json]         how long the caller's session has, and what its grants allow
//   done [--yes]          the caller gives his access back
#include <fcntl.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "agent/ctl/ask.h"
#include "agent/ctl/check_command.h"
#include "agent/ctl/enable_command.h"
#include "agent/ctl/observed_command.h"
#include "agent/ctl/session_commands.h"
#include "agent/ctl/status_view.h"
#include "core/edge/files.h"
#include "core/edge/tzdb.h"
#include "host/clock.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxStatusBytes = std::size_t{1024} * 1024;

// What hallpass-fetch says of itself, beside what it fetched; null where there is none.
Json fetch_status(const Json& status) {
  const Json* log = status.find("log");
  const Json* mirror = log == nullptr ? nullptr : log->find("mirror");
  if (mirror == nullptr || mirror->as_string() == nullptr) return Json();
  const auto text = read_file(AT_FDCWD, *mirror->as_string() + "/fetch-status.json", kMaxStatusBytes);
  const Result<Json> fetch = text ? parse_json(*text) : text.error();
  return fetch ? *fetch : Json();
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
  const StatusView view = view_status(*status, fetch_status(*status), read_clock(), zone);
  std::fputs(as_json ? text->c_str() : view.text.c_str(), stdout);
  if (as_json && !view.stale.empty()) complain(view.stale);
  return view.fine ? kFine : kWrong;
}

int tell_agent(const Layout& layout, std::string_view command) {
  const Result<std::string> answer = ask_agent(layout.control_socket(), command);
  if (!answer) return complain(answer.error().message);
  std::printf("%s\n", answer->c_str());
  return kFine;
}

struct Typed {
  Layout layout;
  bool json = false, yes = false;
  std::string session, reason;
};

int run(const CLI::App& app, const Typed& typed) {
  const auto is = [&](const char* name) { return app.got_subcommand(name); };
  if (is("sessions")) return run_sessions(typed.layout, typed.json);
  if (is("end")) return run_end(typed.layout, typed.session, typed.reason);
  if (is("clock")) return tell_agent(typed.layout, "clock-accept");
  if (is("ledger")) return tell_agent(typed.layout, "ledger-reset");
  if (is("time")) return run_time(typed.layout, typed.json);
  if (is("done")) return run_done(typed.layout, typed.yes);
  return show_status(typed.layout, typed.json);
}

void add_commands(CLI::App& app, Typed& typed) {
  app.add_option("--root", typed.layout.root, "put DIR before every path")->type_name("DIR");
  app.require_subcommand(1);
  CLI::App* status = app.add_subcommand("status", "what the agent knows, and what is wrong");
  CLI::App* sessions = app.add_subcommand("sessions", "who is here under a grant, and until when");
  CLI::App* end = app.add_subcommand("end", "end a session now");
  end->add_option("session", typed.session, "as `hallpass host sessions` names it")->required()->type_name("SESSION");
  end->add_option("-r,--reason", typed.reason, "why; the journal shows it")->type_name("TEXT");
  CLI::App* clock = app.add_subcommand("clock", "this host's clock")->require_subcommand(1);
  clock->add_subcommand("accept", "the clock is right: vouch for it");
  CLI::App* ledger = app.add_subcommand("ledger", "the agent's ledger")->require_subcommand(1);
  ledger->add_subcommand("reset", "give a damaged ledger up: all requests made so far are refused");
  // People type `hallpass time` and `hallpass done`.
  CLI::App* time = app.add_subcommand("time", "how long this session has, and what its grants allow")->group("");
  CLI::App* done = app.add_subcommand("done", "give your access to this host back")->group("");
  for (CLI::App* a : {status, sessions, time}) a->add_flag("--json", typed.json, "as JSON");
  done->add_flag("-y,--yes", typed.yes, "do not ask");
}

}  // namespace

int complain(const std::string& what) {
  std::fflush(stdout);
  std::fprintf(stderr, "hallpass: %s\n", what.c_str());
  return kWrong;
}

}  // namespace hallpass

int main(int argc, char** argv) {
  using namespace hallpass;
  CLI::App app{"Looks after hallpass on this host.", "hallpass host"};
  Typed typed;
  add_commands(app, typed);
  // These run while the command line is read.
  int ran = -1;
  add_enable_commands(app, typed.layout, ran);
  add_check_command(app, typed.layout, ran);
  add_observed_command(app, typed.layout, ran);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kFine : kUsage;
  }
  const int code = ran >= 0 ? ran : run(app, typed);
  return std::fflush(stdout) == 0 && std::ferror(stdout) == 0 ? code : complain("cannot write to standard output");
}
