#include "core/policy.h"

#include "core/hash.h"
#include "core/policy_parse.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/core/policy_fixture.h"

namespace {

using namespace hallpass;
using namespace hallpass::testing;

// Each row changes one place of the fixture; every finding is checked, with its line.
struct Mistake {
  const char* name;
  const char* from;
  const char* to;
  const char* expected;
};
// clang-format off
const Mistake kMistakes[] = {
    {"format unknown", "format      = 1", "format = 2",
     R"(1: error: format 2 is newer than this program, which knows format 1; install a newer hallpass, or write: format = 1)" "\n"},
    {"format missing", "format      = 1", "# nothing",
     R"(1: error: format is missing in the policy; write: format = 1)" "\n"},
    {"fleet with capitals", R"("acme-prod")", R"("Acme")",
     R"(2: error: fleet "Acme" is not a name; begin with a small letter, then small letters, digits, - and _ (at most 32), such as "acme-prod")" "\n"},
    {"fleet missing", R"(fleet       = "acme-prod")", "",
     R"(1: error: fleet is missing in the policy; write: fleet = "acme-prod")" "\n"},
    {"version 0", "version     = 7", "version = 0",
     R"(3: error: version = 0 in the policy is out of range; write a whole number from 1 to 1000000000)" "\n"},
    {"version in quotes", "version     = 7", R"(version = "7")",
     R"(3: error: version in the policy must be an integer, found a string; write a whole number from 1 to 1000000000)" "\n"},
    {"valid_until missing", "valid_until = 2027-06-30T00:00:00Z", "",
     R"(1: error: valid_until is missing in the policy; write: valid_until = 2027-06-30T00:00:00Z)" "\n"},
    {"valid_until in quotes", "valid_until = 2027-06-30T00:00:00Z", R"(valid_until = "2027-06-30")",
     R"(4: error: valid_until in the policy must be a date-time, found a string; write it without quotes: valid_until = 2027-06-30T00:00:00Z)" "\n"},
    {"presence missing", R"(presence    = "touch")", "",
     R"(1: error: presence is missing in the policy; write: presence = "touch" (or "verified", or "none" where people have no hardware keys))" "\n"},
    {"presence unknown", R"(presence    = "touch")", R"(presence = "yes")",
     R"(5: error: presence = "yes" is not known; write "none", "touch" or "verified")" "\n"},
    {"unknown member at the top", "version     = 7", "version     = 7\nvalid_untill = 3",
     R"(4: error: unknown member "valid_untill" in the policy; write valid_until)" "\n"},
    {"origin with a path", "version     = 7", R"(version = 7
webauthn_origins = ["https://a.example/x"])",
     R"(4: error: "https://a.example/x" is not an origin; write scheme and host only: "https://hallpass.example.com")" "\n"},
    {"origin without https", "version     = 7", R"(version = 7
webauthn_origins = ["http://a.example"])",
     R"(4: error: "http://a.example" is not an origin; write scheme and host only: "https://hallpass.example.com")" "\n"},
    {"origin twice", "version     = 7", R"(version = 7
webauthn_origins = ["https://a.example", "https://a.example"])",
     R"(4: error: webauthn_origins in the policy names "https://a.example" twice; remove one of them)" "\n"},
    {"admins missing", R"([admins]
people    = ["ana", "ben", "chloe"]
threshold = 2
)", "\n\n\n",
     R"(1: error: admins is missing in the policy; write: admins = { people = ["ana", "ben", "chloe"], threshold = 2 })" "\n"},
    {"admins of nobody", R"(people    = ["ana", "ben", "chloe"])", "people = []",
     R"(7: error: [admins] names nobody, so no other policy could ever follow; write: people = ["ana"])" "\n"},
    {"admin unknown", R"("ana", "ben", "chloe")", R"("ana", "ben", "cloe")",
     R"(8: error: "cloe" in [admins] is not a person of this policy; write "chloe", or add [people.cloe])" "\n"},
    {"admin is a service", R"("ana", "ben", "chloe")", R"("ana", "ben", "oncall-bot")",
     R"(8: error: "oncall-bot" in [admins] is not a person of this policy; add [people.oncall-bot])" "\n"},
    {"admin twice", R"("ana", "ben", "chloe")", R"("ana", "ben", "ana")",
     R"(8: error: people in [admins] names "ana" twice; remove one of them)" "\n"},
    {"threshold over admins", "threshold = 2", "threshold = 4",
     R"(9: error: threshold = 4 of 3 admins can never be met; write 3 or less, or add admins)" "\n"},
    {"threshold 0", "threshold = 2", "threshold = 0",
     R"(9: error: threshold = 0 in [admins] is out of range; write a whole number from 1 to 1000)" "\n"},
    {"threshold missing", "threshold = 2", "",
     R"(7: error: threshold is missing in [admins]; write: threshold = 2)" "\n"},
    {"person's name", "[people.bob]", "[people.Bob]",
     R"(21: error: person "Bob" is not a name; begin with a small letter or _, then small letters, digits, - and _, at most 32 characters)" "\n"
     R"(28: error: group sre holds "bob", who is not a person of this policy; add [people.bob])" "\n"
     R"(29: error: group sre-leads holds "bob", who is not a person of this policy; add [people.bob])" "\n"},
    {"keys missing", R"(keys = ["SKEY:bob"])", "",
     R"(21: error: keys is missing in [people.bob]; write: keys = ["ssh-ed25519 AAAA... name"] (a line of ~/.ssh/id_ed25519.pub))" "\n"},
    {"no keys", R"(keys = ["SKEY:bob"])", "keys = []",
     R"(22: error: [people.bob] has no keys; add one: the line in ~/.ssh/id_ed25519.pub)" "\n"},
    {"key is not a key", R"(keys = ["SKEY:bob"])", R"(keys = ["ssh-ed25519 AAAA bob"])",
     R"(22: error: a key of bob cannot be used: the SSH public key is malformed: it does not begin with the name of its type; copy the whole line of the .pub file: "ssh-ed25519 AAAA... comment")" "\n"},
    {"key with options", R"(keys = ["SKEY:bob"])", R"(keys = ["no-pty SKEY:bob"])",
     R"(22: error: a key of bob cannot be used: keys of type "no-pty" are not supported; use ssh-ed25519, ecdsa-sha2-nistp256, ssh-rsa or a FIDO key; copy the whole line of the .pub file: "ssh-ed25519 AAAA... comment")" "\n"},
    {"key of another person", R"(keys = ["SKEY:bob"])", R"(keys = ["SKEY:bob", "KEY:ben"])",
     R"(22: error: this key of bob belongs to ben already; a key belongs to one owner: make another with ssh-keygen)" "\n"},
    {"key of a service and a person", R"(keys = ["KEY:bot"])", R"(keys = ["KEY:bot", "KEY:ben"])",
     R"(25: error: this key of oncall-bot belongs to ben already; a key belongs to one owner: make another with ssh-keygen)" "\n"},
    {"key twice", R"(keys = ["SKEY:bob"])", R"(keys = ["SKEY:bob", "SKEY:bob again"])",
     R"(22: error: this key of bob is listed twice; remove one of them)" "\n"},
    {"comment that cannot be shown", R"(keys = ["SKEY:bob"])", R"(keys = ["SKEY:bob \u202Ebob"])",
     R"(22: error: a key of bob cannot be used: the SSH public key is malformed: the text holds the control or invisible character U+202E at byte 0; remove it; copy the whole line of the .pub file: "ssh-ed25519 AAAA... comment")" "\n"},
    {"account of another", R"(account = "alice")", R"(account = "bob")",
     R"(21: error: account "bob" of bob is the own account of alice; give each person an account of their own; for a shared one write account in the runbook)" "\n"},
    {"account not a name", R"(account = "alice")", R"(account = "al ice")",
     R"(18: error: account "al ice" of alice is not a Unix account name; write the person's login name: account = "alice")" "\n"},
    {"account by number", R"(account = "alice")", R"(account = "1000")",
     R"(18: error: account "1000" of alice is not a Unix account name; write the person's login name: account = "alice")" "\n"},
    {"account called self", R"(account = "alice")", R"(account = "self")",
     R"(18: error: account "self" of alice is not a Unix account name; write the person's login name: account = "alice")" "\n"},
    {"unknown member of a person", R"(account = "alice")", R"(acount = "alice")",
     R"(18: error: unknown member "acount" in [people.alice]; write account)" "\n"},
    {"person is not a table", R"([people.bob]
keys = ["SKEY:bob"])", R"([people]
bob = "SKEY:bob")",
     R"(22: error: [people.bob] must be a table, found a string; write a table: name = value, one a line)" "\n"},
    {"service with a person's name", "[services.oncall-bot]", "[services.bob]",
     R"(24: error: service "bob" has the name of a person (line 21); rename one of them)" "\n"
     R"(62: error: from in gate 2 of rule 2 names "oncall-bot", which is no person, service or group of this policy; add it to [groups] or [people])" "\n"},
    {"group with a person's name", R"(security  = ["chloe", "ben"])", R"(bob = ["chloe"])",
     R"(30: error: group "bob" has the name of a person (line 21); rename one of them)" "\n"
     R"(63: error: revokers in rule 2 names "security", which is no person or group of this policy; add it to [groups] or [people])" "\n"},
    {"group member unknown", R"(sre       = ["alice", "bob"])", R"(sre = ["alcie", "bob"])",
     R"(28: error: group sre holds "alcie", who is not a person of this policy; write "alice", or add [people.alcie])" "\n"},
    {"group member a service", R"(sre       = ["alice", "bob"])", R"(sre = ["alice", "oncall-bot"])",
     R"(28: error: group sre holds "oncall-bot", which is a service; groups hold people; name the service itself in the gate)" "\n"},
    {"group member twice", R"(sre       = ["alice", "bob"])", R"(sre = ["alice",
"alice"])",
     R"(29: error: sre in [groups] names "alice" twice; remove one of them)" "\n"},
    {"group is not a list", R"(sre       = ["alice", "bob"])", R"(sre = "alice")",
     R"(28: error: sre in [groups] must be an array of strings, found a string; write: sre = ["...", "..."])" "\n"},
    {"runbook's name", "[runbooks.deploy]", "[runbooks.Deploy]",
     R"(43: error: runbook "Deploy" is not a name; begin with a small letter or _, then small letters, digits, - and _, at most 32 characters)" "\n"
     R"(58: error: runbooks in rule 2 names "deploy", which is no runbook of this policy; add [runbooks.deploy])" "\n"},
    {"runbook account not a name", R"(account          = "deploy")", R"(account = "#0")",
     R"(44: error: account "#0" of [runbooks.deploy] is not a Unix account name; write "self", or a shared account such as "deploy")" "\n"},
    {"runbook on a person's account", R"(account          = "deploy")", R"(account = "bob")",
     R"(44: error: account "bob" of [runbooks.deploy] is the own account of bob, which belongs to no other; write "self", or a shared account)" "\n"},
    {"max_duration missing", R"(max_duration     = "4h")", "",
     R"(43: error: max_duration is missing in [runbooks.deploy]; write: max_duration = "2h")" "\n"},
    {"max_duration over 7 days", R"(max_duration     = "4h")", R"(max_duration = "8d")",
     R"(45: error: max_duration "8d" of [runbooks.deploy] is over 7 days; write "7d" or less)" "\n"},
    {"max_duration of nothing", R"(max_duration     = "4h")", R"(max_duration = "0m")",
     R"(45: error: max_duration = "0m" in [runbooks.deploy] is not a duration; write for example: max_duration = "30m" (units d, h, m, s))" "\n"},
    {"default over max", R"(default_duration = "30m")", R"(default_duration = "3h")",
     R"(35: error: default_duration "3h" of [runbooks.restart-web] is over its max_duration; write "2h" or less)" "\n"},
    {"title that cannot be shown", R"("Restart a web service")", R"("Restart\u001b[2J")",
     R"(33: error: the title of [runbooks.restart-web] cannot be shown: the text holds the control or invisible character U+001B at byte 7; remove it)" "\n"},
    {"parameter's name", R"({ service = ["nginx", "php8.2-fpm"] })", R"({ Service = ["nginx"], service = ["nginx"] })",
     R"(37: error: parameter "Service" of the parameters of [runbooks.restart-web] is not a name; write small letters, digits, - and _)" "\n"},
    {"parameter without choices", R"(["nginx", "php8.2-fpm"])", "[]",
     R"(37: error: parameter service of the parameters of [runbooks.restart-web] has 0 choices; list 1 to 200: service = ["nginx", "php8.2-fpm"])" "\n"},
    {"choice twice", R"(["nginx", "php8.2-fpm"])", R"(["nginx", "nginx"])",
     R"(37: error: service in the parameters of [runbooks.restart-web] names "nginx" twice; remove one of them)" "\n"},
    {"choice empty", R"(["nginx", "php8.2-fpm"])", R"(["nginx", ""])",
     R"(37: error: a choice of parameter service is empty; remove it)" "\n"},
    {"choice with a newline", R"(["nginx", "php8.2-fpm"])", R"(["nginx", "a\nb"])",
     R"(37: error: a choice of parameter service cannot be shown: the text holds the control or invisible character U+000A at byte 1; remove it)" "\n"},
    {"choices are not strings", R"(["nginx", "php8.2-fpm"])", R"(["nginx", 5])",
     R"(37: error: service in the parameters of [runbooks.restart-web] must hold strings only, found an integer; write: service = ["...", "..."])" "\n"},
    {"parameter unknown", R"("${service}"])", R"("${servce}"])",
     R"(39: error: ${servce} in sudo entry 1 of [runbooks.restart-web] is no parameter of the runbook; write ${service})" "\n"},
    {"parameter unclosed", R"("${service}"])", R"("${service"])",
     R"(39: error: argument "${service" in sudo entry 1 of [runbooks.restart-web]: ${ without its }; write ${name} for a parameter, \\$ for a dollar sign)" "\n"},
    {"parameter in braces", R"("{restart,reload}")", R"("{restart,${service}}")",
     R"(39: error: argument "{restart,${service}}" in sudo entry 1 of [runbooks.restart-web]: a parameter cannot stand inside {...} or <...>; write ${name} for a parameter, \\$ for a dollar sign)" "\n"},
    {"parameter in a path token", R"("{restart,reload}")", R"("<path:/etc/${service}/>")",
     R"(39: error: argument "<path:/etc/${service}/>" in sudo entry 1 of [runbooks.restart-web]: a parameter cannot stand inside {...} or <...>; write ${name} for a parameter, \\$ for a dollar sign)" "\n"},
    {"parameter unused", "parameters       = { service", R"(parameters       = { other = ["x"], service)",
     R"(37: warning: parameter other of [runbooks.restart-web] is used nowhere; remove it, or write ${other} in a command)" "\n"},
    {"sudo is not a list", R"(sudo             = [ { as = "root", run = "shell" } ])", R"(sudo = "ALL")",
     R"(49: error: sudo in [runbooks.break-glass] must be an array, found a string; write: sudo = [ { as = "root", run = ["/usr/bin/systemctl", "restart", "nginx"] } ])" "\n"},
    {"as missing", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ run = ["/usr/bin/systemctl", "${service}"] },)",
     R"(39: error: as is missing in sudo entry 1 of [runbooks.restart-web]; write: as = "root")" "\n"},
    {"as number", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "#0", run = ["/usr/bin/systemctl", "${service}"] },)",
     R"(39: error: as = "#0" in sudo entry 1 of [runbooks.restart-web] is not a user or user:group; write names, not numbers or ALL: as = "root", or as = "postgres:postgres")" "\n"},
    {"as ALL", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "ALL", run = ["/usr/bin/systemctl", "${service}"] },)",
     R"(39: error: as = "ALL" in sudo entry 1 of [runbooks.restart-web] is not a user or user:group; write names, not numbers or ALL: as = "root", or as = "postgres:postgres")" "\n"},
    {"as empty group", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root:", run = ["/usr/bin/systemctl", "${service}"] },)",
     R"(39: error: as = "root:" in sudo entry 1 of [runbooks.restart-web] is not a user or user:group; write names, not numbers or ALL: as = "root", or as = "postgres:postgres")" "\n"},
    {"run and edit", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/usr/bin/id", "${service}"], edit = ["/etc/motd"] },)",
     R"(39: error: sudo entry 1 of [runbooks.restart-web] has both run and edit; make two entries of them)" "\n"},
    {"neither run nor edit", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root" },)",
     R"(39: error: neither run nor edit in sudo entry 1 of [runbooks.restart-web]; write: run = ["/usr/bin/systemctl", "restart", "nginx"])" "\n"},
    {"run an unknown word", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = "all" },)",
     R"(39: error: run = "all" in sudo entry 1 of [runbooks.restart-web] is neither "shell" nor "any"; write an array, one element an argument: run = ["/usr/bin/systemctl", "restart", "nginx"])" "\n"},
    {"run empty", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = [] },)",
     R"(39: error: run in sudo entry 1 of [runbooks.restart-web] has 0 elements; write the program's absolute path, then its arguments)" "\n"},
    {"run relative", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["systemctl", "restart"] },)",
     R"(39: error: the program "systemctl" in sudo entry 1 of [runbooks.restart-web] is not a plain absolute path; write it in full, without . and .. and patterns: "/usr/bin/systemctl")" "\n"},
    {"run with ..", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/usr/bin/../bin/id"] },)",
     R"(39: error: the program "/usr/bin/../bin/id" in sudo entry 1 of [runbooks.restart-web] is not a plain absolute path; write it in full, without . and .. and patterns: "/usr/bin/systemctl")" "\n"},
    {"run with .", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/usr/./bin/id"] },)",
     R"(39: error: the program "/usr/./bin/id" in sudo entry 1 of [runbooks.restart-web] is not a plain absolute path; write it in full, without . and .. and patterns: "/usr/bin/systemctl")" "\n"},
    {"run with //", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/usr//bin/id"] },)",
     R"(39: error: the program "/usr//bin/id" in sudo entry 1 of [runbooks.restart-web] is not a plain absolute path; write it in full, without . and .. and patterns: "/usr/bin/systemctl")" "\n"},
    {"run a directory", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/usr/bin/"] },)",
     R"(39: error: the program "/usr/bin/" in sudo entry 1 of [runbooks.restart-web] is not a plain absolute path; write it in full, without . and .. and patterns: "/usr/bin/systemctl")" "\n"},
    {"run a pattern", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/usr/bin/*"] },)",
     R"(39: error: the program "/usr/bin/*" in sudo entry 1 of [runbooks.restart-web] is not a plain absolute path; write it in full, without . and .. and patterns: "/usr/bin/systemctl")" "\n"},
    {"run a parameter", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/usr/bin/${service}"] },)",
     R"(39: error: the program "/usr/bin/${service}" in sudo entry 1 of [runbooks.restart-web] is not a plain absolute path; write it in full, without . and .. and patterns: "/usr/bin/systemctl")" "\n"},
    {"run list empty", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = [[], "x"] },)",
     R"(39: error: the first element of run in sudo entry 1 of [runbooks.restart-web] must be a path or a list of 1 to 16 paths; write: run = ["/usr/bin/systemctl", ...] or run = [["/usr/bin/systemctl", "/bin/systemctl"], ...])" "\n"},
    {"run list twice", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = [["/bin/id", "/bin/id"], "x"] },)",
     R"(39: error: the program "/bin/id" stands twice in sudo entry 1 of [runbooks.restart-web]; remove one of them)" "\n"},
    {"argument not a string", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/bin/id", 5] },)",
     R"(39: error: run in sudo entry 1 of [runbooks.restart-web] must hold strings, found an integer; put it in quotes)" "\n"},
    {"argument a shell pattern", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/bin/ls", "a b"] },)",
     R"(39: error: sudo entry 1 of [runbooks.restart-web]: the token "a b": the character ' ' must be escaped with a backslash, or an argument of its own)" "\n"},
    {"argument with a hidden character", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/bin/ls", "a\u202Eb"] },)",
     R"(39: error: an argument in sudo entry 1 of [runbooks.restart-web] cannot be shown: the text holds the control or invisible character U+202E at byte 1; remove it)" "\n"},
    {"int range empty", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/bin/ls", "<int:5..1>"] },)",
     R"(39: error: sudo entry 1 of [runbooks.restart-web]: the token "<int:5..1>": its lower bound is greater than its upper bound)" "\n"},
    {"** without unbounded", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/bin/ls", "**"] },)",
     R"(39: error: ** in sudo entry 1 of [runbooks.restart-web] lets any further arguments through; write the arguments out, or accept it: unbounded = true)" "\n"},
    {"** not last", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/bin/ls", "**", "x"], unbounded = true },)",
     R"(39: error: ** in sudo entry 1 of [runbooks.restart-web] is not the last argument of a run; write * for part of one argument)" "\n"},
    {"unbounded without **", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/bin/ls", "x"], unbounded = true },)",
     R"(39: error: unbounded = true in sudo entry 1 of [runbooks.restart-web], but its last argument is not **; remove it)" "\n"},
    {"unbounded with shell", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = "shell", unbounded = true },)",
     R"(39: error: unbounded in sudo entry 1 of [runbooks.restart-web] goes with run = [...] only; remove it)" "\n"},
    {"sha256 short", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/bin/ls"], sha256 = "abcd" },)",
     R"(39: error: sha256 in sudo entry 1 of [runbooks.restart-web] is not 64 small hexadecimal digits; write what `sha256sum /bin/ls` prints)" "\n"},
    {"sha256 capitals", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/bin/ls"], sha256 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" },)",
     R"(39: error: sha256 in sudo entry 1 of [runbooks.restart-web] is not 64 small hexadecimal digits; write what `sha256sum /bin/ls` prints)" "\n"},
    {"sha256 of any", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = "any", sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },)",
     R"(39: error: sha256 in sudo entry 1 of [runbooks.restart-web] goes with run = [...] only; remove it)" "\n"},
    {"subcommands unknown", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/bin/ls"], subcommands = "no" },)",
     R"(39: error: subcommands = "no" in sudo entry 1 of [runbooks.restart-web] is not known; write "allow", "deny" or "check")" "\n"},
    {"subcommands with edit", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", edit = ["/etc/motd"], subcommands = "deny" },)",
     R"(39: error: subcommands in sudo entry 1 of [runbooks.restart-web] goes with run only; remove it)" "\n"},
    {"env_keep not a name", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/bin/ls"], env_keep = ["A B"] },)",
     R"(39: error: env_keep names "A B" in sudo entry 1 of [runbooks.restart-web], which is no variable's name; write names only, such as "LANG")" "\n"},
    {"env_keep LD_PRELOAD", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/bin/ls"], env_keep = ["LD_PRELOAD"] },)",
     R"(39: error: env_keep names LD_PRELOAD in sudo entry 1 of [runbooks.restart-web], which can make a program run something else; remove it)" "\n"},
    {"env_keep PATH", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/bin/ls"], env_keep = ["LANG", "PATH"] },)",
     R"(39: error: env_keep names PATH in sudo entry 1 of [runbooks.restart-web], which can make a program run something else; remove it)" "\n"},
    {"env_keep PYTHONPATH", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/bin/ls"], env_keep = ["PYTHONPATH"] },)",
     R"(39: error: env_keep names PYTHONPATH in sudo entry 1 of [runbooks.restart-web], which can make a program run something else; remove it)" "\n"},
    {"env_keep BASH_FUNC", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/bin/ls"], env_keep = ["BASH_FUNC_ls"] },)",
     R"(39: error: env_keep names BASH_FUNC_ls in sudo entry 1 of [runbooks.restart-web], which can make a program run something else; remove it)" "\n"},
    {"env_keep twice", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/bin/ls"], env_keep = ["LANG", "LANG"] },)",
     R"(39: error: env_keep in sudo entry 1 of [runbooks.restart-web] names "LANG" twice; remove one of them)" "\n"},
    {"password not a boolean", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/bin/ls"], password = "yes" },)",
     R"(39: error: password in sudo entry 1 of [runbooks.restart-web] must be a boolean, found a string; write: password = true, or false)" "\n"},
    {"edit empty", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", edit = [] },)",
     R"(39: error: edit in sudo entry 1 of [runbooks.restart-web] must be an array of files; write: edit = ["<path:/etc/nginx/conf.d/>"])" "\n"},
    {"edit relative", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", edit = ["motd"] },)",
     R"(39: error: edit in sudo entry 1 of [runbooks.restart-web] must name files: absolute paths, or <path:/directory/>; write: edit = ["/etc/motd", "<path:/etc/nginx/conf.d/>"])" "\n"},
    {"edit with ..", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", edit = ["/etc/../motd"] },)",
     R"(39: error: edit in sudo entry 1 of [runbooks.restart-web] must name files: absolute paths, or <path:/directory/>; write: edit = ["/etc/motd", "<path:/etc/nginx/conf.d/>"])" "\n"},
    {"edit a glob", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", edit = ["/etc/*"] },)",
     R"(39: error: edit in sudo entry 1 of [runbooks.restart-web] must name files: absolute paths, or <path:/directory/>; write: edit = ["/etc/motd", "<path:/etc/nginx/conf.d/>"])" "\n"},
    {"edit **", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", edit = ["**"] },)",
     R"(39: error: ** in sudo entry 1 of [runbooks.restart-web] is not the last argument of a run; write * for part of one argument)" "\n"},
    {"unknown member of a command", R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)", R"({ as = "root", run = ["/bin/ls"], subcommand = "deny" },)",
     R"(39: error: unknown member "subcommand" in sudo entry 1 of [runbooks.restart-web]; write subcommands)" "\n"},
    {"sudo on a shared account", R"(max_duration     = "4h")", R"(max_duration = "4h"
sudo = [ { as = "root", run = ["/bin/ls"] } ])",
     R"(46: error: [runbooks.deploy] gives sudo on the shared account "deploy", where people can act as each other; write shared_sudo = true to accept that, or account = "self")" "\n"},
    {"shared_sudo on one's own account", R"(default_duration = "30m")", R"(default_duration = "30m"
shared_sudo = true)",
     R"(36: warning: shared_sudo in [runbooks.restart-web] has no effect on people's own accounts; remove it)" "\n"},
    {"unknown member of a runbook", R"(max_duration     = "4h")", R"(max_duration = "4h"
default_durations = "1h")",
     R"(46: error: unknown member "default_durations" in [runbooks.deploy]; write default_duration)" "\n"},
    {"rules missing", R"([[rules]]
runbooks   = ["restart-web"]
requesters = ["sre"]
targets    = ["env=prod,role=web"])", R"([[rule]]
runbooks   = ["restart-web"]
requesters = ["sre"]
targets    = ["env=prod,role=web"])",
     R"(51: error: unknown member "rule" in the policy; write rules)" "\n"},
    {"rule for an unknown runbook", R"(runbooks   = ["break-glass"])", R"(runbooks   = ["brake-glass"])",
     R"(66: error: runbooks in rule 3 names "brake-glass", which is no runbook of this policy; write "break-glass", or add [runbooks.brake-glass])" "\n"},
    {"rule without runbooks", R"(runbooks   = ["break-glass"])", "runbooks   = []",
     R"(66: error: rule 3 names no runbook; write: runbooks = ["restart-web"])" "\n"},
    {"rule missing runbooks", R"(runbooks   = ["break-glass"])", "",
     R"(65: error: runbooks is missing in rule 3; write: runbooks = ["restart-web"])" "\n"},
    {"requester unknown", R"(requesters = ["sre"])", R"(requesters = ["sr"])",
     R"(53: error: requesters in rule 1 names "sr", which is no person or group of this policy; write "sre", or add it to [groups] or [people])" "\n"},
    {"requester a service", R"(requesters = ["sre"])", R"(requesters = ["oncall-bot"])",
     R"(53: error: requesters in rule 1 names the service "oncall-bot"; name people and groups: a service counts only in a gate)" "\n"},
    {"requesters empty", R"(requesters = ["sre"])", "requesters = []",
     R"(53: error: rule 1 lets nobody ask; write: requesters = ["sre"])" "\n"},
    {"requesters missing", R"(requesters = ["sre"])", "",
     R"(51: error: requesters is missing in rule 1; write: requesters = ["sre"])" "\n"},
    {"target not a selector", R"(["env=prod,role=web"])", R"(["env"])",
     R"(54: error: targets in rule 1: target "env": each part must be label=value or host=NAME; write label=value, joined by commas where all must hold: "env=prod,role=web")" "\n"},
    {"targets empty", R"(["env=prod,role=web"])", "[]",
     R"(54: error: rule 1 names no targets; write: targets = ["env=prod"])" "\n"},
    {"targets missing", R"(targets    = ["env=prod,role=web"])", "",
     R"(51: error: targets is missing in rule 1; write: targets = ["env=prod,role=web"])" "\n"},
    {"hours not hours", R"("Mon-Fri 07:00-19:00 Europe/Berlin")", R"("always")",
     R"(55: error: rule 1: hours "always": days, a span and a zone are needed, one space apart; write them like "Mon-Fri 07:00-19:00 Europe/Berlin")" "\n"},
    {"hours empty", R"(hours      = ["Mon-Fri 07:00-19:00 Europe/Berlin"])", "hours = []",
     R"(55: error: hours in rule 1 is empty; remove it for any time, or list spans)" "\n"},
    {"rule max_duration over 7 days", R"(max_duration = "1h"
gates)", R"(max_duration = "7d1s"
gates)",
     R"(61: error: max_duration "7d1s" of rule 2 is over 7 days; write "7d" or less)" "\n"},
    {"rule max_duration nothing", R"(max_duration = "1h"
gates)", R"(max_duration = "0s"
gates)",
     R"(61: error: max_duration = "0s" in rule 2 is not a duration; write for example: max_duration = "30m" (units d, h, m, s))" "\n"},
    {"gates not a list", R"(gates      = [ { from = ["sre-leads"], count = 1 }, { from = ["oncall-bot"] } ])", "gates = 2",
     R"(62: error: gates in rule 2 must be an array of 1 to 4 gates; write: gates = [ { from = ["sre-leads"], count = 1 } ])" "\n"},
    {"gate from unknown", R"({ from = ["sre-leads"], count = 1 })", R"({ from = ["sre-leeds"], count = 1 })",
     R"(62: error: from in gate 1 of rule 2 names "sre-leeds", which is no person, service or group of this policy; write "sre-leads", or add it to [groups] or [people])" "\n"},
    {"gate from nobody", R"({ from = ["sre-leads"], count = 1 })", "{ from = [], count = 1 }",
     R"(62: error: gate 1 of rule 2 asks nobody; write: from = ["sre-leads"])" "\n"},
    {"gate count 0", R"({ from = ["sre-leads"], count = 1 })", R"({ from = ["sre-leads"], count = 0 })",
     R"(62: error: count = 0 in gate 1 of rule 2 is out of range; write a whole number from 1 to 10)" "\n"},
    {"gate count over members", R"({ from = ["sre-leads"], count = 1 })", R"({ from = ["sre-leads"], count = 3 })",
     R"(62: error: gate 1 of rule 2 asks for 3 people out of 2; lower count or name more people in from)" "\n"},
    {"gates overlap too much", R"({ from = ["sre-leads"], count = 1 }, { from = ["oncall-bot"] })", R"({ from = ["sre-leads"], count = 2 }, { from = ["ana"] })",
     R"(62: error: the gates of rule 2 can never be filled: they need 3 distinct people other than the one who asks; name more people in from, or lower count)" "\n"},
    {"gate of requesters only", R"({ from = ["sre-leads"], count = 1 })", R"({ from = ["sre"], count = 2 })",
     R"(62: error: the gates of rule 2 can never be filled: they need 3 distinct people other than the one who asks; name more people in from, or lower count)" "\n"},
    {"gate without from", R"({ from = ["oncall-bot"] })", "{ count = 1 }",
     R"(62: error: from is missing in gate 2 of rule 2; write: from = ["sre-leads"])" "\n"},
    {"gate unknown member", R"({ from = ["oncall-bot"] })", R"({ from = ["oncall-bot"], cuont = 1 })",
     R"(62: error: unknown member "cuont" in gate 2 of rule 2; write count)" "\n"},
    {"revoker unknown", R"(revokers   = ["security"])", R"(revokers = ["securty"])",
     R"(63: error: revokers in rule 2 names "securty", which is no person or group of this policy; write "security", or add it to [groups] or [people])" "\n"},
    {"revoker a service", R"(revokers   = ["security"])", R"(revokers = ["oncall-bot"])",
     R"(63: error: revokers in rule 2 names the service "oncall-bot"; name people and groups: a service counts only in a gate)" "\n"},
    {"rule presence unknown", R"(presence   = "verified")", R"(presence = "pin")",
     R"(69: error: presence = "pin" is not known; write "none", "touch" or "verified")" "\n"},
    {"alert not a boolean", "alert      = true", R"(alert = "yes")",
     R"(70: error: alert in rule 3 must be a boolean, found a string; write: alert = true, or false)" "\n"},
    {"unknown member of a rule", "alert      = true", "alerts = true",
     R"(70: error: unknown member "alerts" in rule 3; write alert)" "\n"},
    {"syntax error", "version     = 7", "version = = 7",
     R"(3: error: not valid TOML: Error while parsing value: could not determine value type)" "\n"},
};
// clang-format on

std::string without_file(const std::string& text) {
  return replace_all(text, "policy.toml:", "");
}

int wrong_mistakes() {
  int wrong = 0;
  for (const Mistake& c : kMistakes) {
    std::vector<Diagnostic> found;
    const auto policy = parse_policy(policy_text(c.from, c.to), found);
    const std::string got = without_file(all_diagnostics(found));
    const bool refused = policy == nullptr;
    const bool bad =
        got != c.expected || refused != (got.find(": error: ") != std::string::npos) || refused != has_errors(found);
    wrong += wrong_if(bad, c.name);
    if (bad) std::fprintf(stderr, "  got: %s", got.c_str());
  }
  return wrong;
}

void test_mistakes(void**) {
  assert_int_equal(wrong_mistakes(), 0);
}

// Rows that change the fixture and must be accepted without a word.
struct Fine {
  const char* name;
  const char* from;
  const char* to;
};
#define SYSTEMCTL R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)"
const Fine kFine[] = {
    {"the fixture itself", "", ""},
    {"account defaults to the name", R"(account = "alice")", ""},
    {"account with dot and capitals", R"(account = "alice")", R"(account = "Alice.Smith")"},
    {"origins", "version     = 7",
     "version = 7\nwebauthn_origins = [\"https://a.example\", \"https://a.example:8443\"]"},
    {"an empty group", R"(security  = ["chloe", "ben"])", "security = []"},
    {"7 days exactly", R"(max_duration     = "4h")", R"(max_duration = "7d")"},
    {"a rule of 7 days", "max_duration = \"1h\"\ngates", "max_duration = \"7d\"\ngates"},
    {"threshold of all", "threshold = 2", "threshold = 3"},
    {"several paths", SYSTEMCTL, R"({ as = "root", run = [["/usr/bin/systemctl", "/bin/systemctl"], "stop"] },)"},
    {"no arguments", SYSTEMCTL, R"({ as = "root", run = ["/usr/bin/id"] },)"},
    {"the empty argument", SYSTEMCTL, R"({ as = "root", run = ["/usr/bin/id", "\"\""] },)"},
    {"user and group", SYSTEMCTL, R"({ as = "postgres:postgres", run = ["/usr/bin/id"] },)"},
    {"any", SYSTEMCTL, R"({ as = "root", run = "any", subcommands = "check" },)"},
    {"edit", SYSTEMCTL,
     R"({ as = "root", edit = ["<path:/etc/nginx/conf.d/>", "<path:/srv/**>", "/etc/motd", "/etc/${service}.conf"] },)"},
    {"unbounded", SYSTEMCTL, R"({ as = "root", run = ["/usr/bin/id", "**"], unbounded = true },)"},
    {"everything else", SYSTEMCTL,
     R"({ as = "root", run = ["/usr/bin/id"], sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", env_keep = ["LANG", "_x9"], password = true, unbounded = false, subcommands = "allow" },)"},
    {"a parameter within a token", R"("-n", "<int:1..10000>")", R"("--unit=${service}.service", "*")"},
    {"a dollar sign that is none", R"("-n", "<int:1..10000>")", R"("\\${a,b}")"},
    {"a choice that needs escapes", R"(["nginx", "php8.2-fpm"])", R"(["nginx", "a b;c", "{x}", "${y}", "*"])"},
    {"sudo on a shared account", R"(max_duration     = "4h")",
     "max_duration = \"4h\"\nshared_sudo = true\nsudo = [ { as = \"root\", run = [\"/bin/ls\"] } ]"},
    {"an account of root", R"(account          = "deploy")", R"(account = "root")"},
    {"hours over midnight", "Mon-Fri 07:00-19:00 Europe/Berlin", "Fri 22:00-06:00 UTC"},
    {"a person in a gate and as requester", R"(requesters = ["sre"])", R"(requesters = ["alice", "ana"])"},
    {"overlapping gates that can be filled", R"({ from = ["sre-leads"], count = 1 }, { from = ["oncall-bot"] })",
     R"({ from = ["sre-leads", "chloe"], count = 1 }, { from = ["ana"] })"},
};

int wrong_fine() {
  int wrong = 0;
  for (const Fine& c : kFine) {
    std::vector<Diagnostic> found;
    const bool refused = parse_policy(policy_text(c.from, c.to), found) == nullptr;
    wrong += wrong_if(refused || !found.empty(), c.name);
    if (!found.empty()) std::fprintf(stderr, "  got: %s", all_diagnostics(found).c_str());
  }
  return wrong;
}

void test_fine(void**) {
  assert_int_equal(wrong_fine(), 0);
}

int wrong_values() {
  const auto p = must_parse(policy_text());
  const Runbook& web = p->runbooks.at("restart-web");
  const Runbook& deploy = p->runbooks.at("deploy");
  const Rule& second = p->rules.at(1);
  std::string owner;
  const EnrolledKey* key = p->find_fingerprint(TestKey::plain("alice").fingerprint(), &owner);
  const auto bot = p->find(*PublicKey::from_line(TestKey::plain("bot").line()));
  int wrong = 0;
  wrong += wrong_if(p->format != 1 || p->fleet != "acme-prod" || p->version != 7, "header");
  wrong +=
      wrong_if(format_time(p->valid_until) != "2027-06-30T00:00:00Z" || p->presence != Presence::touch, "validity");
  wrong += wrong_if(p->admins != std::set<std::string>{"ana", "ben", "chloe"} || p->admin_threshold != 2, "admins");
  wrong += wrong_if(p->people.size() != 5 || p->people.at("bob").account != "bob", "people");
  wrong += wrong_if(key == nullptr || owner != "alice" || key->comment != "laptop", "comment");
  wrong += wrong_if(p->find_fingerprint("SHA256:nobody", &owner) != nullptr, "no such fingerprint");
  wrong += wrong_if(!bot || bot->name != "oncall-bot", "a service's key");
  wrong += wrong_if(p->find(*PublicKey::from_line(TestKey::plain("stranger").line())).has_value(), "a stranger's key");
  wrong += wrong_if(web.title != "Restart a web service" || web.account != "self" || web.line != 32, "runbook");
  wrong += wrong_if(web.default_duration != Seconds{1800} || web.max_duration != Seconds{7200}, "durations");
  wrong += wrong_if(deploy.default_duration != Seconds{1800}, "default_duration is 30m");
  wrong += wrong_if(p->runbooks.at("break-glass").account != "self", "account is self");
  wrong += wrong_if(web.sudo.size() != 2 || web.sudo[1].subcommands != Subcommands::deny, "commands");
  wrong += wrong_if(
      p->account_for(web, p->people.at("bob")) != "bob" || p->account_for(deploy, p->people.at("bob")) != "deploy",
      "account_for");
  wrong +=
      wrong_if(second.number != 2 || second.line != 57 || second.presence != Presence::touch || second.alert, "rule");
  wrong += wrong_if(second.requester_people != std::set<std::string>{"alice", "bob"}, "requesters");
  wrong += wrong_if(second.gates.at(0).members != std::set<std::string>{"ana", "bob"} || second.gates.at(1).count != 1,
                    "gates");
  wrong += wrong_if(second.gates.at(1).members != std::set<std::string>{"oncall-bot"}, "a service in a gate");
  wrong += wrong_if(second.revokers != std::set<std::string>{"ben", "chloe"}, "revokers");
  wrong += wrong_if(p->rules.at(2).presence != Presence::verified || !p->rules.at(2).alert, "rule 3");
  wrong += wrong_if(p->zone_names() != std::set<std::string>{"Europe/Berlin"}, "zones");
  wrong += wrong_if(p->text != policy_text() || p->digest != sha256(policy_text()), "text and digest");
  return wrong;
}

void test_values(void**) {
  assert_int_equal(wrong_values(), 0);
}

Digest digest_with(std::string_view from, std::string_view to) {
  return must_parse(policy_text(from, to))->runbooks.at("restart-web").digest;
}

// The canonical JSON of docs/formats.md, written by hand: a change of the format must be seen here.
int wrong_digest() {
  constexpr std::string_view kJson =
      R"({"account":"self","default_duration":1800,"hallpass":"runbook/1","max_duration":7200,"parameters":{"service":["nginx","php8.2-fpm"]},)"
      R"("sudo":[{"arguments":["{restart,reload}","${service}"],"as_group":"","as_user":"root","env_keep":[],"executables":["/usr/bin/systemctl"],)"
      R"("kind":"run","password":false,"sha256":"","subcommands":"allow","unbounded":false},)"
      R"({"arguments":["-u","${service}","-n","<int:1..10000>"],"as_group":"","as_user":"root","env_keep":[],"executables":["/usr/bin/journalctl"],)"
      R"("kind":"run","password":false,"sha256":"","subcommands":"deny","unbounded":false}]})";
  const Digest known = digest_with("", "");
  int wrong = 0;
  wrong += wrong_if(known != sha256(kJson), "the JSON of docs/formats.md");
  wrong += wrong_if(format_digest(known) != "sha256:2ae976057276770786f538d3b6b22c48f089beef3c72845a2d541cbf2da38f15",
                    "the known digest");
  const std::pair<const char*, const char*> same[] = {
      {"\"Restart a web service\"", "\"Another title\""},
      {"account          = \"self\"", ""},
      {"default_duration = \"30m\"", ""},
      {"\"30m\"", "\"1800s\""},
      {"[\"nginx\", \"php8.2-fpm\"]", "[\"php8.2-fpm\", \"nginx\"]"},
      {"\"${service}\"] },", "\"${service}\"], subcommands = \"allow\", password = false, env_keep = [] },"},
      {"[\"/usr/bin/systemctl\",", "[[\"/usr/bin/systemctl\"],"},
  };
  for (const auto& [from, to] : same) wrong += wrong_if(digest_with(from, to) != known, from);
  const std::pair<const char*, const char*> other[] = {
      {"account          = \"self\"", "account = \"deploy\"\nshared_sudo = true"},
      {"default_duration = \"30m\"", "default_duration = \"31m\""},
      {"max_duration     = \"2h\"", "max_duration = \"3h\""},
      {"\"php8.2-fpm\"", "\"php8.3-fpm\""},
      {"{restart,reload}", "{reload,restart}"},
      {"\"${service}\"] },", "\"${service}\"], password = true },"},
      {"\"${service}\"] },", "\"${service}\"], subcommands = \"check\" },"},
      {"\"${service}\"] },", "\"${service}\"], env_keep = [\"LANG\"] },"},
      {"as = \"root\"", "as = \"root:adm\""},
  };
  for (const auto& [from, to] : other) wrong += wrong_if(digest_with(from, to) == known, from);
  return wrong;
}

void test_digest(void**) {
  assert_int_equal(wrong_digest(), 0);
}

// Hostile files: refused in bounded time, with a bounded number of findings.
int wrong_hostile() {
  int wrong = 0;
  std::string unknown = policy_text();
  for (int i = 0; i < 3000; ++i) unknown += "[[rules]]\nrunbooks=[\"x\"]\nrequesters=[\"y\"]\ntargets=[\"z=1\"]\n";
  std::vector<Diagnostic> found;
  wrong += wrong_if(parse_policy(unknown, found) != nullptr || found.size() > 1000, "3000 rules of unknown names");

  std::string people = policy_text();
  std::string group = "[]";
  for (int i = 0; i < 3000; ++i) {
    people += "[people.p" + std::to_string(i) + "]\nkeys=[\"" + TestKey::plain(std::to_string(i)).line() + "\"]\n";
    group.insert(group.size() - 1, (i == 0 ? "\"p" : ",\"p") + std::to_string(i) + "\"");
  }
  people = replace_all(people, "sre       = [\"alice\", \"bob\"]", "sre = " + group);
  found.clear();
  wrong += wrong_if(parse_policy(people, found) == nullptr, "3000 people");
  for (int i = 0; i < 100; ++i) people += "[[rules]]\nrunbooks=[\"deploy\"]\nrequesters=[\"sre\"]\ntargets=[\"z=1\"]\n";
  found.clear();
  const bool refused = parse_policy(people, found) == nullptr;
  wrong += wrong_if(!refused || found.size() != 1 || found[0].message.find("200000 people in all") == std::string::npos,
                    "3000 people in 100 rules");

  found.clear();
  wrong += wrong_if(parse_policy(std::string(kMaxPolicyBytes + 1, '\n'), found) != nullptr || found.size() != 1,
                    "too large");
  found.clear();
  wrong += wrong_if(parse_policy("", found) != nullptr || !has_errors(found), "empty");
  return wrong;
}

void test_hostile(void**) {
  assert_int_equal(wrong_hostile(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_mistakes), cmocka_unit_test(test_fine),
                              cmocka_unit_test(test_values), cmocka_unit_test(test_digest),
                              cmocka_unit_test(test_hostile)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
