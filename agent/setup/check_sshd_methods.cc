// What else than keys of the policy lets somebody in by sshd.
#include <algorithm>
#include <initializer_list>

#include "agent/setup/check_sshd.h"

namespace hallpass {
namespace {

// The methods of one alternative of AuthenticationMethods: "publickey,password".
std::vector<std::string> methods_of(std::string_view alternative) {
  std::vector<std::string> methods;
  while (true) {
    const std::size_t comma = std::min(alternative.find(','), alternative.size());
    const std::string_view method = alternative.substr(0, comma);
    methods.emplace_back(method.substr(0, method.find(':')));
    if (comma == alternative.size()) return methods;
    alternative.remove_prefix(comma + 1);
  }
}

bool is_offered(const SshdSettings& s, const std::string& method) {
  if (method == "publickey") return s.is("pubkeyauthentication", "yes");
  if (method == "password") return s.is("passwordauthentication", "yes");
  if (method == "keyboard-interactive") return s.is("kbdinteractiveauthentication", "yes");
  if (method == "hostbased") return s.is("hostbasedauthentication", "yes");
  return method != "gssapi-with-mic" || s.is("gssapiauthentication", "yes");
}

// Alternatives that ask for no key, although they say what they ask for.
bool asks_for_no_key(const SshdSettings& s) {
  const auto alternatives = words_of(s.get("authenticationmethods"));
  return std::any_of(alternatives.begin(), alternatives.end(), [](const std::string& alternative) {
    const auto methods = methods_of(alternative);
    return alternative != "any" && std::find(methods.begin(), methods.end(), "publickey") == methods.end();
  });
}

bool cannot_be_met(const SshdSettings& s) {
  const auto alternatives = words_of(s.get("authenticationmethods"));
  return std::none_of(alternatives.begin(), alternatives.end(),
                      [&](const std::string& each) {
                        const auto methods = methods_of(each);
                        return each == "any" ||
                               std::all_of(methods.begin(), methods.end(),
                                           [&](const std::string& method) { return is_offered(s, method); });
                      }) &&
         !alternatives.empty();
}

// The first of `keywords` that is on and suffices by itself: AuthenticationMethods demands nothing else. nullptr: none.
const char* sufficient(const SshdSettings& s, std::initializer_list<const char*> keywords) {
  const std::string_view methods = s.get("authenticationmethods");
  if (!methods.empty() && methods != "any") return nullptr;
  const auto* on = std::find_if(keywords.begin(), keywords.end(), [&](const char* k) { return s.is(k, "yes"); });
  return on == keywords.end() ? nullptr : *on;
}

const char* by_password(const SshdSettings& s) {
  return sufficient(s, {"passwordauthentication", "kbdinteractiveauthentication"});
}

const char* by_others(const SshdSettings& s) {
  return sufficient(s, {"gssapiauthentication", "kerberosauthentication", "hostbasedauthentication"});
}

// A keyword by which certificates let somebody in. nullptr: none.
const char* by_certificate(const SshdSettings& s) {
  for (const char* keyword : {"authorizedprincipalscommand", "authorizedprincipalsfile", "trustedusercakeys"}) {
    if (!s.is(keyword, "none")) return keyword;
  }
  return nullptr;
}

}  // namespace

void SshdCheck::authentication_methods() {
  const auto unmet = accounts_where(cannot_be_met);
  if (!unmet.empty())
    found_.error(
        "methods_unmet", where("authenticationmethods", cannot_be_met(globals_)),
        "AuthenticationMethods cannot be met by " + listed(unmet) + ": a method in it is switched off",
        "let it be \"AuthenticationMethods publickey\", or switch the method on; then " + std::string(kSshdReload));
  const auto keyless = accounts_where(asks_for_no_key);
  if (!keyless.empty() && unmet.empty())
    found_.warning("methods_without_key", where("authenticationmethods", asks_for_no_key(globals_)),
                   "AuthenticationMethods lets " + listed(keyless) +
                       " in without a key: on a personal account with a grant that suffices",
                   "let every alternative begin with publickey; then " + std::string(kSshdReload));
}

// The line that says so for all, or for the first one for whom it is so.
std::string SshdCheck::where_by(const char* (*keyword)(const SshdSettings&)) const {
  if (const char* for_all = keyword(globals_)) return where(for_all, true);
  for (const auto* list : {&governed_, &exempt_}) {
    for (const Asked& asked : *list) {
      if (const char* for_some = keyword(asked.settings)) return where(for_some, false);
    }
  }
  return kSshdConfig;
}

void SshdCheck::passwords() {
  const auto open = accounts_where([](const SshdSettings& s) { return by_password(s) != nullptr; });
  if (!open.empty())
    found_.warning("password_logins", where_by(by_password),
                   "sshd takes passwords for " + listed(open) + ": one opens a personal account that has a grant",
                   "write \"PasswordAuthentication no\" and \"KbdInteractiveAuthentication no\" there; then " +
                       std::string(kSshdReload));
  const auto takes_empty = [](const SshdSettings& s) { return s.is("permitemptypasswords", "yes"); };
  const auto empty = accounts_where(takes_empty);
  if (!empty.empty())
    found_.error("empty_passwords", where("permitemptypasswords", takes_empty(globals_)),
                 "sshd takes empty passwords for " + listed(empty),
                 "let PermitEmptyPasswords be no; then " + std::string(kSshdReload));
  const auto other = accounts_where([](const SshdSettings& s) { return by_others(s) != nullptr; });
  if (!other.empty())
    found_.warning("other_methods", where_by(by_others),
                   "sshd lets " + listed(other) +
                       " in by other hosts or Kerberos: on a personal account with a grant " + "no key is asked for",
                   "switch HostbasedAuthentication, GSSAPIAuthentication and KerberosAuthentication off; then " +
                       std::string(kSshdReload));
}

void SshdCheck::certificates() {
  std::vector<std::string> names = accounts_where([](const SshdSettings& s) { return by_certificate(s) != nullptr; });
  for (const Asked& asked : exempt_) {
    if (by_certificate(asked.settings) != nullptr) names.push_back(asked.account->name);
  }
  if (names.empty()) return;
  found_.warning(
      "certificates", where_by(by_certificate),
      "an authority's certificates open " + listed(names) +
          ": members of the exempt group without any grant, others with a grant for an enrolled key",
      "take TrustedUserCAKeys and AuthorizedPrincipals... out, unless that is meant; then " + std::string(kSshdReload));
}

void SshdCheck::root_login() {
  const auto is_root = [](const Asked& asked) { return asked.account->uid == 0; };
  const auto exempt = std::find_if(exempt_.begin(), exempt_.end(), is_root);
  if (exempt != exempt_.end() && !exempt->settings.is("permitrootlogin", "no"))
    return found_.warning(
        "root_ssh", where("permitrootlogin", !globals_.is("permitrootlogin", "no")),
        "root is in the exempt group, and sshd lets root in: nobody will know who it was",
        "let PermitRootLogin be no, and use an account of its own for emergencies; then " + std::string(kSshdReload));
  const auto governed = std::find_if(governed_.begin(), governed_.end(), is_root);
  if (governed == governed_.end() || governed->settings.is("permitrootlogin", "no")) return;
  if (facts_.opened_accounts().count(governed->account->name) != 0) return;  // a runbook wants it
  found_.note("root_ssh", where("permitrootlogin", !globals_.is("permitrootlogin", "no")),
              "sshd lets root try, though no runbook of this host names root",
              "let PermitRootLogin be no; then " + std::string(kSshdReload));
}

void SshdCheck::exempt_keys() {
  for (const Asked& asked : exempt_) {
    const auto patterns = words_of(asked.settings.get("authorizedkeysfile"));
    if (!authorized_keys(facts_.layout, *asked.account, patterns).empty()) continue;
    if (asked.account->has_password && by_password(asked.settings) != nullptr) continue;
    const bool read = !asked.settings.is("authorizedkeysfile", "none");
    found_.warning(
        "exempt_without_key", asked.account->name,
        read ? "is in the exempt group, but has no key in " + std::string(asked.settings.get("authorizedkeysfile"))
             : "is in the exempt group, but sshd reads no key file for it",
        read ? "put a key there, or take it out: `gpasswd -d " + asked.account->name + " " + facts_.exempt_group + "`"
             : "the Match block of " + std::string(kSshdDropIn) + " must come before others for it; then " +
                   kSshdReload);
  }
}

}  // namespace hallpass
