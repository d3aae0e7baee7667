#include <cstdio>

#include "core/policy.h"
#include "core/policy_parse.h"
#include "core/values/pattern.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;
using Choices = std::map<std::string, std::vector<std::string>>;

Command run(std::vector<std::string> arguments) {
  Command c;
  c.as_user = "root";
  c.executables = {"/bin/x"};
  c.arguments = std::move(arguments);
  return c;
}

Runbook runbook(std::vector<Command> sudo) {
  Runbook r;
  r.name = "r";
  r.parameters = {{"a", {"1", "2", "3"}}, {"b", {"x y", "p,q", "-v"}}, {"c", {"${a}", "*", "<int:1..2>"}}};
  r.sudo = std::move(sudo);
  return r;
}

struct Case {
  const char* name;
  std::vector<std::string> arguments;
  Choices values;
  std::string expected;  // commands by "; ", arguments by " | "
};
const Case kCases[] = {
    {"no parameter", {"{s,t}", "**"}, {{"a", {"1"}}, {"b", {"-v"}}, {"c", {"*"}}}, "{s,t} | **"},
    {"one value", {"${a}"}, {{"a", {"2"}}, {"b", {"-v"}}, {"c", {"*"}}}, "2"},
    {"several values in braces", {"${a}"}, {{"a", {"1", "3"}}, {"b", {"-v"}}, {"c", {"*"}}}, "{1,3}"},
    {"within a token", {"--n=${a}.x*"}, {{"a", {"1", "3"}}, {"b", {"-v"}}, {"c", {"*"}}}, "--n={1,3}.x*"},
    {"twice in one command: the same value",
     {"/a/${a}", "/b/${a}"},
     {{"a", {"1", "2"}}, {"b", {"-v"}}, {"c", {"*"}}},
     "/a/1 | /b/1; /a/2 | /b/2"},
    {"twice in one token: the same value", {"${a}:${a}"}, {{"a", {"1", "2"}}, {"b", {"-v"}}, {"c", {"*"}}}, "1:1; 2:2"},
    {"values that braces cannot hold", {"${b}"}, {{"a", {"1"}}, {"b", {"x y", "-v"}}, {"c", {"*"}}}, "x\\ y; \\-v"},
    {"different parameters are independent",
     {"${a}", "${b}", "${a}"},
     {{"a", {"1", "2"}}, {"b", {"x y", "p,q"}}, {"c", {"*"}}},
     "1 | x\\ y | 1; 1 | p\\,q | 1; 2 | x\\ y | 2; 2 | p\\,q | 2"},
    {"braces beside expansion",
     {"${a}", "${b}"},
     {{"a", {"1", "2"}}, {"b", {"x y", "-v"}}, {"c", {"*"}}},
     "{1,2} | x\\ y; {1,2} | \\-v"},
    {"an escaped dollar is no parameter", {"\\${a,b}"}, {{"a", {"1"}}, {"b", {"-v"}}, {"c", {"*"}}}, "\\${a,b}"},
};

std::string text_of(const Result<std::vector<Command>>& filled) {
  if (!filled) return "error: " + filled.error().message;
  std::string text;
  for (const Command& c : *filled) {
    if (!text.empty()) text += "; ";
    for (std::size_t i = 0; i < c.arguments.size(); ++i) text += (i == 0 ? "" : " | ") + c.arguments[i];
  }
  return text;
}

// How literal_token escapes is its own matter: what is compared is what the tokens mean.
std::string unescaped(std::string text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] != '$') continue;
    plain += text[i];
  }
  return plain;
}

int wrong_fill() {
  int wrong = 0;
  for (const Case& c : kCases) {
    const std::string got = text_of(fill_commands(runbook({run(c.arguments)}), c.values));
    const bool bad = unescaped(got) != unescaped(c.expected);
    wrong += wrong_if(bad, c.name);
    if (bad) std::fprintf(stderr, "  got: %s\n", got.c_str());
  }
  return wrong;
}

void test_fill(void**) {
  assert_int_equal(wrong_fill(), 0);
}

class NoPath : public PathCheck {
 public:
  bool allows(std::string_view, std::string_view) const override { return false; }
};

bool matches(const Command& command, std::string_view argument) {
  const auto pattern = parse_arguments(command.arguments);
  const std::string_view arguments[] = {argument};
  return pattern && match_arguments(*pattern, arguments, NoPath());
}

// Whatever a chosen value looks like, it stands for itself and nothing else.
int wrong_literals() {
  const std::string values[] = {"*",    "**",  "${a}", "<int:1..9>", "{p,q}",     "a b", "a,b", "\\",   "\\x",
                                "\"\"", "-rf", "~",    "!x",         "h\xc3\xa9", "#",   "a'b", "[ab]", "?"};
  int wrong = 0;
  for (const std::string& value : values) {
    for (const char* shape : {"${v}", "pre${v}", "${v}post"}) {
      Runbook r;
      r.parameters = {{"v", {value}}};
      r.sudo = {run({shape})};
      const auto filled = fill_commands(r, r.parameters);
      std::string exact(shape);
      exact.replace(exact.find("${v}"), 4, value);
      const bool fine = filled && filled->size() == 1 && matches(filled->front(), exact);
      const bool strict = fine && !matches(filled->front(), "zz") && !matches(filled->front(), "5") &&
                          !matches(filled->front(), "p") && !matches(filled->front(), "a") &&
                          !matches(filled->front(), exact + "x");
      wrong += wrong_if(!strict, (std::string(shape) + " with " + value).c_str());
    }
  }
  return wrong;
}

void test_literals(void**) {
  assert_int_equal(wrong_literals(), 0);
}

struct BadValues {
  const char* name;
  Choices values;
  const char* message;
};
const BadValues kBadValues[] = {
    {"none at all", {}, "parameter a has no value"},
    {"one missing", {{"a", {"1"}}, {"c", {"*"}}}, "parameter b has no value"},
    {"an empty list", {{"a", {}}, {"b", {"-v"}}, {"c", {"*"}}}, "parameter a has no value"},
    {"not a choice", {{"a", {"4"}}, {"b", {"-v"}}, {"c", {"*"}}}, "parameter a cannot be \"4\""},
    {"one of two is not a choice", {{"a", {"1", "4"}}, {"b", {"-v"}}, {"c", {"*"}}}, "parameter a cannot be \"4\""},
    {"twice", {{"a", {"1", "1"}}, {"b", {"-v"}}, {"c", {"*"}}}, "parameter a names \"1\" twice"},
    {"unknown", {{"a", {"1"}}, {"b", {"-v"}}, {"c", {"*"}}, {"d", {"1"}}}, "runbook r has no parameter \"d\""},
};

int wrong_values() {
  int wrong = 0;
  for (const BadValues& c : kBadValues) {
    const auto filled = fill_commands(runbook({run({"${a}"})}), c.values);
    wrong += wrong_if(filled || filled.error().code != Errc::mismatch || filled.error().message != c.message, c.name);
  }
  return wrong;
}

void test_values(void**) {
  assert_int_equal(wrong_values(), 0);
}

// An edit entry is a list of files already: several values make a longer list, not more commands.
int wrong_edit() {
  Command edit = run({"/etc/${a}.conf", "<path:/srv/>", "/etc/${a}/${a}"});
  edit.kind = Command::Kind::edit;
  edit.executables.clear();
  const auto filled = fill_commands(runbook({edit}), {{"a", {"1", "2"}}, {"b", {"-v"}}, {"c", {"*"}}});
  const std::string got = unescaped(text_of(filled));
  const bool bad = got != "/etc/1.conf | /etc/2.conf | <path:/srv/> | /etc/1/1 | /etc/2/2";
  if (bad) std::fprintf(stderr, "  got: %s\n", got.c_str());
  return bad;
}

void test_edit(void**) {
  assert_int_equal(wrong_edit(), 0);
}

int wrong_bound() {
  Runbook r;
  r.name = "r";
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    for (int i = 0; i < 200; ++i) r.parameters[name].push_back(std::to_string(i) + " x");
  }
  r.sudo = {run({"${a}", "${b}", "${c}", "${d}", "${e}"})};
  const auto many = fill_commands(r, r.parameters);
  const auto few =
      fill_commands(r, {{"a", {"1 x", "2 x"}}, {"b", {"1 x"}}, {"c", {"1 x"}}, {"d", {"1 x"}}, {"e", {"1 x"}}});
  return wrong_if(many || many.error().code != Errc::too_large, "all at once") +
         wrong_if(!few || few->size() != 2, "a few");
}

void test_bound(void**) {
  assert_int_equal(wrong_bound(), 0);
}

struct Token {
  const char* text;
  const char* expected;  // names by commas, or the error
};
const Token kTokens[] = {
    {"", ""},
    {"plain", ""},
    {"${a}", "a"},
    {"x${a}y${b}${a}", "a,b,a"},
    {"\\${a}", ""},
    {"{x,y}${a}", "a"},
    {"$", ""},
    {"${", "${ without its }"},
    {"${}", "${} is not a parameter's name"},
    {"${A}", "${A} is not a parameter's name"},
    {"{x,${a}}", "a parameter cannot stand inside {...} or <...>"},
    {"<path:/${a}/>", "a parameter cannot stand inside {...} or <...>"},
    {"\\<${a}", "a"},
};

int wrong_tokens() {
  int wrong = 0;
  for (const Token& c : kTokens) {
    const auto names = token_parameters(c.text);
    std::string got = names ? "" : names.error().message;
    if (names) {
      for (const std::string& name : *names) got += (got.empty() ? "" : ",") + name;
    }
    wrong += wrong_if(got != c.expected, c.text);
  }
  return wrong;
}

void test_tokens(void**) {
  assert_int_equal(wrong_tokens(), 0);
}

int wrong_descriptions() {
  Command plain = run({"{restart,reload}", "nginx"});
  Command full = run({});
  full.executables.push_back("/usr/bin/x");
  full.as_group = "adm";
  full.sha256 = "ab";
  full.subcommands = Subcommands::deny;
  full.env_keep = {"LANG", "TZ"};
  full.password = true;
  Command rest = run({"-l", "**"});
  rest.unbounded = true;
  Command shell = run({});
  shell.kind = Command::Kind::shell;
  Command any = run({});
  any.kind = Command::Kind::any;
  any.subcommands = Subcommands::check;
  Command edit = run({"/etc/motd", "<path:/srv/>"});
  edit.kind = Command::Kind::edit;
  const std::pair<const Command*, const char*> cases[] = {
      {&plain, "as root: /bin/x {restart,reload} nginx"},
      {&full,
       "as root, group adm: /bin/x or /usr/bin/x [only the program with SHA-256 ab] [may start no other program] [may "
       "pass the variables LANG, TZ] [sudo asks for the password]"},
      {&rest, "as root: /bin/x -l ** [** is any further arguments]"},
      {&shell, "as root: a shell (sudo -i, sudo -s), so everything"},
      {&any, "as root: any command, so everything [programs it starts are checked too]"},
      {&edit, "as root: edit /etc/motd or <path:/srv/>"},
  };
  int wrong = 0;
  for (const auto& [command, expected] : cases) wrong += wrong_if(describe_command(*command) != expected, expected);
  return wrong;
}

void test_descriptions(void**) {
  assert_int_equal(wrong_descriptions(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_fill),        cmocka_unit_test(test_literals),
                              cmocka_unit_test(test_values),      cmocka_unit_test(test_edit),
                              cmocka_unit_test(test_bound),       cmocka_unit_test(test_tokens),
                              cmocka_unit_test(test_descriptions)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
