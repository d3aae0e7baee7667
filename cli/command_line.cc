#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/output.h"
#include "core/nearest.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

constexpr const char* kFooter =
    "Exit codes: 0 done (request --wait: active); 1 not admitted, not allowed or answered no;\n"
    "2 a mistake in what was typed or in a file; 3 the directory or the hub cannot be used; 4 no signature was made.\n"
    "Configuration: ~/.config/hallpass/config.toml with dir = \"/srv/hallpass\" or hub = \"https://HOST\", me = "
    "\"alice\", key = "
    "\"~/.ssh/id_ed25519\".";

using Run = std::function<int(Context&)>;
using Commands = std::vector<std::pair<CLI::App*, Run>>;
// Those that need neither configuration nor directory: they run on production hosts.
using HostTools = std::vector<std::pair<CLI::App*, std::function<int()>>>;
using Words = std::vector<std::string>;

// What was typed, for as long as the command runs.
struct Typed {
  GlobalOptions global;
  RequestArgs request;
  DecisionArgs decision;
  RevokeArgs revoke;
  ListArgs list;
  ShowArgs show;
  CarryArgs carry;
  PolicyInitArgs init;
  PolicyFileArgs policy;
  WatchArgs watch;
  LogArgs log;
  std::vector<std::string> words;
};

void add_global(CLI::App& app, GlobalOptions& g) {
  app.add_option("--dir", g.dir, "Directory of the policy and the grant files")->type_name("DIR");
  app.add_option("--hub", g.hub, "Hub that takes the statements and has the log, such as https://hub.example.org")
      ->type_name("URL");
  app.add_option("--config", g.config, "Configuration file instead of ~/.config/hallpass/config.toml")
      ->type_name("FILE");
  app.add_option("--as", g.as, "Who you are in the policy (default: from the configuration, else by your keys)")
      ->type_name("NAME");
  app.add_option("--key", g.key,
                 "Sign with this key: a private or public key file, or SHA256:... of a key in ssh-agent")
      ->type_name("FILE");
  app.add_flag("--json", g.json, "Print JSON");
  app.add_flag("-y,--yes", g.yes, "Do not ask before signing");
  app.add_flag("--no-color", g.no_color, "No colours (also: NO_COLOR)");
  app.add_flag("-v,--verbose", g.verbose, "Name every file that was ignored, and why");
}

CLI::Option* repeatable(CLI::App* sub, const std::string& name, std::vector<std::string>& into,
                        const std::string& help) {
  return sub->add_option(name, into, help)->allow_extra_args(false);
}

void add_request(CLI::App& app, RequestArgs& a, Commands& commands) {
  CLI::App* sub = app.add_subcommand("request", "Ask for access");
  sub->add_option("runbook", a.runbook, "What to do: a runbook of the policy")->required()->type_name("RUNBOOK");
  repeatable(sub, "-t,--target", a.targets, "Where: a host (web-3) or labels (env=prod,role=web); may be repeated")
      ->required()
      ->type_name("SEL");
  sub->add_option("-r,--reason", a.reason, "Why; approvers and the journal see it")->required()->type_name("TEXT");
  sub->add_option("--ticket", a.ticket, "A ticket's number")->type_name("T");
  sub->add_option("-d,--duration", a.duration, "How long, such as 30m or 1h30m (default: the runbook's)")
      ->type_name("TIME");
  repeatable(sub, "-p,--param", a.parameters, "A parameter of the runbook; may be repeated")->type_name("NAME=VALUE");
  sub->add_option("--not-before", a.not_before, "Start then: 14:30, \"2026-11-22 14:30\", 2h from now")
      ->type_name("TIME");
  sub->add_option("--respond-by", a.respond_by, "How long approvers may take (default 8h, at most 24h)")
      ->type_name("TIME");
  sub->add_option("-o,--output", a.output,
                  "Write the grant file there (- is standard output) instead of into the directory")
      ->type_name("FILE");
  sub->add_flag("-w,--wait", a.wait, "Stay until it is active, denied or void");
  sub->add_option("--timeout", a.timeout, "With --wait: give up after this long")->type_name("TIME");
  commands.emplace_back(sub, [&a](Context& c) { return cmd_request(c, a); });
}

void add_decisions(CLI::App& app, DecisionArgs& a, Commands& commands) {
  CLI::App* approve = app.add_subcommand("approve", "Agree to a request, after seeing what it would allow");
  approve->add_option("-d,--duration", a.duration, "Agree to less time than was asked")->type_name("TIME");
  repeatable(approve, "-t,--target", a.targets, "Agree to fewer hosts than were asked; may be repeated")
      ->type_name("SEL");
  CLI::App* deny = app.add_subcommand("deny", "Refuse a request, for good");
  for (CLI::App* sub : {approve, deny}) {
    sub->add_option("grant", a.grant, "A grant's id (or its beginning), a grant file, or - for standard input")
        ->required()
        ->type_name("ID|FILE|-");
    sub->add_option("-c,--comment", a.comment, "Words for the requester and the journal")->type_name("TEXT");
    sub->add_option("-o,--output", a.output,
                    "Write the grant file there (- is standard output) instead of into the directory")
        ->type_name("FILE");
  }
  commands.emplace_back(approve, [&a](Context& c) { return cmd_approve(c, a); });
  commands.emplace_back(deny, [&a](Context& c) { return cmd_deny(c, a); });
}

void add_revoke(CLI::App& app, RevokeArgs& a, Commands& commands) {
  CLI::App* sub = app.add_subcommand("revoke", "End access: one grant, everything of a person, or a key for good");
  CLI::Option* grant = sub->add_option("grant", a.grant, "A grant's id, a grant file, or -")->type_name("ID|FILE|-");
  CLI::Option* subject = sub->add_option("--subject", a.subject, "Every grant that this person has asked for until now")
                             ->type_name("NAME");
  // Takes the place of the global --key, which then stands before `revoke`.
  CLI::Option* key = sub->add_option("--key", a.key,
                                     "Void this key for every signature and login, for good (to sign with a key: "
                                     "hallpass --key FILE revoke ...)")
                         ->type_name("SHA256:...|FILE");
  grant->excludes(subject)->excludes(key);
  subject->excludes(key);
  sub->add_option("-r,--reason", a.reason, "Why; the journal shows it")->type_name("TEXT");
  sub->add_option("-o,--output", a.output,
                  "Write the statement there (- is standard output) instead of into the directory")
      ->type_name("FILE");
  commands.emplace_back(sub, [&a](Context& c) { return cmd_revoke(c, a); });
}

void add_views(CLI::App& app, ListArgs& list, ShowArgs& show, Commands& commands) {
  CLI::App* sub = app.add_subcommand("list", "Grants that wait or are active");
  sub->add_flag("-a,--all", list.all, "Ended, denied, revoked and void ones too");
  sub->add_flag("-m,--mine", list.mine, "Only those you asked for");
  sub->add_option("-s,--state", list.state, "pending, active, ended, denied, revoked or void")->type_name("STATE");
  commands.emplace_back(sub, [&list](Context& c) { return cmd_list(c, list); });

  CLI::App* one = app.add_subcommand("show", "Everything about one grant");
  CLI::App* why = app.add_subcommand("explain", "Why a grant admits or not, rule by rule");
  for (CLI::App* s : {one, why}) {
    s->add_option("grant", show.grant, "A grant's id (or its beginning), a grant file, or -")
        ->required()
        ->type_name("ID|FILE|-");
  }
  why->add_option("--host", show.host, "As that host sees it (labels from hosts.toml)")->type_name("NAME");
  commands.emplace_back(one, [&show](Context& c) { return cmd_show(c, show); });
  commands.emplace_back(why, [&show](Context& c) { return cmd_explain(c, show); });
}

void add_carry(CLI::App& app, CarryArgs& a, Commands& commands) {
  CLI::App* sub = app.add_subcommand("carry", "Hand grants in on a host over ssh, when nothing else brings them there");
  sub->add_option("host", a.host, "The host, as ssh knows it")->required()->type_name("HOST");
  sub->add_option("grants", a.grants, "Which grants: ids, grant files or -; none: all live ones for this host")
      ->type_name("ID|FILE|-");
  repeatable(sub, "--ssh-option", a.ssh_options, "An option of ssh, as its -o takes it; may be repeated")
      ->type_name("NAME=VALUE");
  sub->add_option("--user", a.user, "The account that takes grants, if it is not hallpass-drop")->type_name("NAME");
  commands.emplace_back(sub, [&a](Context& c) { return cmd_carry(c, a); });
}

void add_policy(CLI::App& app, PolicyInitArgs& init, PolicyFileArgs& file, Commands& commands) {
  CLI::App* policy = app.add_subcommand("policy", "Write, check, sign, publish and show the policy");
  policy->require_subcommand(1)->fallthrough();
  CLI::App* first =
      policy->add_subcommand("init", "Write a first policy, hosts.toml and trust.toml into the directory");
  first->add_option("--fleet", init.fleet, "The fleet's name, such as acme-prod")->type_name("NAME");
  repeatable(first, "--person", init.people, "A person and their public key file; may be repeated")
      ->type_name("NAME=KEYFILE");
  repeatable(first, "--admin", init.admins, "Who signs policies (default: the people given); may be repeated")
      ->type_name("NAME");
  first->add_option("--threshold", init.threshold, "How many admins must sign")->type_name("N");
  first->add_option("--presence", init.presence, "What security keys must prove: none, touch or verified")
      ->type_name("WORD");
  first->add_option("--runbook", init.runbook, "Name of a first runbook (login only)")->type_name("NAME");
  first->add_option("--account", init.account, "The account it opens: self, or a shared one such as deploy")
      ->type_name("NAME");
  repeatable(first, "--target", init.targets, "Hosts that its rule covers, such as env=prod; may be repeated")
      ->type_name("SEL");
  CLI::App* check = policy->add_subcommand("check", "Look for mistakes");
  check->add_option("--for", file.for_format, "Also say whether hosts that know format N understand it")
      ->type_name("N");
  check->add_option("--against", file.against, "List live grants of that directory which this policy would void")
      ->type_name("DIR");
  CLI::App* sign = policy->add_subcommand("sign", "Show what changed, then sign");
  for (CLI::App* s : {check, sign}) {
    s->add_option("file", file.file, "The policy (default: policy.toml in the directory)")->type_name("FILE");
  }
  CLI::App* publish = policy->add_subcommand("publish", "Give a signed policy to the hub");
  publish->add_option("file", file.file, "The policy; its signatures are in FILE.sig")->type_name("FILE");
  CLI::App* show = policy->add_subcommand("show", "Who may do what, and who signed it");
  show->add_flag("--toml", file.toml, "The file itself, to write the next version from");
  for (CLI::App* s : {first, check, sign, publish, show}) s->fallthrough();
  commands.emplace_back(first, [&init](Context& c) { return cmd_policy_init(c, init); });
  commands.emplace_back(check, [&file](Context& c) { return cmd_policy_check(c, file); });
  commands.emplace_back(sign, [&file](Context& c) { return cmd_policy_sign(c, file); });
  commands.emplace_back(publish, [&file](Context& c) { return cmd_policy_publish(c, file); });
  commands.emplace_back(show, [&file](Context& c) { return cmd_policy_show(c, file); });
}

void add_watch(CLI::App& app, WatchArgs& a, Commands& commands) {
  CLI::App* sub = app.add_subcommand("watch", "Follow live what is asked, decided and ended");
  sub->add_flag("-m,--mine", a.mine, "Only what you asked for");
  commands.emplace_back(sub, [&a](Context& c) { return cmd_watch(c, a); });
}

void add_log(CLI::App& app, LogArgs& a, Commands& commands) {
  CLI::App* log = app.add_subcommand("log", "The hub's log: verify it, prove a grant from it, read it");
  log->require_subcommand(1)->fallthrough();
  CLI::App* verify = log->add_subcommand("verify", "Download what is live and verify it from nothing");
  verify->add_flag("--full", a.full, "All of it, from the first entry");
  CLI::App* prove = log->add_subcommand("prove", "Write proofs that a grant's statements are in the log");
  prove->add_option("grant", a.grant, "A grant's id (or its beginning), a grant file, or -")
      ->required()
      ->type_name("ID|FILE|-");
  prove->add_option("-o,--output", a.output, "A directory, a file for a single proof, or - for standard output")
      ->type_name("FILE");
  CLI::App* tail = log->add_subcommand("tail", "The newest entries");
  tail->add_option("-n,--lines", a.count, "How many")->type_name("N")->check(CLI::Range(1, 100000));
  tail->add_flag("-f,--follow", a.follow, "Stay, and print what comes");
  for (CLI::App* s : {verify, prove, tail}) s->fallthrough();
  commands.emplace_back(verify, [&a](Context& c) { return cmd_log_verify(c, a); });
  commands.emplace_back(prove, [&a](Context& c) { return cmd_log_prove(c, a); });
  commands.emplace_back(tail, [&a](Context& c) { return cmd_log_tail(c, a); });
}

// What is typed on a production host, and another program does.
void add_host_tools(CLI::App& app, const GlobalOptions& global, HostTools& tools) {
  CLI::App* time = app.add_subcommand("time", "On a production host: how long your session has, and what is allowed");
  tools.emplace_back(time, [&global] {
    return run_host_tool("hallpass time", global.json ? Words{"time", "--json"} : Words{"time"});
  });
  CLI::App* done = app.add_subcommand("done", "On a production host: give your access to it back");
  tools.emplace_back(done, [&global] {
    return run_host_tool("hallpass done", global.yes ? Words{"done", "--yes"} : Words{"done"});
  });
  time->fallthrough();
  done->fallthrough();
  // For the list of commands in --help, and for options before `host`; else run_command_line hands the arguments on
  // untouched. What follows `host` is not ours to read: no fallthrough.
  CLI::App* host =
      app.add_subcommand("host", "On a production host: its sessions, its agent, its clock (hallpass host --help)");
  host->prefix_command();
  tools.emplace_back(host, [host] { return run_host_tool("hallpass host", host->remaining()); });
}

void add_rest(CLI::App& app, std::vector<std::string>& words, Commands& commands) {
  CLI::App* version = app.add_subcommand("version", "Print the version");
  commands.emplace_back(version, [](Context& c) { return cmd_version(c); });
  CLI::App* complete = app.add_subcommand("complete", "")->group("");
  complete->add_option("words", words, "");
  commands.emplace_back(complete, [&words](Context& c) { return cmd_complete(c, words); });
}

// "no command lst (did you mean list?)": `app` needs one of its commands, and none was typed.
std::string lacks_command(const CLI::App& app, const std::vector<std::string>& left) {
  std::vector<std::string> names;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App* s) { return !s->get_group().empty(); }))
    names.push_back(sub->get_name());
  const auto typed = std::find_if(left.begin(), left.end(), [](const std::string& w) { return !w.starts_with('-'); });
  if (typed == left.end()) return "what to do? " + join_words(names, "or");
  const std::string near = nearest_name(*typed, names);
  return "no command " + printable(*typed, 40) +
         (near.empty() ? "; there are " + join_words(names, "and") : " (did you mean " + near + "?)");
}

int usage_error(const CLI::App& app, const CLI::ParseError& error) {
  std::string where = "hallpass";
  const CLI::App* last = &app;
  for (auto chosen = app.get_subcommands(); !chosen.empty(); chosen = last->get_subcommands()) {
    last = chosen.front();
    where += " " + last->get_name();
  }
  std::string message = printable(error.what(), 500);
  const bool has_commands = !last->get_subcommands([](const CLI::App*) { return true; }).empty();
  if (has_commands && (error.get_name() == "RequiredError" || error.get_name() == "ExtrasError"))
    message = lacks_command(*last, app.remaining(true));
  const std::size_t colon = message.find(" not expected: ");
  if (message.starts_with("The following argument") && colon != std::string::npos) {
    message = "unexpected: " + message.substr(colon + 15);
  }
  Output out(false, false);
  return out.fail(Exit::usage, message + "; try " + where + " --help");
}

int run_parsed(const Typed& typed, const Commands& commands) {
  const auto config = load_config(typed.global.config);
  if (!config) return Output(false, typed.global.no_color).fail(Exit::usage, config.error().message);
  Context context(typed.global, config.value());
  for (const auto& [app, run] : commands) {
    if (app->parsed()) return context.out().finish(run(context));
  }
  return static_cast<int>(Exit::usage);
}

}  // namespace

int run_command_line(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty() && arguments[0] == "host")
    return run_host_tool("hallpass host", {arguments.begin() + 1, arguments.end()});

  Typed typed;
  Commands commands;
  HostTools tools;
  CLI::App app("Temporary production access that ends by itself.", "hallpass");
  app.footer(kFooter);
  app.set_help_all_flag("--help-all", "Help for every command");
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);  // an alias may hold --dir
  add_global(app, typed.global);
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  add_request(app, typed.request, commands);
  add_decisions(app, typed.decision, commands);
  add_revoke(app, typed.revoke, commands);
  add_views(app, typed.list, typed.show, commands);
  add_carry(app, typed.carry, commands);
  add_watch(app, typed.watch, commands);
  add_policy(app, typed.init, typed.policy, commands);
  add_log(app, typed.log, commands);
  add_host_tools(app, typed.global, tools);
  add_rest(app, typed.words, commands);
  for (const auto& [sub, run] : commands) sub->fallthrough();
  app.require_subcommand(1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {  // --help
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error);
  }
  for (const auto& [sub, run] : tools) {
    if (sub->parsed()) return run();
  }
  return run_parsed(typed, commands);
}

}  // namespace hallpass::cli
