// Switching on and off, in a directory in place of /: every file bit by bit, and what others do to them meanwhile.
#include "agent/setup/activation.h"

#include <functional>

#include "agent/setup/host_files.h"
#include "agent/setup/targets.h"
#include "tests/unit/setup/activation_world.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

int wrong_there_and_back() {
  int wrong = 0;
  for (const bool bare : {false, true}) {
    World world(bare);
    const Layout& layout = world.layout;
    wrong += wrong_if(!switch_to(layout, kObserve), "observe");
    wrong +=
        wrong_if(read_activation(layout)->now.mode != Mode::observe || !read_activation(layout)->pending, "is pending");
    wrong += wrong_if(!back(layout), "back") + differs(layout, world.before, "nothing is left of it");
    wrong += wrong_if(read_activation(layout)->now.mode != Mode::off, "off again");
    wrong += wrong_if(!switch_and_confirm(layout, kObserve), "observe for good");
    const Tree observing = tree_of(layout);
    wrong += wrong_if(!switch_to(layout, kEnforce), "then enforce");
    wrong += wrong_if(!back(layout), "back to observe") + differs(layout, observing, "as when it was confirmed");
    const ActivationState state = *read_activation(layout);
    wrong += wrong_if(state.now.mode != Mode::observe || state.pending || state.now.sudo, "observe is confirmed still");
    wrong += wrong_if(!switch_and_confirm(layout, kEnforce), "enforce for good");
    const Tree enforcing = tree_of(layout);
    wrong += wrong_if(!switch_to(layout, {Mode::observe, true}), "observe again");
    wrong += wrong_if(!back(layout), "back to enforce") + differs(layout, enforcing, "as it was enforced");
    wrong += wrong_if(!switch_and_confirm(layout, {Mode::observe, true}), "observe again for good");
    wrong +=
        wrong_if(tree_of(layout, false).count("/etc/ssh/sshd_config.d/hallpass.conf") != 0, "key files count again");
    wrong += wrong_if(!off(layout), "off") + differs(layout, world.before, "every bit is as before hallpass");
    wrong += wrong_if(!off(layout), "off twice") + differs(layout, world.before, "still");
    wrong += wrong_if(!std::filesystem::is_empty(layout.activation()), "nothing is remembered");
  }
  return wrong;
}

// What others do to the files meanwhile.
struct Meddling {
  const char* name;
  const char* path;
  std::function<void(const Layout&)> meddle;
  const char* kept;  // must be in the file afterwards; nullptr: there must be no file
  const char* told;  // words of what is told
};

void append(const Layout& layout, const char* path, const char* text) {
  std::ofstream(layout.at(path), std::ios::app | std::ios::binary) << text;
}

const Meddling kMeddling[] = {
    {"a line more in PAM's file", "/etc/pam.d/sshd",
     [](const Layout& l) { append(l, "/etc/pam.d/sshd", "\nsession optional pam_site.so\n"); }, "pam_site.so",
     "/etc/pam.d/sshd had been changed"},
    {"another mode", "/etc/pam.d/sshd", [](const Layout& l) { chmod(l.at("/etc/pam.d/sshd").c_str(), 0600); },
     "pam_loginuid", "/etc/pam.d/sshd had"},
    {"a plugin more", "/etc/sudo.conf",
     [](const Layout& l) { append(l, "/etc/sudo.conf", "Plugin x_approval x.so\n"); }, "x_approval",
     "/etc/sudo.conf had"},
    {"sudo.conf is gone", "/etc/sudo.conf", [](const Layout& l) { unlink(l.at("/etc/sudo.conf").c_str()); }, nullptr,
     ""},
    {"a line more in our own file", "/etc/ssh/sshd_config.d/hallpass.conf",
     [](const Layout& l) { append(l, "/etc/ssh/sshd_config.d/hallpass.conf", "PermitTTY no\n"); }, nullptr,
     ".hallpass.conf.hallpass-changed"},
    {"our own file is gone", "/etc/ssh/sshd_config.d/hallpass.conf",
     [](const Layout& l) { unlink(l.at("/etc/ssh/sshd_config.d/hallpass.conf").c_str()); }, nullptr, ""},
    {"hallpass's lines were taken out by hand", "/etc/pam.d/sshd",
     [](const Layout& l) {
       unlink(l.at("/etc/pam.d/sshd").c_str());
       std::ofstream(l.at("/etc/pam.d/sshd")) << "# mine\n";
     },
     "# mine", ""},
};

int wrong_after(const Meddling& c, bool confirmed) {
  World world;
  const Layout& layout = world.layout;
  const std::string name = std::string(c.name) + (confirmed ? ", off" : ", back");
  const Status begun = confirmed ? switch_and_confirm(layout, kEnforce) : switch_to(layout, kEnforce);
  c.meddle(layout);
  std::vector<std::string> told;
  const Status done = confirmed ? deactivate(layout, told) : go_back(layout, told);
  std::string words;
  for (const std::string& line : told) words += line + "\n";
  const std::string text = read_all(layout.at(c.path));
  const bool there = access(layout.at(c.path).c_str(), F_OK) == 0;
  int wrong = wrong_if(!begun || !done, name.c_str());
  wrong += wrong_if(words.find(c.told) == std::string::npos || (*c.told == '\0' && !words.empty()),
                    (name + ": told: " + words).c_str());
  wrong += wrong_if(text.find("hallpass") != std::string::npos, (name + ": hallpass is in it").c_str());
  // What was taken away while a change waits comes back; hallpass never had it when it is switched off.
  const bool gone = c.kept == nullptr;
  const bool restored = gone && !confirmed && world.before.count(c.path) != 0;
  wrong += wrong_if(gone ? there != restored : text.find(c.kept) == std::string::npos, (name + ": kept").c_str());
  // The other files are as they were.
  Tree now = tree_of(layout, false), before = world.before;
  now.erase(c.path);
  before.erase(c.path);
  if (now != before) print_error("%s", show(now, before).c_str());
  return wrong + wrong_if(now != before, (name + ": the others").c_str());
}

int wrong_meddling() {
  int wrong = 0;
  for (const Meddling& c : kMeddling) wrong += wrong_after(c, false) + wrong_after(c, true);
  return wrong;
}

// What hallpass must not touch.
struct Refusal {
  const char* name;
  std::function<void(const Layout&)> prepare;
  Errc code;
  const char* words;
};

void replace_by_link(const Layout& layout, const char* path) {
  const std::string full = layout.at(path);
  std::filesystem::rename(full, full + ".real");
  std::filesystem::create_symlink(full + ".real", full);
}

const Refusal kRefusals[] = {
    {"a link in PAM's place", [](const Layout& l) { replace_by_link(l, "/etc/pam.d/sshd"); }, Errc::untrusted,
     "symbolic link"},
    {"a link in sudo's place", [](const Layout& l) { replace_by_link(l, "/etc/sudo.conf"); }, Errc::untrusted,
     "symbolic link"},
    {"a link in a directory's place", [](const Layout& l) { replace_by_link(l, "/etc/ssh/sshd_config.d"); },
     Errc::untrusted, "no directory"},
    {"a file for everybody", [](const Layout& l) { chmod(l.at("/etc/sudo.conf").c_str(), 0666); }, Errc::untrusted,
     "chmod go-w"},
    {"a file for its group", [](const Layout& l) { chmod(l.at("/etc/pam.d/sshd").c_str(), 0664); }, Errc::untrusted,
     "chmod go-w"},
    {"a directory for its group", [](const Layout& l) { chmod(l.at("/etc/pam.d").c_str(), 0775); }, Errc::untrusted,
     "chmod go-w"},
    {"a FIFO",
     [](const Layout& l) {
       unlink(l.at("/etc/sudo.conf").c_str());
       mkfifo(l.at("/etc/sudo.conf").c_str(), 0600);
     },
     Errc::untrusted, "no regular file"},
    {"no PAM file", [](const Layout& l) { unlink(l.at("/etc/pam.d/sshd").c_str()); }, Errc::mismatch,
     "/etc/pam.d/other"},
    {"drop-ins are not read",
     [](const Layout& l) {
       std::ofstream(l.at("/etc/ssh/sshd_config")) << "Match all\nInclude /etc/ssh/sshd_config.d/*.conf\n";
     },
     Errc::mismatch, "first line"},
    {"a damaged host.toml", [](const Layout& l) { std::ofstream(l.at("/etc/hallpass/host.toml")) << "x"; },
     Errc::malformed, "host.toml"},
    {"a template is missing", [](const Layout& l) { unlink(l.at("/usr/share/hallpass/sshd/hallpass.conf").c_str()); },
     Errc::unavailable, "install"},
};

int wrong_refusals() {
  int wrong = 0;
  for (const Refusal& c : kRefusals) {
    World world;
    c.prepare(world.layout);
    const Tree before = tree_of(world.layout);
    const Result<Changes> changes = plan_changes(world.layout, kEnforce);
    wrong += wrong_if(changes.has_value(), c.name);
    if (changes) continue;
    wrong += wrong_if(changes.error().code != c.code || changes.error().message.find(c.words) == std::string::npos,
                      changes.error().message.c_str());
    wrong += differs(world.layout, before, c.name);
  }
  return wrong;
}

int wrong_orders() {
  World world;
  const Layout& layout = world.layout;
  const Result<Changes> planned = plan_changes(layout, kObserve);
  int wrong = wrong_if(confirm_activation(layout).has_value(), "nothing waits");
  // Somebody else is quicker.
  append(layout, "/etc/pam.d/sshd", "\n# quick\n");
  const Tree changed = tree_of(layout);
  wrong += wrong_if(apply_changes(layout, *planned, kObserve, kWithin).has_value(), "planned for another file");
  wrong += differs(layout, changed, "and nothing was done");
  const Result<Changes> again = plan_changes(layout, kObserve);
  wrong += wrong_if(!apply_changes(layout, *again, kObserve, kWithin), "planned anew");
  wrong += wrong_if(confirm_activation(layout).has_value(), "not all was in force when it was interrupted");
  wrong += wrong_if(!activation_interrupted(layout), "and that can be told");
  wrong += wrong_if(!mark_activation_done(layout) || activation_interrupted(layout), "now it is");
  wrong += wrong_if(apply_changes(layout, *again, kObserve, kWithin).has_value(), "one change at a time");
  wrong += wrong_if(way_back_due(*read_activation(layout)), "there is time");
  std::vector<std::string> told;
  wrong += wrong_if(deactivate_sudo(layout, told).has_value(), "sudo alone, while a change waits");
  wrong += wrong_if(!confirm_activation(layout) || read_activation(layout)->pending, "confirmed");
  wrong += wrong_if(!plan_changes(layout, kObserve)->empty(), "nothing is left to do");
  wrong += wrong_if(!off(layout), "off") + differs(layout, changed, "with the change of before");
  return wrong;
}

int wrong_sudo_alone() {
  World world;
  const Layout& layout = world.layout;
  int wrong = wrong_if(!switch_and_confirm(layout, {Mode::enforce, false}), "without sudo");
  const Tree without = tree_of(layout);
  wrong += wrong_if(!switch_and_confirm(layout, kEnforce) || !read_activation(layout)->now.sudo, "with sudo");
  std::vector<std::string> told;
  wrong += wrong_if(!deactivate_sudo(layout, told) || read_activation(layout)->now.sudo, "without it again");
  wrong += wrong_if(!told.empty(), "nothing to tell") + differs(layout, without, "sudo's file is as before");
  return wrong + wrong_if(!off(layout), "off") + differs(layout, world.before, "all files are");
}

// Set up by hand, as docs/operations.md says.
int wrong_by_hand() {
  World world;
  const Layout& layout = world.layout;
  int wrong = wrong_if(!switch_and_confirm(layout, kEnforce), "as by hand");
  std::filesystem::remove_all(layout.activation());
  for (const std::string& path : target_paths()) remove_hidden(layout, path, Hidden::original);
  wrong += wrong_if(read_activation(layout)->now.mode != Mode::enforce || !read_activation(layout)->now.sudo,
                    "told by the files");
  wrong += wrong_if(!switch_and_confirm(layout, {Mode::observe, true}), "to observe");
  std::vector<std::string> told;
  wrong += wrong_if(!deactivate(layout, told), "off");
  const std::string pam = read_all(layout.at("/etc/pam.d/sshd"));
  return wrong + wrong_if(pam != kPam + "\n", "hallpass's lines are out");
}

// The record is damaged, and everything it names can be put back nevertheless.
int wrong_damaged() {
  int wrong = 0;
  for (const char* text : {"", "{}", "{\"hallpass\":\"activation/2\"}", "x"}) {
    World world;
    const Layout& layout = world.layout;
    wrong += wrong_if(!switch_and_confirm(layout, kEnforce), "on");
    std::ofstream(layout.activation() + "/record.json") << text;
    const Result<ActivationState> state = read_activation(layout);
    wrong += wrong_if(
        state || state.error().code != Errc::malformed || state.error().message.find("disable") == std::string::npos,
        text);
    wrong += wrong_if(switch_to(layout, kEnforce).has_value() && !plan_changes(layout, kEnforce)->empty(),
                      "nothing new on it");
    std::vector<std::string> told;
    wrong += wrong_if(!deactivate(layout, told) || told.size() != 1, "off, and told");
    wrong += differs(layout, world.before, text);
  }
  return wrong;
}

void test_there_and_back(void**) {
  assert_int_equal(wrong_there_and_back(), 0);
}
void test_meddling(void**) {
  assert_int_equal(wrong_meddling(), 0);
}
void test_refusals(void**) {
  assert_int_equal(wrong_refusals(), 0);
}
void test_orders(void**) {
  assert_int_equal(wrong_orders() + wrong_sudo_alone() + wrong_by_hand(), 0);
}
void test_damaged(void**) {
  assert_int_equal(wrong_damaged(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_meddling),
                              cmocka_unit_test(test_refusals), cmocka_unit_test(test_orders),
                              cmocka_unit_test(test_damaged)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
