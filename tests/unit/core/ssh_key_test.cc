#include "core/ssh_key.h"

#include "core/ssh_wire.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/vectors.h"

namespace {

using hallpass::as_bytes;
using hallpass::Bytes;
using hallpass::Errc;
using hallpass::KeyType;
using hallpass::PublicKey;
using hallpass::Result;

std::string key_line(const std::string& file) {
  std::string line = read_vector(file);
  while (!line.empty() && line.back() == '\n') line.pop_back();
  return line;
}
Bytes key_blob(const std::string& file) {
  return PublicKey::from_line(key_line(file)).value().blob();
}

struct Good {
  const char* file;
  KeyType type;
  const char* type_name;
  const char* application;
  const char* fingerprint;  // as `ssh-keygen -l` prints it
};
const Good kGood[] = {
    {"sshsig/id_ed25519.pub", KeyType::ed25519, "ssh-ed25519", "",
     "SHA256:vW11YGZVv/E/oyM5O7Z/a3p7BNWKgIbk4gSKVSO63kY"},
    {"sshsig/id_ecdsa.pub", KeyType::ecdsa_p256, "ecdsa-sha2-nistp256", "",
     "SHA256:mvz0cZWKk+l+UEYfxx59Zl2aiZpKqdEznbIRbEyL+IE"},
    {"sshsig/id_rsa.pub", KeyType::rsa, "ssh-rsa", "", "SHA256:hiifGuyeuZsLNb3rBEcrY5ctRHc5ttYlPLSXQ/gsoEQ"},
    {"sshsig/id_sk_ed25519.pub", KeyType::sk_ed25519, "sk-ssh-ed25519@openssh.com",
     "ssh:", "SHA256:3sLAcO/4o3mciOUEDtMnl/WkBUZMeSDlSZt1C5E+23c"},
    {"sshsig/id_sk_ecdsa.pub", KeyType::sk_ecdsa_p256, "sk-ecdsa-sha2-nistp256@openssh.com",
     "ssh:", "SHA256:Sd9NiBBcHPDcEfYQVWEDOfPwXjBlJqfJgKEdjSmVMsk"},
    {"agent/sk_app.pub", KeyType::sk_ed25519, "sk-ssh-ed25519@openssh.com", "ssh:prod",
     "SHA256:RSVLcw+TM4T643C9joMDMRemDwg7hMGGmzv34Nsfb1g"},
    {"sshsig/id_sk_ecdsa_webauthn.pub", KeyType::sk_ecdsa_p256, "sk-ecdsa-sha2-nistp256@openssh.com", "example.org",
     "SHA256:txXLr4T0kLEI+5dysrMLnq4227FXTcp8uwXSeQDZRCo"},
};

int wrong_good() {
  int wrong = 0;
  for (const Good& c : kGood) {
    const std::string line = key_line(c.file);
    const Result<PublicKey> key = PublicKey::from_line(line);
    wrong += wrong_if(!key, c.file);
    if (!key) continue;
    const PublicKey& k = key.value();
    wrong += wrong_if(k.type() != c.type || k.type_name() != c.type_name || k.application() != c.application, c.file);
    wrong += wrong_if(k.fingerprint() != c.fingerprint, k.fingerprint().c_str());
    wrong += wrong_if(k.is_security_key() != (*c.application != '\0'), c.file);
    wrong += wrong_if(line.substr(0, k.line().size()) != k.line() || k.evp() == nullptr, c.file);
    const Result<PublicKey> again = PublicKey::from_blob(k.blob());
    wrong += wrong_if(!again || !(again.value() == k) || again.value().fingerprint() != k.fingerprint(), c.file);
  }
  return wrong;
}
void test_good(void**) {
  assert_int_equal(wrong_good(), 0);
}

template <class... Fields>
Bytes wire(Fields... fields) {
  Bytes out;
  (hallpass::wire_put_string(out, fields), ...);
  return out;
}

std::string number(std::size_t bytes, char first, char last) {
  std::string out(bytes, '\x5a');
  out.front() = first;
  out.back() = last;
  return out;
}
std::string positive(std::string n) {
  return (n[0] & 0x80) != 0 ? std::string(1, '\0') + n : n;
}
std::string point(char form, std::size_t bytes) {
  const Bytes blob = key_blob("sshsig/id_ecdsa.pub");
  std::string q(blob.end() - 65, blob.end());
  q[0] = form;
  return q.substr(0, bytes);
}

struct Blob {
  const char* name;
  Bytes bytes;
  bool good;
};

int wrong_blobs() {
  using namespace std::string_view_literals;
  const std::string_view ed = "ssh-ed25519", ec = "ecdsa-sha2-nistp256", rsa = "ssh-rsa";
  const std::string_view sk_ed = "sk-ssh-ed25519@openssh.com", sk_ec = "sk-ecdsa-sha2-nistp256@openssh.com";
  const std::string k32(32, 'k'), f4 = std::string("\x01\x00\x01", 3);
  const std::string n2048 = positive(number(256, '\xc0', '\x01'));
  const std::string q = point(4, 65);
  std::string off_curve = q;
  off_curve[64] = static_cast<char>(off_curve[64] ^ 1);
  const std::string_view k(k32), n(n2048), e(f4), p(q);
  const std::string n2047 = number(256, '\x40', '\x01'), n8192 = positive(number(1024, '\x80', '\x01')),
                    n8200 = positive(number(1025, '\x80', '\x01')), even = positive(number(256, '\xc0', '\x02')),
                    padded = std::string(1, '\0') + n2048, negative = number(256, '\xc0', '\x01');
  const std::string infinity(1, '\0'), compressed = point(2, 33), hybrid = point(6, 65);
  const auto v = [](const std::string& s) { return std::string_view(s); };
  const Blob cases[] = {
      {"ed25519", wire(ed, k), true},
      {"ed25519 of 31 bytes", wire(ed, k.substr(1)), false},
      {"ed25519 of 33 bytes", wire(ed, v(k32 + "x")), false},
      {"ed25519 and more", wire(ed, k, ""sv), false},
      {"p256", wire(ec, "nistp256"sv, p), true},
      {"p256 under another curve's name", wire(ec, "nistp384"sv, p), false},
      {"p256 off the curve", wire(ec, "nistp256"sv, v(off_curve)), false},
      {"p256 at infinity", wire(ec, "nistp256"sv, v(infinity)), false},
      {"p256 compressed", wire(ec, "nistp256"sv, v(compressed)), false},
      {"p256 hybrid", wire(ec, "nistp256"sv, v(hybrid)), false},
      {"rsa 2048", wire(rsa, e, n), true},
      {"rsa 8192", wire(rsa, e, v(n8192)), true},
      {"rsa 2047", wire(rsa, e, v(n2047)), false},
      {"rsa 8200", wire(rsa, e, v(n8200)), false},
      {"rsa, n before e", wire(rsa, n, e), false},
      {"rsa, even modulus", wire(rsa, e, v(even)), false},
      {"rsa, even exponent", wire(rsa, "\x04"sv, n), false},
      {"rsa, exponent one", wire(rsa, "\x01"sv, n), false},
      {"rsa, exponent zero", wire(rsa, ""sv, n), false},
      {"rsa, exponent of 33 bits", wire(rsa, "\x01\x00\x00\x00\x01"sv, n), false},
      {"rsa, exponent with a leading zero", wire(rsa, "\x00\x03"sv, n), false},
      {"rsa, negative exponent", wire(rsa, "\x81"sv, n), false},
      {"rsa, modulus with a leading zero", wire(rsa, e, v(padded)), false},
      {"rsa, negative modulus", wire(rsa, e, v(negative)), false},
      {"sk ed25519", wire(sk_ed, k, "ssh:"sv), true},
      {"sk ed25519, application of its own", wire(sk_ed, k, "ssh:prod"sv), true},
      {"sk ed25519, no application", wire(sk_ed, k), false},
      {"sk ed25519, empty application", wire(sk_ed, k, ""sv), false},
      {"sk ed25519, a domain", wire(sk_ed, k, "example.org"sv), false},
      {"sk ed25519, application with a NUL", wire(sk_ed, k, "ssh:\0x"sv), false},
      {"sk ed25519, application with a control", wire(sk_ed, k, "ssh:\n"sv), false},
      {"sk ecdsa", wire(sk_ec, "nistp256"sv, p, "ssh:"sv), true},
      {"sk ecdsa, a domain: a passkey", wire(sk_ec, "nistp256"sv, p, "example.org"sv), true},
      {"sk ecdsa, no domain", wire(sk_ec, "nistp256"sv, p, "Example org"sv), false},
      {"sk ecdsa, a URL", wire(sk_ec, "nistp256"sv, p, "https://example.org"sv), false},
      {"dsa", wire("ssh-dss"sv, n, e, e, e), false},
      {"p384", wire("ecdsa-sha2-nistp384"sv, "nistp384"sv, p), false},
      {"certificate", wire("ssh-ed25519-cert-v01@openssh.com"sv, k, k), false},
      {"empty", {}, false},
      {"a length that is not there", {0xff, 0xff, 0xff, 0xff}, false},
  };
  int wrong = 0;
  for (const Blob& c : cases) wrong += wrong_if(PublicKey::from_blob(c.bytes).has_value() != c.good, c.name);
  for (const Good& c : kGood) {
    Bytes blob = key_blob(c.file);
    for (std::size_t cut = 0; cut < blob.size(); ++cut) {
      wrong += wrong_if(PublicKey::from_blob(hallpass::ByteView(blob).first(cut)).has_value(), c.file);
    }
    blob.push_back(0);
    wrong += wrong_if(PublicKey::from_blob(blob).has_value(), c.file);
  }
  return wrong;
}
void test_blobs(void**) {
  assert_int_equal(wrong_blobs(), 0);
}

struct Line {
  const char* name;
  std::string line;
  bool good;
};

int wrong_lines() {
  const std::string base = PublicKey::from_line(key_line("sshsig/id_ed25519.pub")).value().line();
  const std::string b64 = base.substr(base.find(' ') + 1);
  const Line cases[] = {
      {"no comment", base, true},
      {"a comment", base + " alice laptop", true},
      {"empty comment", base + " ", true},
      {"type of another key", "ecdsa-sha2-nistp256 " + b64, false},
      {"options before", "restrict " + base, false},
      {"options with quotes", "command=\"x\" " + base, false},
      {"no base64", "ssh-ed25519", false},
      {"empty base64", "ssh-ed25519 ", false},
      {"two spaces", "ssh-ed25519  " + b64, false},
      {"a tab", "ssh-ed25519\t" + b64, false},
      {"leading space", " " + base, false},
      {"a second line", base + "\n" + base, false},
      {"trailing newline", base + "\n", false},
      {"newline in the comment", base + " a\nb", false},
      {"control in the comment", base + " a\x1b[2J", false},
      {"carriage return", base + "\r", false},
      {"base64 cut", base.substr(0, base.size() - 1), false},
      {"base64 not canonical", base.substr(0, base.size() - 4) + "AAA=", false},
      {"only base64", b64, false},
      {"empty", "", false},
      {"private key", "-----BEGIN OPENSSH PRIVATE KEY-----", false},
  };
  int wrong = 0;
  for (const Line& c : cases) wrong += wrong_if(PublicKey::from_line(c.line).has_value() != c.good, c.name);
  wrong += wrong_if(hallpass::key_comment(base + " alice laptop") != "alice laptop", "comment");
  wrong += wrong_if(!hallpass::key_comment(base).empty() || !hallpass::key_comment("x").empty(), "no comment");
  const Result<PublicKey> certificate = PublicKey::from_line("ssh-ed25519-cert-v01@openssh.com AAAA");
  wrong += wrong_if(certificate || certificate.error().code != Errc::unsupported ||
                        certificate.error().message.find("certif") == std::string::npos,
                    "a certificate is named as one");
  return wrong;
}
void test_lines(void**) {
  assert_int_equal(wrong_lines(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_blobs), cmocka_unit_test(test_lines)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
