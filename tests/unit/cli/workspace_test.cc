// The shared directory: names of files, ids as typed, publishing without collisions, junk.
#include "cli/workspace.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/unit/cmocka.h"
#include "tests/unit/core/judge_fixture.h"

namespace {

using namespace hallpass;
using namespace hallpass::cli;
using namespace hallpass::testing;

class Directory {
 public:
  Directory() {
    std::string name = "/tmp/hallpass-test-XXXXXX";
    demand(mkdtemp(name.data()) != nullptr);
    path_ = name;
    write("policy.toml", judge_policy_text());
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  void write(const std::string& name, const std::string& text) const { std::ofstream(path_ + "/" + name) << text; }
  std::string read(const std::string& name) const {
    std::stringstream out;
    out << std::ifstream(path_ + "/" + name).rdbuf();
    return out.str();
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

int wrong_names() {
  Scene scene;
  scene.ask();
  scene.approve("bob", 60);
  scene.deny("bob", 70);
  scene.revoke("alice", 80);
  scene.revoke_subject("alice", "alice", 90);
  scene.revoke_key(TestKey::plain("alice").fingerprint(), "alice", 95);
  const std::string id = grant_id(scene.digest());
  const std::string about[] = {id + "-request-", id + "-approve-",        id + "-deny-",
                               id + "-revoke-",  "subject-alice-revoke-", "key-revoke-"};
  int wrong = 0;
  for (std::size_t i = 0; i < scene.statements.size(); ++i) {
    const std::string want = about[i] + hex_encode(scene.statements[i].payload_digest().bytes).substr(0, 8) + ".grant";
    wrong += wrong_if(statement_file_name(scene.statements[i]) != want, want.c_str());
  }
  return wrong;
}

int wrong_publishing() {
  const Directory dir;
  Scene scene;
  scene.ask();
  const Statement& request = scene.statements[0];
  auto workspace = Workspace::open(dir.path());
  demand(workspace.has_value());
  int wrong = wrong_if(workspace->holds(request), "holds nothing yet");
  const auto name = workspace->publish(request);
  demand(name.has_value());
  wrong += wrong_if(dir.read(name.value()) != request.envelope() + "\n", "one envelope and a newline");
  wrong += wrong_if(!workspace->holds(request), "holds it");
  const auto again = workspace->publish(request);
  wrong += wrong_if(!again || again.value() != name.value(), "the same statement again is the same file");
  dir.write(name.value(), "somebody's own file\n");
  const auto beside = workspace->publish(request);
  wrong += wrong_if(!beside || beside.value() == name.value(), "another's file of that name stays");
  wrong += wrong_if(dir.read(name.value()) != "somebody's own file\n", "untouched");
  demand(workspace->reload().has_value());
  wrong +=
      wrong_if(workspace->requests().size() != 1 || workspace->rejected().size() != 1, "read back, with one junk file");
  return wrong;
}

int wrong_ids() {
  const Directory dir;
  auto workspace = Workspace::open(dir.path());
  demand(workspace.has_value());
  std::vector<std::string> ids;
  for (int i = 0; i < 40; ++i) {
    Scene scene;
    scene.request.reason = std::to_string(i);
    scene.ask();
    workspace->add(scene.statements[0]);
    ids.push_back(grant_id(scene.digest()));
  }
  int wrong = 0;
  for (const std::string& id : ids) {
    const auto whole = workspace->find_grant(id);
    wrong += wrong_if(!whole || grant_id(whole.value()) != id, "a whole id");
    const auto first = workspace->find_grant(id.substr(0, 1));
    const auto same =
        std::count_if(ids.begin(), ids.end(), [&](const std::string& other) { return other[0] == id[0]; });
    wrong += wrong_if(first.has_value() != (same == 1), "one letter");
    if (!first)
      wrong += wrong_if(
          first.error().message.find(id.substr(0, 1)) == std::string::npos || first.error().code != Errc::mismatch,
          "names them");
  }
  wrong += wrong_if(workspace->find_grant("").has_value(), "empty");
  wrong += wrong_if(workspace->find_grant("not an id").has_value(), "words");
  return wrong;
}

int wrong_directories() {
  int wrong = wrong_if(Workspace::open("/nonexistent").has_value(), "no directory");
  const Directory dir;
  dir.write("hosts.toml", "[hosts.web-3]\nenv = 3\n");
  wrong += wrong_if(Workspace::open(dir.path()).has_value(), "bad hosts.toml");
  std::filesystem::remove(dir.path() + "/hosts.toml");
  wrong += wrong_if(!Workspace::open(dir.path()).has_value(), "good");
  dir.write("policy.toml.sig", "{}");
  const auto unsigned_policy = Workspace::open(dir.path());
  wrong += wrong_if(!unsigned_policy || unsigned_policy->trust().level != PolicyTrust::Level::unsigned_,
                    "bad signature file");
  dir.write("policy.toml", "format = 1\n");
  wrong += wrong_if(Workspace::open(dir.path()).has_value(), "bad policy");
  return wrong;
}

void test_names(void**) {
  assert_int_equal(wrong_names(), 0);
}
void test_publishing(void**) {
  assert_int_equal(wrong_publishing(), 0);
}
void test_ids(void**) {
  assert_int_equal(wrong_ids(), 0);
}
void test_directories(void**) {
  assert_int_equal(wrong_directories(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_publishing),
                              cmocka_unit_test(test_ids), cmocka_unit_test(test_directories)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
