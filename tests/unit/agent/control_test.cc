// The control socket before users who mean no good: floods, silence, long messages, clients that go.
#include "agent/control.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "agent/ctl/ask.h"
#include "tests/unit/agent/fixture.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr uid_t kAlice = 1000, kBob = 1001;

// A client that never blocks. `heard` grows as the socket's owner serves.
class Client {
 public:
  explicit Client(const std::string& path) : fd_(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    demand(connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  ~Client() { go(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  Client& say(std::string_view text) {
    (void)send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
    return *this;
  }
  void go() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  bool ended() const { return ended_; }  // by the agent
  const std::string& heard() {
    std::string packet(std::size_t{64} * 1024, '\0');
    for (int resets = 0; !ended_;) {
      const ssize_t got = recv(fd_, packet.data(), packet.size(), 0);
      if (got > 0) heard_.append(packet, 0, static_cast<std::size_t>(got));
      if (got < 0 && errno == EAGAIN) break;
      ended_ = got == 0 || (got < 0 && ++resets > 1);
    }
    return heard_;
  }

 private:
  int fd_;
  std::string heard_;
  bool ended_ = false;
};

ControlSocket::Limits quick() {
  ControlSocket::Limits limits;
  limits.pause = milliseconds{1};
  limits.patience = milliseconds{60};
  return limits;
}

struct Stage {
  explicit Stage(const ControlSocket::Limits& limits = quick())
      : path(dir.path() + "/control"),
        socket([this](const Peer& peer, std::string_view command) { return handle(peer, command); }, limits,
               [this](int) { return next_peer(); }) {
    demand(socket.open(path).has_value());
  }
  // Whoever connects next is of this user; peers that are accepted have been queued in the same order.
  std::unique_ptr<Client> connect(uid_t uid) {
    peers.push_back({4711, uid});
    return std::make_unique<Client>(path);
  }
  Result<std::string> handle(const Peer& peer, std::string_view command) {
    asked.emplace_back(command);
    if (command == "slow") std::this_thread::sleep_for(milliseconds{350});
    if (command == "fail") return Error{Errc::unavailable, "it failed"};
    return answer.empty() ? std::to_string(peer.pid) + "/" + std::to_string(peer.uid) : answer;
  }
  std::optional<Peer> next_peer() {
    if (peers.empty()) return std::nullopt;
    const Peer peer = peers.front();
    peers.pop_front();
    return peer;
  }
  bool readable(int wait_ms = 0) const {
    pollfd waiting{socket.fd(), POLLIN, 0};
    return poll(&waiting, 1, wait_ms) == 1;
  }
  // As the event loop does, until `done` or too long.
  template <class Done>
  bool serve_until(Done done) {
    const auto deadline = Clock::now() + std::chrono::seconds{20};
    while (!done() && Clock::now() < deadline) {
      if (readable(10)) socket.serve(), ++turns;
    }
    return done();
  }

  TempDir dir;
  std::string path;
  std::deque<Peer> peers;
  std::vector<std::string> asked;
  std::string answer;
  int turns = 0;
  ControlSocket socket;
};

bool says(const std::string& heard, std::string_view words) {
  return heard.find(words) != std::string::npos;
}

struct Asked {
  const char* name;
  uid_t uid;
  std::string command;
  const char* heard;  // words of the answer; empty: hung up on
  bool handled;
};

int wrong_commands() {
  const Asked cases[] = {
      {"root asks anything", 0, "sessions", R"({"ok":true,"text":"4711/0"})", true},
      {"a user asks for the time", kAlice, "time", R"({"ok":true,"text":"4711/1000"})", true},
      {"a user gives back", kAlice, "done", R"({"ok":true,"text":"4711/1000"})", true},
      {"a user asks for sessions", kAlice, "sessions", "only root", false},
      {"a user ends a session", kAlice, "end 5", "only root", false},
      {"a user resets the ledger", kAlice, "ledger-reset", "only root", false},
      {"a user accepts the clock", kAlice, "clock-accept", "only root", false},
      {"time and more", kAlice, "time now", "only root", false},
      {"a zero byte after it", kAlice, std::string("time\0", 5), "only root", false},
      {"a command with a fault", 0, "fail", R"({"ok":false,"text":"it failed"})", true},
      {"the longest command", 0, std::string(kMaxCommandBytes, 'x'), R"("ok":true)", true},
      {"longer than that", 0, std::string(kMaxCommandBytes + 1, 'x'), "too long", false},
      {"much longer", kAlice, std::string(100000, 't'), "too long", false},
      {"nothing at all", kAlice, "", "", false},
  };
  int wrong = 0;
  for (const Asked& c : cases) {
    Stage stage;
    const auto client = stage.connect(c.uid);
    client->say(c.command);
    wrong += wrong_if(!stage.serve_until([&] { return client->heard(), client->ended(); }), c.name);
    wrong += wrong_if(!says(client->heard(), c.heard) || client->heard().empty() != (*c.heard == '\0'), c.name);
    wrong += wrong_if(stage.asked.size() != (c.handled ? 1 : 0), c.name);
    wrong += wrong_if(stage.socket.connections() != 0, c.name);
  }
  return wrong;
}

using Clients = std::vector<std::unique_ptr<Client>>;

std::size_t turned_away(const Clients& clients) {
  std::size_t count = 0;
  for (const auto& c : clients) count += says(c->heard(), "too many ask at once") ? 1 : 0;
  return count;
}

// One user opens all he can and says nothing; others are served as ever.
int wrong_flood_of_one() {
  ControlSocket::Limits limits = quick();
  limits.patience = milliseconds{60000};
  Stage stage(limits);
  Clients flood;
  for (int i = 0; i < 100; ++i) flood.push_back(stage.connect(kAlice));
  const auto root = stage.connect(0), bob = stage.connect(kBob);
  root->say("sessions");
  bob->say("time");
  const auto began = Clock::now();
  int wrong = wrong_if(!stage.serve_until([&] { return root->heard(), root->ended(); }), "root is answered");
  wrong += wrong_if(!stage.serve_until([&] { return bob->heard(), bob->ended(); }), "another user is answered");
  wrong += wrong_if(!says(root->heard(), "/0") || !says(bob->heard(), "/1001"), "with his own answer");
  wrong += wrong_if(turned_away(flood) != 96 || stage.socket.connections() != 4, "four of the flood are kept");
  wrong += wrong_if(Clock::now() - began > std::chrono::seconds{5}, "nothing was waited for");
  wrong += wrong_if(stage.readable(), "then there is nothing to do");
  flood[0]->say("time");  // who was kept is answered
  wrong += wrong_if(!stage.serve_until([&] { return says(flood[0]->heard(), "/1000"); }), "the first of the flood");
  return wrong;
}

int wrong_flood_of_many() {
  ControlSocket::Limits limits = quick();
  limits.patience = milliseconds{60000};
  Stage stage(limits);
  Clients flood;
  for (uid_t uid = kAlice; uid < kAlice + 10; ++uid)
    for (int i = 0; i < 4; ++i) flood.push_back(stage.connect(uid));
  int wrong = wrong_if(!stage.serve_until([&] { return turned_away(flood) == 16; }), "users have their places");
  wrong += wrong_if(stage.socket.connections() != 24, "and no more");
  Clients roots;
  for (int i = 0; i < 9; ++i) roots.push_back(stage.connect(0));
  wrong += wrong_if(!stage.serve_until([&] { return turned_away(roots) == 1; }), "root has the others");
  wrong += wrong_if(stage.socket.connections() != 32, "32 in all");
  roots[0]->say("sessions");
  wrong += wrong_if(!stage.serve_until([&] { return says(roots[0]->heard(), "/0"); }), "root is answered");
  return wrong;
}

// However many come, a turn is short, and between full turns others have theirs.
int wrong_turns() {
  ControlSocket::Limits limits = quick();
  limits.pause = milliseconds{80};
  Stage stage(limits);
  Clients roots;
  for (int i = 0; i < 20; ++i) roots.push_back(stage.connect(0));
  stage.socket.serve();
  int wrong = wrong_if(stage.socket.connections() != 8, "eight in one turn");
  wrong += wrong_if(stage.readable(), "a pause");
  stage.socket.serve();
  wrong += wrong_if(stage.socket.connections() != 8, "nobody is accepted in it");
  wrong += wrong_if(!stage.readable(5000), "it ends");
  stage.socket.serve();  // listens again
  wrong += wrong_if(!stage.serve_until([&] { return stage.peers.empty(); }), "all are accepted");
  return wrong;
}

int wrong_silence() {
  Stage stage;
  int wrong = wrong_if(stage.readable(20), "nobody: nothing to do");
  const auto silent = stage.connect(kAlice), asking = stage.connect(kAlice);
  const auto began = Clock::now();
  wrong += wrong_if(!stage.serve_until([&] { return stage.socket.connections() == 2; }), "both are taken");
  wrong += wrong_if(stage.readable(), "nobody says anything: nothing to do");
  asking->say("time");
  wrong += wrong_if(!stage.serve_until([&] { return says(asking->heard(), "/1000"); }), "who asks is answered");
  wrong += wrong_if(!stage.serve_until([&] { return silent->heard(), silent->ended(); }), "who does not is dropped");
  wrong += wrong_if(Clock::now() - began < milliseconds{60}, "not before his time");
  wrong += wrong_if(stage.turns > 20, "and meanwhile there was nothing to do");
  wrong += wrong_if(stage.socket.connections() != 0 || stage.readable(20), "then nothing is left");
  return wrong;
}

int wrong_vanishing() {
  Stage stage;
  stage.answer.assign(std::size_t{3} * 1024 * 1024, 'a');
  stage.connect(kAlice)->go();
  stage.connect(0)->say("sessions").go();
  int wrong = wrong_if(!stage.serve_until([&] { return stage.peers.empty() && stage.asked.size() == 1; }), "asked");
  const auto midway = stage.connect(0);
  midway->say("sessions");
  wrong += wrong_if(!stage.serve_until([&] { return midway->heard().size() > 1000; }), "a part is heard");
  midway->go();
  wrong += wrong_if(!stage.serve_until([&] { return stage.socket.connections() == 0; }), "all are forgotten");
  return wrong + wrong_if(stage.readable(20), "and nothing is left to do");
}

int wrong_long_answers() {
  ControlSocket::Limits limits = quick();
  limits.patience = milliseconds{300};
  Stage stage(limits);
  stage.answer.assign(std::size_t{3} * 1024 * 1024, 'a');
  const auto reader = stage.connect(0), stuck = stage.connect(0);
  reader->say("sessions");
  stuck->say("sessions");
  int wrong = wrong_if(!stage.serve_until([&] { return reader->heard(), reader->ended(); }), "who reads gets it");
  wrong += wrong_if(reader->heard() != R"({"ok":true,"text":")" + stage.answer + R"("})", "whole");
  wrong += wrong_if(stage.socket.connections() != 1, "who does not is still there");
  wrong += wrong_if(!stage.serve_until([&] { return stage.socket.connections() == 0; }), "and dropped");
  wrong += wrong_if(stuck->heard().size() >= stage.answer.size(), "with a part of it");
  // The time that an answer takes is not the client's.
  const auto patient = stage.connect(0);
  patient->say("slow");
  wrong += wrong_if(!stage.serve_until([&] { return stage.asked.back() == "slow"; }), "a slow answer");
  wrong += wrong_if(!stage.serve_until([&] { return patient->heard(), patient->ended(); }), "is heard");
  return wrong + wrong_if(patient->heard().size() < stage.answer.size(), "as a whole");
}

// Without descriptors to accept with the listener stays readable: the loop must not spin on it.
int wrong_without_descriptors() {
  Stage stage;
  const auto client = stage.connect(kAlice);
  client->say("time");
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const int next = dup(0);
  close(next);
  const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  stage.socket.serve();
  int wrong = wrong_if(stage.socket.connections() != 0 || stage.readable(), "it waits a little");
  setrlimit(RLIMIT_NOFILE, &before);
  return wrong + wrong_if(!stage.serve_until([&] { return says(client->heard(), "/1000"); }), "then goes on");
}

// The real client, and who the kernel says that it is.
int wrong_asking() {
  TempDir dir;
  const std::string path = dir.path() + "/control";
  int wrong = wrong_if(!says(ask_agent(path, "time").error().message, "does not run"), "no agent");
  ControlSocket socket([](const Peer& peer, std::string_view command) -> Result<std::string> {
    if (command == "done") return Error{Errc::not_found, "no session"};
    return std::to_string(peer.pid) + "/" + std::to_string(peer.uid) + std::string(500000, '.');
  });
  demand(socket.open(path).has_value());
  struct stat st {};
  stat(path.c_str(), &st);
  wrong += wrong_if((st.st_mode & 07777) != 0666, "anyone may connect");
  std::vector<Result<std::string>> answers;
  std::atomic<bool> over{false};
  std::thread asking([&] {
    for (const char* command : {"time", "done"}) answers.push_back(ask_agent(path, command));
    answers.push_back(ask_agent(path, std::string(5000, 'x')));
    over = true;
  });
  const auto deadline = Clock::now() + std::chrono::seconds{20};
  while (!over && Clock::now() < deadline) {
    pollfd waiting{socket.fd(), POLLIN, 0};
    if (poll(&waiting, 1, 20) == 1) socket.serve();
  }
  asking.join();
  const std::string own = std::to_string(getpid()) + "/" + std::to_string(geteuid());
  wrong += wrong_if(!answers[0] || *answers[0] != own + std::string(500000, '.'), "a long answer");
  wrong += wrong_if(answers[1] || answers[1].error().message != "no session", "a refusal");
  wrong += wrong_if(answers[2] || !says(answers[2].error().message, "too long"), "a long command");
  return wrong;
}

void test_commands(void**) {
  assert_int_equal(wrong_commands(), 0);
}
void test_flood_of_one(void**) {
  assert_int_equal(wrong_flood_of_one(), 0);
}
void test_flood_of_many(void**) {
  assert_int_equal(wrong_flood_of_many(), 0);
}
void test_turns(void**) {
  assert_int_equal(wrong_turns(), 0);
}
void test_silence(void**) {
  assert_int_equal(wrong_silence(), 0);
}
void test_vanishing(void**) {
  assert_int_equal(wrong_vanishing(), 0);
}
void test_long_answers(void**) {
  assert_int_equal(wrong_long_answers(), 0);
}
void test_without_descriptors(void**) {
  assert_int_equal(wrong_without_descriptors(), 0);
}
void test_asking(void**) {
  assert_int_equal(wrong_asking(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_commands),      cmocka_unit_test(test_flood_of_one),
      cmocka_unit_test(test_flood_of_many), cmocka_unit_test(test_turns),
      cmocka_unit_test(test_silence),       cmocka_unit_test(test_vanishing),
      cmocka_unit_test(test_long_answers),  cmocka_unit_test(test_without_descriptors),
      cmocka_unit_test(test_asking),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
