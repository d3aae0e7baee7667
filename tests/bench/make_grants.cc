// make_grants COUNT DIR [FIRST]: writes a fleet's trust.toml, signed policy and COUNT live grants (a file for the
// request, a file for its approval), what a directory of a host holds. The grants begin with number FIRST.
#include <chrono>
#include <cstdlib>
#include <fstream>

#include "core/values/digest.h"
#include "tests/bench/fleet.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)

void write(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) {
    std::fprintf(stderr, "cannot write %s\n", path.c_str());
    std::exit(1);
  }
}

std::string policy_signature(const std::string& text) {
  const std::string type = "application/vnd.hallpass.policy.v1+json";
  const std::string payload = R"({"hallpass":"policy/1","fleet":")" + std::string(bench::kFleetName) +
                              R"(","version":1,"sha256":")" + format_digest(sha256(text)).substr(7) + R"("})";
  std::string list;
  for (int i = 0; i < 2; ++i) {
    const auto key = bench::TestKey::plain(bench::lead(i));
    const Bytes sig = key.sign("policy@hallpass", as_bytes(testing::dsse_message(type, payload)));
    list += std::string(i == 0 ? "" : ",") + R"({"keyid":")" + key.fingerprint() + R"(","sig":")" + base64_encode(sig) +
            R"("})";
  }
  return R"({"payload":")" + base64_encode(as_bytes(payload)) + R"(","payloadType":")" + type + R"(","signatures":[)" +
         list + "]}\n";
}

std::string trust_toml() {
  std::string text = "fleet = \"" + std::string(bench::kFleetName) + "\"\n[admins]\nthreshold = 2\n[admins.people]\n";
  for (int i = 0; i < 2; ++i)
    text += bench::lead(i) + " = [\"" + bench::TestKey::plain(bench::lead(i)).line() + "\"]\n";
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: make_grants COUNT DIR [FIRST]\n");
    return 2;
  }
  const int count = std::atoi(argv[1]), first = argc > 3 ? std::atoi(argv[3]) : 0;
  const std::string directory = std::string(argv[2]) + "/";
  const UnixTime now = from_unix(
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count());
  // The same policy in every run of a day, so that grants may be added later.
  const std::string policy = bench::policy_toml(from_unix(to_unix(now) / 86400 * 86400));
  write(directory + "trust.toml", trust_toml());
  write(directory + "policy.toml.sig", policy_signature(policy));
  write(directory + "policy.toml", policy);
  const auto parsed = bench::parsed(policy);
  for (int i = first; i < first + count; ++i) {
    const bench::SignedGrant g = bench::signed_grant(i, *parsed, now);
    const std::string id = directory + std::to_string(i);
    write(id + "-request.grant", g.request + "\n");
    write(id + "-approve.grant", g.approval + "\n");
  }
}
