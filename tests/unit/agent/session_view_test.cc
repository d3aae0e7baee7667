// What the agent answers about sessions, and how people read it.
#include "agent/session_view.h"

#include <cstdlib>
#include <ctime>

#include "agent/ctl/session_lines.h"
#include "core/json.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/support/signing.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)
using hallpass::testing::demand;

constexpr long long kNow = 1'800'000'000;  // 2027-01-15T08:00:00Z

Command systemctl() {
  Command c;
  c.as_user = "root";
  c.executables = {"/usr/bin/systemctl"};
  c.arguments = {"restart", "nginx"};
  return c;
}

SessionFacts facts(std::uint32_t audit, std::string logind, std::string subject, std::string account, uid_t uid) {
  SessionFacts f;
  f.session.audit = audit;
  f.session.logind = std::move(logind);
  f.session.subject = std::move(subject);
  f.session.account = std::move(account);
  f.session.uid = uid;
  f.session.leader = 700 + static_cast<pid_t>(uid);
  f.session.grant_id = "k7m3-9x2d-q4fh";
  f.session.control_group = "/user.slice/user-" + std::to_string(uid) + ".slice/session-" + f.session.logind + ".scope";
  f.since = from_unix(kNow - 600);
  f.ends = from_unix(kNow + 1500);
  f.ends_with = "k7m3-9x2d-q4fh";
  return f;
}

struct Desk final : SessionDesk {
  Desk() {
    sessions = {facts(5, "5", "alice", "alice", 1000), facts(6, "6", "bob", "deploy", 2000),
                facts(kNoAuditSession, "9", "carol", "deploy", 2000)};
    sessions[1].used = {"k7m3-9x2d-q4fh"};
    sessions[1].from = "192.0.2.7";
    sessions[1].state = SessionFacts::State::ending;
    sessions[2].state = SessionFacts::State::left_behind;
    sessions[2].session.observed = true;
    sessions[2].ends.reset();
    sessions[2].ends_with.clear();
  }
  std::string host() const override { return "web-3"; }
  UnixTime now() const override { return from_unix(kNow); }
  std::vector<SessionFacts> all() const override { return sessions; }
  std::optional<SessionFacts> named(const std::string& name) const override {
    for (const SessionFacts& f : sessions)
      if (session_name(f.session) == name) return f;
    return std::nullopt;
  }
  std::vector<GrantFacts> grants(const Session& session) const override {
    if (session.subject != "alice") return {};
    GrantFacts restart{"k7m3-9x2d-q4fh",       "restart-web", "502s on checkout", "INC-7",
                       from_unix(kNow + 1500), true,          {systemctl()}};
    GrantFacts login{"0000-0000-0000", "login", "look", "", from_unix(kNow + 60), false, {}};
    return {restart, login};
  }
  Status give_back(const Session& session) override {
    if (refuses) return Error{Errc::unavailable, "the disk is full"};
    done.push_back("back " + session.subject + " " + session.account);
    return Unit{};
  }
  Status end(const Session& session, const std::string& reason) override {
    done.push_back("end " + session_name(session) + " <" + reason + ">");
    return Unit{};
  }
  std::vector<SessionFacts> sessions;
  std::vector<std::string> done;
  bool refuses = false;
};

const std::string kGroup5 = "/user.slice/user-1000.slice/session-5.scope";
const std::string kGroup9 = "/user.slice/user-2000.slice/session-9.scope";

struct Which {
  const char* name;
  Caller caller;
  const char* session;  // its name; empty: none
  const char* why;      // words, when none
};

int wrong_callers() {
  const Which cases[] = {
      {"in her session", {1000, 5, kGroup5}, "5", ""},
      {"root in it, after sudo -i", {0, 5, kGroup5}, "5", ""},
      {"out of its control group", {1000, 5, "/user.slice/user-1000.slice/user@1000.service/app.slice"}, "5", ""},
      {"its group is not known", {1000, 5, ""}, "5", ""},
      {"another user in it, after su", {1001, 5, kGroup5}, "", "this session is of alice on the account alice"},
      {"another account's user in it", {2000, 5, kGroup5}, "", "another user in it: ask as alice"},
      {"another session", {1000, 7, kGroup5}, "", "no session under a grant"},
      {"no audit id, her group", {1000, std::nullopt, kGroup5}, "", "no session under a grant"},
      {"root elsewhere", {0, std::nullopt, "/system.slice/cron.service"}, "", "hallpass host sessions"},
      {"nothing known", {1000, std::nullopt, ""}, "", "no session under a grant"},
      {"told by its group", {2000, std::nullopt, kGroup9}, "logind-9", ""},
      {"told by its group, another audit id", {2000, 77, kGroup9}, "logind-9", ""},
      {"below that group", {2000, std::nullopt, kGroup9 + "/inner"}, "logind-9", ""},
      {"another user there", {1000, std::nullopt, kGroup9}, "", "this session is of carol"},
      {"a group of that name elsewhere",
       {2000, std::nullopt, "/user.slice/user-2000.slice/user@2000.service/session-9.scope"},
       "",
       "no session"},
      {"a group that begins alike", {2000, std::nullopt, kGroup9 + "x"}, "", "no session"},
      {"a name cut short", {2000, std::nullopt, "/user.slice/session-9"}, "", "no session"},
      {"unset, as a number", {2000, kNoAuditSession, ""}, "", "no session under a grant"},
  };
  const Desk desk;
  int wrong = 0;
  for (const Which& c : cases) {
    const auto found = session_of(desk, c.caller);
    wrong += wrong_if((found ? session_name(found->session) : "") != c.session, c.name);
    wrong += wrong_if(!found && found.error().message.find(c.why) == std::string::npos, c.name);
  }
  // Of another pid namespace: pid 0 in /proc would be ourselves.
  const Caller nobody = caller_of({0, 1000});
  wrong += wrong_if(nobody.audit.has_value() || !nobody.group.empty() || nobody.uid != 1000, "pid 0");
  return wrong + wrong_if(caller_of({getpid(), 7}).group != control_group(0), "our own pid");
}

struct Meant {
  const char* name;
  const char* word;
  const char* session;
  const char* why;
};

int wrong_names() {
  const Meant cases[] = {
      {"an audit id that is logind's too", "5", "5", ""},
      {"the registry's name", "logind-9", "logind-9", ""},
      {"logind's id", "9", "logind-9", ""},
      {"none", "7", "", "there is no session 7; there are 5 (alice on alice), 6 (bob on deploy), logind-9 (carol on"},
      {"nothing", "", "", "there is no session"},
      {"hostile", "\x1b[2J", "", "\\x1b[2J"},
      {"of two", "6", "", "6 may mean more than one session: 6 (bob on deploy), 8 (dave on dave)"},
  };
  Desk desk;
  int wrong = 0;
  for (const Meant& c : cases) {
    if (std::string_view(c.name) == "of two") desk.sessions.push_back(facts(8, "6", "dave", "dave", 3000));
    const auto found = session_meant(desk.all(), c.word);
    wrong += wrong_if((found ? session_name(found->session) : "") != c.session, c.name);
    wrong += wrong_if(!found && found.error().message.find(c.why) == std::string::npos, c.name);
  }
  wrong += wrong_if(session_meant({}, "5").error().message != "there is no session 5, nor any other", "no sessions");
  return wrong;
}

struct Said {
  const char* name;
  Caller caller;
  const char* command;
  bool fine;
  const char* words;  // of the answer
  const char* done;   // what was done; empty: nothing
};

const Caller kAlice{1000, 5, kGroup5}, kRoot{0, std::nullopt, "/system.slice/ssh.service"};

constexpr char kTime[] =
    R"({"hallpass":"time/1","session":"5","host":"web-3","subject":"alice","account":"alice",)"
    R"("ends_at":"2027-01-15T08:25:00Z","left":1500,"why_then":"grant k7m3-9x2d-q4fh ends","state":"live",)"
    R"("observed":false,"grants":[{"id":"k7m3-9x2d-q4fh","runbook":"restart-web","reason":"502s on checkout",)"
    R"("ticket":"INC-7","ends_at":"2027-01-15T08:25:00Z","used":true,)"
    R"("commands":["as root: /usr/bin/systemctl restart nginx"]},{"id":"0000-0000-0000","runbook":"login",)"
    R"("reason":"look","ticket":"","ends_at":"2027-01-15T08:01:00Z","used":false,"commands":[]}]})";
constexpr char kDone[] = R"({"hallpass":"done/1","session":"5","host":"web-3","subject":"alice","account":"alice",)"
                         R"("grants":["k7m3-9x2d-q4fh","0000-0000-0000"]})";
constexpr char kBob[] =
    R"({"session":"6","logind":"6","subject":"bob","account":"deploy","leader":2700,)"
    R"("since":"2027-01-15T07:50:00Z","ends_at":"2027-01-15T08:25:00Z","left":1500,)"
    R"("why_then":"grant k7m3-9x2d-q4fh ends","grant":"k7m3-9x2d-q4fh","used":["k7m3-9x2d-q4fh"],"state":"ending",)"
    R"("observed":false,"from":"192.0.2.7"},)";
constexpr char kCarol[] =
    R"("ends_at":null,"left":null,"why_then":"no grant admits it any more","grant":"k7m3-9x2d-q4fh",)"
    R"("used":[],"state":"left-behind","observed":true,"from":null}]})";

int wrong_answers() {
  const Said cases[] = {
      {"the time", kAlice, "time", true, kTime, ""},
      {"the time, nowhere", kRoot, "time", false, "no session under a grant", ""},
      {"done", kAlice, "done", true, kDone, "back alice alice"},
      {"done, another user", {1001, 5, kGroup5}, "done", false, "another user in it", ""},
      {"done, nowhere", {1001, 8, ""}, "done", false, "no session under a grant", ""},
      {"sessions, one that ends", kRoot, "sessions", true, kBob, ""},
      {"sessions, one of the group", kRoot, "sessions", true, kCarol, ""},
      {"end", kRoot, "end 5", true,
       R"({"hallpass":"end/1","session":"5","subject":"alice","account":"alice","grants":)", "end 5 <>"},
      {"end by logind's id, with a reason", kRoot, "end 9 laptop was stolen", true, R"("session":"logind-9")",
       "end logind-9 <laptop was stolen>"},
      {"end, unknown", kRoot, "end 55 laptop", false, "there is no session 55", ""},
      {"end, none named", kRoot, "end ", false, "there is no session", ""},
      {"end, a reason that no terminal should see", kRoot, "end 5 \x1b[2J", false, "the reason cannot be used", ""},
  };
  int wrong = 0;
  for (const Said& c : cases) {
    Desk desk;
    const auto answer = session_command(desk, c.caller, c.command);
    wrong += wrong_if(!answer || answer->has_value() != c.fine, c.name);
    if (!answer) continue;
    const std::string text = *answer ? **answer : answer->error().message;
    wrong += wrong_if(text.find(c.words) == std::string::npos, c.name);
    wrong += wrong_if((desk.done.empty() ? "" : desk.done.front()) != c.done || desk.done.size() > 1, c.name);
  }
  Desk desk;
  for (const char* other : {"clock-accept", "end", "times", "done now", ""})
    wrong += wrong_if(session_command(desk, kRoot, other).has_value(), other);
  desk.refuses = true;
  const auto failed = session_command(desk, kAlice, "done");
  return wrong + wrong_if(!failed || *failed || failed->error().message != "the disk is full", "done that fails");
}

int wrong_reasons() {
  Desk desk;
  const auto why = [&] {
    const auto answer = session_command(desk, kAlice, "time");
    const Result<Json> json = parse_json(answer.value().value());
    return member_text(*json, "why_then");
  };
  desk.sessions[0].by_use = true;
  int wrong = wrong_if(why() != "grant k7m3-9x2d-q4fh ends, whose sudo was used in this session", "its sudo was used");
  desk.sessions[0].ends_with.clear();
  wrong += wrong_if(why() != "no grant admits it any more", "nothing admits");
  desk.sessions[0].ends = from_unix(kNow - 3);
  const auto late = session_command(desk, kAlice, "time");
  return wrong + wrong_if(late->value().find("\"left\":0,") == std::string::npos, "nothing is left");
}

// --- for people

Json answer_to(Desk& desk, const Caller& caller, const char* command) {
  Result<Json> json = parse_json(session_command(desk, caller, command).value().value());
  return *std::move(json);
}

constexpr char kTimeText[] =
    "25m left: until 09:25 CET, when grant k7m3-9x2d-q4fh ends.\n"
    "You are alice on web-3, account alice, session 5.\n"
    "\n"
    "Grant k7m3-9x2d-q4fh (restart-web) until 09:25 CET, used for sudo here\n"
    "    502s on checkout [INC-7]\n"
    "    as root: /usr/bin/systemctl restart nginx\n"
    "\n"
    "Grant 0000-0000-0000 (login) until 09:01 CET\n"
    "    look\n"
    "    no sudo\n"
    "\n"
    "For longer:       hallpass request restart-web --target host=web-3 --reason \"...\"    (once approved, this "
    "session "
    "goes on)\n"
    "To give it back:  hallpass done\n";

constexpr char kTable[] =
    R"(SESSION   WHO    ACCOUNT  SINCE      UNTIL                 GRANT                           STATE                      FROM
5         alice  alice    08:50 CET  09:25 CET (25m left)  k7m3-9x2d-q4fh                  live
6         bob    deploy   08:50 CET  09:25 CET (25m left)  k7m3-9x2d-q4fh (its sudo used)  ending                     192.0.2.7
logind-9  carol  deploy   08:50 CET  ?                     k7m3-9x2d-q4fh                  left behind, only watched
)";

int wrong_lines() {
  demand(setenv("TZ", "Europe/Berlin", 1) == 0);
  tzset();
  Desk desk;
  const UnixTime now = from_unix(kNow);
  int wrong = wrong_if(time_lines(answer_to(desk, kAlice, "time"), now) != kTimeText, "time");
  wrong += wrong_if(session_lines(answer_to(desk, kRoot, "sessions"), now) != kTable, "sessions");
  wrong += wrong_if(done_question(answer_to(desk, kAlice, "time")) !=
                        "End your access to web-3 as alice now? This session ends, and any other of yours on this "
                        "account.",
                    "the question");
  wrong += wrong_if(done_lines(answer_to(desk, kAlice, "time")) !=
                        "Ending your access to web-3 as alice, and your sessions on this account.\n"
                        "Given back on web-3: k7m3-9x2d-q4fh and 0000-0000-0000. Elsewhere: hallpass revoke ID\n",
                    "done");
  desk.sessions[0].state = SessionFacts::State::ending;
  wrong += wrong_if(!time_lines(answer_to(desk, kAlice, "time"), now).starts_with("This session is being ended: grant"),
                    "time of one that ends");
  const Caller carol{2000, std::nullopt, kGroup9};
  const std::string watched = time_lines(answer_to(desk, carol, "time"), now);
  wrong += wrong_if(watched.find("only watches here") == std::string::npos, "time of one that is watched");
  wrong += wrong_if(watched.find("hallpass request RUNBOOK --target host=web-3") == std::string::npos, "no grant");
  desk.sessions.clear();
  return wrong + wrong_if(!session_lines(answer_to(desk, kRoot, "sessions"), now).empty(), "no sessions");
}

// Another version's answer, or a damaged one: never a crash, never an escape sequence.
int wrong_strange_answers() {
  int wrong = 0;
  for (const char* text : {"{}", "[]", "null", "\"x\"", R"({"sessions":[1,null,{}],"grants":[1,{"commands":[7]}]})",
                           R"({"grants":7,"sessions":{},"left":"x","ends_at":7,"state":[]})"}) {
    const Result<Json> json = parse_json(text);
    demand(json.has_value());
    wrong += wrong_if(time_lines(*json, from_unix(kNow)).find("You are ? on ?") == std::string::npos, text);
    wrong += wrong_if(done_lines(*json).empty() || done_question(*json).empty(), text);
    (void)session_lines(*json, from_unix(kNow));
  }
  const Result<Json> hostile = parse_json(R"({"subject":"\u001b[2J","sessions":[{"from":"\u001b[2J"}]})");
  demand(hostile.has_value());
  for (const std::string& text : {time_lines(*hostile, {}), session_lines(*hostile, {})})
    wrong += wrong_if(text.find('\x1b') != std::string::npos, "an escape sequence");
  return wrong;
}

void test_callers(void**) {
  assert_int_equal(wrong_callers(), 0);
}
void test_names(void**) {
  assert_int_equal(wrong_names(), 0);
}
void test_answers(void**) {
  assert_int_equal(wrong_answers(), 0);
}
void test_reasons(void**) {
  assert_int_equal(wrong_reasons(), 0);
}
void test_lines(void**) {
  assert_int_equal(wrong_lines(), 0);
}
void test_strange_answers(void**) {
  assert_int_equal(wrong_strange_answers(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_callers), cmocka_unit_test(test_names), cmocka_unit_test(test_answers),
      cmocka_unit_test(test_reasons), cmocka_unit_test(test_lines), cmocka_unit_test(test_strange_answers),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
