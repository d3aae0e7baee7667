// What is live, what is forgotten, and how it is listed.
#include "hub/registry.h"

#include "hub/grants_json.h"
#include "hub/static_files.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/core/judge_fixture.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::hub;      // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

struct World {
  explicit World(Scene s) : scene(std::move(s)) {
    registry.set_policy({parsed(scene.policy_text), scene.zones, 0}, now());
    for (const Statement& statement : scene.statements) registry.add(statement, next++, now());
  }
  UnixTime now() const { return kNoon + Seconds{scene.now}; }
  bool is_live() const { return registry.live_requests("alice", now()) == 1; }
  std::string json(const std::string& query) const {
    const auto wanted = parse_grant_query(query);
    demand(wanted.has_value());
    return grants_json(registry.cases(wanted->subject), *registry.in_force(), *wanted, now());
  }
  Scene scene;
  Registry registry;
  std::uint64_t next = 1;
};

int wrong_lives() {
  Scene asked;
  asked.ask();
  int wrong = wrong_if(!World(asked).is_live(), "pending");
  Scene approved = asked;
  approved.approve("bob", 60);
  wrong += wrong_if(!World(approved).is_live(), "active");
  approved.now = 60 + 1800;
  wrong += wrong_if(World(approved).is_live(), "its window is over");
  Scene denied = asked;
  denied.deny("bob", 60);
  wrong += wrong_if(World(denied).is_live(), "denied");
  Scene gone = asked;
  gone.revoke_subject("alice", "ana", 60);
  wrong += wrong_if(World(gone).is_live(), "all of alice's revoked");
  Scene late = asked;
  late.now = 8 * 3600 + 1800;
  wrong += wrong_if(World(late).is_live(), "never answered");

  // The policy decides again when another comes.
  World world(asked);
  world.scene.edit("requesters = [\"sre\"]", "requesters = [\"erin\"]");
  world.scene.edit("version = 7", "version = 8");
  world.registry.set_policy({parsed(world.scene.policy_text), world.scene.zones, 9}, world.now());
  wrong += wrong_if(world.is_live(), "void under another policy");
  return wrong;
}

int wrong_identities() {
  Scene scene;
  scene.ask();
  scene.approve("bob", 60);
  World world(scene);
  const StatementId id = id_of(scene.statements[1]);
  const KnownStatement* known = world.registry.find(id);
  int wrong = wrong_if(known == nullptr || known->index != 2U, "known by digest and key");
  world.registry.add(scene.statements[1], 50, world.now());
  wrong += wrong_if(world.registry.find(id)->index != 50U || world.registry.size() != 2, "the newer entry counts");
  world.registry.forget(id_of(scene.statements[0]), world.now());
  wrong += wrong_if(world.registry.size() != 0 || world.registry.grants() != 0,
                    "a request that never got into the log, with all about it");
  wrong += wrong_if(world.registry.add(scene.statements[1], 60, world.now()), "an approval of nothing");
  return wrong;
}

// One who revokes himself all day.
int wrong_flood() {
  Scene scene;
  scene.ask();
  for (int i = 0; i < 1000; ++i) scene.revoke_subject("alice", "alice", 60 + i);
  World world(scene);
  int wrong = wrong_if(world.registry.size() > 100, "a few are enough");
  wrong += wrong_if(world.is_live(), "and they count");
  wrong += wrong_if(world.registry.same_narrowing(scene.statements[5]) == nullptr, "the old ones are covered");
  return wrong + wrong_if(world.registry.find(id_of(scene.statements.back())) == nullptr, "the newest is kept");
}

int wrong_forgetting() {
  Scene scene;
  scene.ask();
  scene.revoke_subject("bob", "ana", 60);
  scene.revoke_key(TestKey::plain("dave").fingerprint(), "dave", 60);
  World world(scene);
  const UnixTime over = latest_end(scene.request);
  int wrong = wrong_if(world.registry.forget_old(over + Seconds{86399}) != 0, "listed for a day");
  wrong += wrong_if(world.registry.forget_old(over + Seconds{86400}) != 1, "and no longer");
  wrong += wrong_if(world.registry.forget_old(kNoon + Seconds{60 + 17 * 86400}) != 1, "a subject's revocation");
  wrong += wrong_if(world.registry.size() != 1, "a key's is for good");
  wrong += wrong_if(world.registry.key_revocations_before(3).size() != 0, "entry 3 is not before 3");
  wrong += wrong_if(world.registry.key_revocations_before(4).size() != 1, "entry 3 is before 4");
  world.scene.edit(TestKey::plain("dave").line(), TestKey::plain("new key of dave").line());
  world.registry.set_policy({parsed(world.scene.policy_text), world.scene.zones, 9}, world.now());
  wrong += wrong_if(!world.registry.key_revocations_before(4).empty(), "a key that nobody has any more");
  wrong += wrong_if(world.registry.forget_old(kNoon + Seconds{60 + 17 * 86400}) != 1, "is forgotten in the end");

  // A key's revocation reaches what it signed, and nothing else.
  Scene signed_twice;
  signed_twice.ask();
  World one(signed_twice);
  signed_twice.revoke_key(TestKey::security("alice").fingerprint(), "alice", 60);
  one.registry.add(signed_twice.statements.back(), 8, one.now());
  wrong += wrong_if(!one.is_live(), "another key of hers");
  signed_twice.revoke_key(TestKey::plain("alice").fingerprint(), "ana", 60);
  one.registry.add(signed_twice.statements.back(), 9, one.now());
  wrong += wrong_if(one.is_live(), "the key that signed the request");
  one.registry.forget(id_of(signed_twice.statements.back()), one.now());
  wrong += wrong_if(!one.is_live(), "which never got into the log");
  return wrong;
}

int wrong_lists() {
  Scene scene;
  scene.ask();
  scene.approve("bob", 60);
  World world(scene);
  const auto lists = [&](const char* query) {
    return world.json(query).find(grant_id(scene.digest())) != std::string::npos;
  };
  int wrong = 0;
  for (const char* query :
       {"", "state=active", "state=pending,active", "subject=alice", "state=active&subject=alice"}) {
    wrong += wrong_if(!lists(query), query);
  }
  for (const char* query : {"state=pending", "state=denied,revoked", "subject=bob"})
    wrong += wrong_if(lists(query), query);
  const std::string id = grant_id(scene.digest());
  wrong += wrong_if(!lists(("grant=" + id.substr(0, 4)).c_str()) || lists("grant=0000"), "by id");
  for (const char* query : {"state=open", "state=void_", "subject=Alice", "sort=age", "state", "&", "grant=*"}) {
    wrong += wrong_if(parse_grant_query(query).has_value(), query);
  }
  const auto json = parse_json(world.json(""));
  if (!json) return wrong + 1;
  const Json& grant = json->find("grants")->as_array()->front();
  wrong += wrong_if(*grant.find("state")->as_string() != "active" || *grant.find("account")->as_string() != "alice",
                    "as judged");
  wrong += wrong_if(grant.find("statements")->as_array()->size() != 2, "its statements");
  wrong += wrong_if(*grant.find("gates")->as_array()->front().find("count")->as_int() != 1, "its gates");
  return wrong;
}

int wrong_files() {
  const std::string hex(64, 'e');
  constexpr std::uint64_t kSize = 70000;
  const struct {
    std::string path;
    bool found;
    bool immutable;
  } rows[] = {
      {"tile/0/000", true, true},
      {"tile/0/272", true, true},
      {"tile/0/273", false, false},  // beyond the head: may yet become another
      {"tile/0/273.p/112", true, false},
      {"tile/0/273.p/111", true, false},
      {"tile/0/273.p/113", false, false},
      {"tile/0/273.p/0", false, false},
      {"tile/0/274.p/1", false, false},
      {"tile/1/001.p/17", true, false},
      {"tile/2/000.p/1", true, false},
      {"tile/2/000.p/2", false, false},
      {"tile/entries/272", true, true},
      {"tile/entries/273", false, false},
      {"tile/entries/../../state/committed", false, false},
      {"tile/../../etc/passwd", false, false},
      {"tile/0/00", false, false},
      {"tile/0/x000/000", false, false},
      {"tile//000", false, false},
      {"policy/" + hex + ".toml", true, true},
      {"policy/" + hex + ".sig", true, true},
      {"policy/" + hex, false, false},
      {"policy/" + hex + ".toml/", false, false},
      {"policy/../" + hex + ".toml", false, false},
      {"policy/" + std::string(64, 'E') + ".toml", false, false},
      {"epoch", true, false},
      {"policies", true, false},
      {"hosts.toml", true, false},
      {"checkpoint", false, false},  // comes out of memory
      {"", false, false},
      {"..", false, false},
      {"/etc/passwd", false, false},
      {".hosts.toml.x", false, false},
  };
  int wrong = 0;
  for (const auto& row : rows) {
    const auto file = static_file(row.path, kSize);
    wrong += wrong_if(file.has_value() != row.found, row.path.c_str());
    wrong += wrong_if(file && (file->immutable != row.immutable || file->name != row.path), row.path.c_str());
  }
  for (const char* yes : {"gzip", "deflate, gzip", "gzip;q=0.5, *", "br;q=1, gzip ;q=1"}) {
    wrong += wrong_if(!accepts_gzip(yes), yes);
  }
  for (const char* no : {"", "deflate", "gzip;q=0", "gzip; q=0.000", "x-gzip", "identity"}) {
    wrong += wrong_if(accepts_gzip(no), no);
  }
  return wrong;
}

void test_lives(void**) {
  assert_int_equal(wrong_lives(), 0);
}
void test_identities(void**) {
  assert_int_equal(wrong_identities(), 0);
}
void test_flood(void**) {
  assert_int_equal(wrong_flood(), 0);
}
void test_forgetting(void**) {
  assert_int_equal(wrong_forgetting(), 0);
}
void test_lists(void**) {
  assert_int_equal(wrong_lists(), 0);
}
void test_files(void**) {
  assert_int_equal(wrong_files(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_lives), cmocka_unit_test(test_identities), cmocka_unit_test(test_forgetting),
      cmocka_unit_test(test_lists), cmocka_unit_test(test_files),      cmocka_unit_test(test_flood),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
