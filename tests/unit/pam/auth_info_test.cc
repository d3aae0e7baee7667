#include "pam/auth_info.h"

#include <cstdlib>

#include "core/values/bytes.h"
#include "tests/unit/host/snapshot_fixture.h"

// Last: it defines words as macros that standard headers use.
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;        // NOLINT(google-build-using-namespace)
using namespace hallpass::test;  // NOLINT(google-build-using-namespace)

const std::string kVectors = std::string(HALLPASS_VECTORS) + "/sshsig/";

std::string two_words(const std::string& line) {
  const auto first = line.find(' ');
  return line.substr(0, line.find_first_of(" \n", first + 1));
}

struct Case {
  const char* name;
  std::string text;
  bool readable;
  std::vector<std::string> keys;
};

int wrong_lines() {
  const std::string alice = kAliceKey, bob = kBobKey;
  const Case cases[] = {
      {"empty", "", false, {}},
      {"only a newline", "\n", false, {}},
      {"one key", "publickey " + alice + "\n", true, {alice}},
      {"without the last newline", "publickey " + alice, true, {alice}},
      {"two keys", "publickey " + alice + "\npublickey " + bob + "\n", true, {alice, bob}},
      {"a key and a password", "publickey " + alice + "\npassword\n", true, {alice}},
      {"password", "password\n", true, {}},
      {"keyboard-interactive", "keyboard-interactive/pam\n", true, {}},
      {"a method nobody knows", "telepathy loud\n", true, {}},
      {"no key", "publickey\n", false, {}},
      {"no key but a space", "publickey \n", false, {}},
      {"no base64", "publickey ssh-ed25519\n", false, {}},
      {"three words", "publickey " + alice + " comment\n", false, {}},
      {"another type than the blob's", "publickey ssh-rsa " + alice.substr(12) + "\n", false, {}},
      {"base64 that is none", "publickey ssh-ed25519 !!!!\n", false, {}},
      {"a good key and a bad one", "publickey " + alice + "\npublickey x\n", false, {}},
      {"a certificate type with a plain blob",
       "publickey ssh-ed25519-cert-v01@openssh.com " + alice.substr(12) + "\n",
       false,
       {}},
      {"a method that begins like publickey", "publickeys " + alice + "\n", true, {}},
  };
  int wrong = 0;
  for (const auto& c : cases) {
    const AuthInfo info = parse_auth_info(c.text);
    wrong += wrong_if(info.readable != c.readable || info.keys != c.keys, c.name);
  }
  return wrong;
}

// Real certificates, made by ssh-keygen; then every cut of each, and a host certificate.
int wrong_certificates() {
  const ScratchDir dir;
  int wrong = wrong_if(system(("ssh-keygen -q -t ed25519 -N '' -f " + (dir / "ca")).c_str()) != 0, "a CA");
  for (const char* name : {"id_ed25519", "id_ecdsa", "id_rsa", "id_sk_ed25519", "id_sk_ecdsa"}) {
    const std::string plain = two_words(read_bytes(kVectors + name + ".pub"));
    write_text(dir / "k.pub", plain + "\n");
    for (const char* host : {"", "-h "}) {
      const std::string sign =
          std::string("ssh-keygen -q -I id -n alice ") + host + "-s " + (dir / "ca") + " " + (dir / "k.pub");
      wrong += wrong_if(system(sign.c_str()) != 0, name);
      const std::string cert = two_words(read_bytes(dir / "k-cert.pub"));
      const std::string type = cert.substr(0, cert.find(' ')), base64 = cert.substr(cert.find(' ') + 1);
      wrong += wrong_if(certified_key(type, base64) != (*host != 0 ? "" : plain), name);
      if (*host != 0) continue;
      const AuthInfo info = parse_auth_info("publickey " + cert + "\n");
      wrong += wrong_if(!info.readable || info.keys != std::vector<std::string>{plain}, name);
      wrong += wrong_if(!certified_key("ssh-dss-cert-v01@openssh.com", base64).empty(), "a type nobody knows");
      const auto bytes = base64_decode(base64);
      for (std::size_t cut = 0; bytes && cut < bytes->size(); ++cut) {
        const std::string got = certified_key(type, base64_encode(ByteView(*bytes).first(cut)));
        wrong += wrong_if(!got.empty() && got != plain,
                          "a cut certificate");  // what sshd verified is never cut; no wrong key either way
      }
    }
  }
  return wrong;
}

void test_lines(void**) {
  assert_int_equal(wrong_lines(), 0);
}
void test_certificates(void**) {
  assert_int_equal(wrong_certificates(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_lines), cmocka_unit_test(test_certificates)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
