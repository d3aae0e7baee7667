#include "hub/witness_client.h"

#include "core/log/merkle.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/hub/sequencer_world.h"
#include "tests/unit/vectors.h"

namespace {

using namespace hallpass;                // NOLINT(google-build-using-namespace)
using namespace hallpass::hub;           // NOLINT(google-build-using-namespace)
using namespace hallpass::hub::testing;  // NOLINT(google-build-using-namespace)

// A witness as C2SP tlog-witness has it: remembers what it cosigned last, and verifies.
class Witness {
 public:
  Witness(std::string name, NoteKey log)
      : signer_(NoteSigner::generate(name, NoteKeyType::cosignature)), log_(std::move(log)) {}
  WitnessConfig config() const { return {"https://" + signer_.verifier().name + "/w/", signer_.verifier()}; }
  const NoteKey& key() const { return signer_.verifier(); }

  Result<HttpAnswer> post(const std::string& url, std::string_view body) {
    ++requests;
    if (url != "https://" + signer_.verifier().name + "/w/add-checkpoint") return answer(404, "no such thing\n");
    if (hold) held.take();
    if (down) return Error{Errc::unavailable, "connection refused"};
    std::vector<Digest> proof;
    const std::size_t blank = body.find("\n\n");
    const std::string note(body.substr(blank + 2));
    const auto text = open_note(note, {&log_, 1});
    if (!text) return answer(403, "not by the log\n");
    const auto head = parse_checkpoint(text->text);
    std::istringstream lines{std::string(body.substr(0, blank))};
    std::string line;
    std::getline(lines, line);
    const std::uint64_t old = std::stoull(line.substr(4));
    if (old != size) {
      ++conflicts;
      return answer(409, std::to_string(size.load()) + "\n");
    }
    while (std::getline(lines, line)) {
      Digest hash;
      const Bytes bytes = must(base64_decode(line));
      std::copy(bytes.begin(), bytes.end(), hash.bytes.begin());
      proof.push_back(hash);
    }
    const bool follows = old == 0 ? proof.empty() : verify_consistency(old, head->size, root, head->root, proof);
    if (!follows) return answer(422, "does not follow\n");
    size = head->size;
    root = head->root;
    std::string signature = signer_.sign_line(text->text, kNow);
    if (lie) signature = signer_.sign_line("other\n1\n" + base64_encode(root.bytes) + "\n", kNow);
    return answer(200, "\xE2\x80\x94 somebody.else AAAAAAAA\n" + signature);
  }

  std::atomic<std::uint64_t> size{0};
  Digest root = empty_root();
  std::atomic<bool> lie{false}, hold{false}, down{false};
  std::atomic<int> requests{0}, conflicts{0};
  Mailbox<bool> held;

 private:
  static Result<HttpAnswer> answer(int status, std::string body) {
    HttpAnswer made;
    made.status = status;
    made.body = std::move(body);
    return made;
  }
  NoteSigner signer_;
  NoteKey log_;
};

struct WitnessWorld {
  SequencerWorld w;
  Witness witness{"w1.test", w.disk.log_signer().verifier()};

  void start() {
    SequencerOptions options = w.options();
    options.witnesses = {witness.config()};
    options.witness_post = [this] {
      return [this](const std::string& url, std::string_view body) { return witness.post(url, body); };
    };
    w.open(options);
    w.log->start();
  }
  ~WitnessWorld() {
    if (witness.hold.exchange(false)) witness.held.put(true);
    w.log.reset();
  }
  bool cosigned(const std::string& note) const {
    LogTrust trust = w.trust();
    trust.witnesses.push_back(witness.key());
    trust.quorum = 2;
    return verify_checkpoint(note, trust).has_value();
  }
  bool cosigned_now() const { return cosigned(w.log->published()->note); }
};

int wrong_cosignatures() {
  WitnessWorld a;
  a.start();
  a.w.add({"a"});
  int wrong = wrong_if(!a.cosigned_now() || a.witness.size != 1, "before the answer");
  a.w.add(some_entries(300));
  a.w.add({"b"});
  wrong += wrong_if(!a.cosigned_now() || a.witness.size != 302 || a.witness.conflicts != 0, "every head, by a proof");
  const std::uint64_t before = a.w.log->counts().fsyncs;
  for (int i = 0; i < 5; ++i) a.w.add({"x"});
  wrong += wrong_if(a.w.log->counts().fsyncs != before + 40, "each published once");
  a.w.log.reset();
  a.start();
  a.w.add({"c"});
  return wrong + wrong_if(!a.cosigned_now() || a.witness.conflicts != 1, "after a restart it says what it knows (409)");
}

int wrong_lies() {
  WitnessWorld a;
  a.witness.lie = true;
  a.start();
  a.w.add({"a"});
  int wrong = wrong_if(a.cosigned_now() || !a.w.published_is_true(), "what does not verify is not published");
  wrong += wrong_if(a.w.told.take().rfind("4 witness w1.test", 0) != 0, "the operator is told");
  a.witness.lie = false;
  a.w.add({"b"});
  wrong += wrong_if(!a.cosigned_now() || a.w.told.take().rfind("5 witness w1.test", 0) != 0, "and that it works again");
  return wrong;
}

// A witness that has seen more of this log than there is: we are an old copy.
int wrong_rollback() {
  WitnessWorld a;
  a.witness.size = 9;
  a.start();
  a.w.add({"a"});
  const std::string words = a.w.told.take();
  return wrong_if(words.rfind("1 witness w1.test", 0) != 0 || words.find("old copy") == std::string::npos, "an alert") +
         wrong_if(a.cosigned_now() || !a.w.published_is_true(), "the log goes on");
}

int wrong_fork() {
  WitnessWorld a;
  a.start();
  a.w.add({"a"});
  a.witness.root = leaf_hash(as_bytes("another"));
  a.w.add({"b"});
  const std::string words = a.w.told.take();
  return wrong_if(words.rfind("1 witness w1.test", 0) != 0 || words.find("422") == std::string::npos, "an alert") +
         wrong_if(a.cosigned_now(), "not cosigned");
}

int wrong_slow() {
  using Clock = std::chrono::steady_clock;
  WitnessWorld a;
  a.witness.hold = true;
  a.start();
  const auto begin = Clock::now();
  a.w.add({"a"});
  const auto first = Clock::now();
  a.w.add({"b"});
  const auto second = Clock::now();
  int wrong = wrong_if(first - begin < std::chrono::milliseconds(950), "it is waited for");
  wrong += wrong_if(first - begin > std::chrono::seconds(4), "a second at most");
  wrong += wrong_if(second - first > std::chrono::milliseconds(900), "and not again");
  wrong += wrong_if(a.cosigned_now() || !a.w.published_is_true(), "published without it");
  a.w.heads.take(), a.w.heads.take();
  a.witness.hold = false;
  a.witness.held.put(true);
  auto head = a.w.heads.take();  // it answers for the older head, then for this one
  while (!a.cosigned(head->note)) head = a.w.heads.take();
  return wrong + wrong_if(head->size != 2, "published again when it answers");
}

// Away: refused at once, so nobody waits; asked again by itself.
int wrong_away() {
  WitnessWorld a;
  a.witness.down = true;
  a.start();
  const auto begin = std::chrono::steady_clock::now();
  a.w.add({"a"});
  int wrong = wrong_if(std::chrono::steady_clock::now() - begin > std::chrono::milliseconds(900), "no waiting");
  a.w.heads.take();
  a.witness.down = false;
  return wrong + wrong_if(!a.cosigned(a.w.heads.take()->note), "asked again");
}

// The published vector: from 250 entries to 300.
int wrong_vector() {
  const std::string root = HALLPASS_VECTORS "/tlog/";
  const LogFiles files = [&](const std::string& path, std::size_t) -> Result<std::string> {
    if (!std::filesystem::is_regular_file(root + "log300/" + path)) return Error{Errc::not_found, path};
    return read_whole_file(root + "log300/" + path);
  };
  const std::string wanted = read_whole_file(root + "add-checkpoint.request");
  LogHead head;
  head.note = wanted.substr(wanted.find("\n\n") + 2);
  head.checkpoint = must(parse_checkpoint(head.note.substr(0, head.note.rfind("\n\n") + 1)));
  return wrong_if(must(add_checkpoint_body(250, head, files)) != wanted, "the request") +
         wrong_if(must(add_checkpoint_body(0, head, files)) != "old 0\n\n" + head.note, "the first") +
         wrong_if(must(add_checkpoint_body(300, head, files)) != "old 300\n\n" + head.note, "the same again");
}

#define TEST(name, function)         \
  void name(void**) {                \
    assert_int_equal(function(), 0); \
  }
TEST(test_cosignatures, wrong_cosignatures)
TEST(test_lies, wrong_lies)
TEST(test_rollback, wrong_rollback)
TEST(test_fork, wrong_fork)
TEST(test_slow, wrong_slow)
TEST(test_away, wrong_away)
TEST(test_vector, wrong_vector)

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_cosignatures), cmocka_unit_test(test_lies),
                              cmocka_unit_test(test_rollback),     cmocka_unit_test(test_fork),
                              cmocka_unit_test(test_slow),         cmocka_unit_test(test_away),
                              cmocka_unit_test(test_vector)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
