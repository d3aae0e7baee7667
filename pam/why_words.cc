#include "pam/why_words.h"

#include <algorithm>
#include <cstdlib>
#include <map>

#include "pam/words.h"

namespace hallpass {
namespace {

constexpr char kSafe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._,-";

void add(std::string& words, std::string_view name, std::string_view value) {
  if (value.empty() || value.find_first_not_of(kSafe) != std::string::npos) return;
  if (!words.empty()) words += ' ';
  words.append(name).append("=").append(value);
}

// Spaces travel as ':', which no name holds; a sentence with anything else that is not safe stays here.
std::string packed(std::string_view sentence) {
  std::string out(sentence);
  std::replace(out.begin(), out.end(), ' ', ':');
  return out;
}

bool known_state(std::string_view state) {
  constexpr std::string_view kStates[] = {"pending", "ended", "denied", "revoked", "void", "none"};
  return std::find(std::begin(kStates), std::end(kStates), state) != std::end(kStates);
}

}  // namespace

std::string why_words(std::string_view host, const WaitingView& w) {
  std::string words;
  add(words, "state", std::string(w.state));
  add(words, "id", std::string(w.id));
  add(words, "host", std::string(host));
  add(words, "subject", std::string(w.subject));
  add(words, "account", std::string(w.account));
  if (w.at != UnixTime{}) add(words, "at", std::to_string(to_unix(w.at)));
  std::string runbooks;
  for (const auto r : w.runbooks) runbooks += (runbooks.empty() ? "" : ",") + std::string(r);
  add(words, "runbooks", runbooks);
  // Without what somebody wrote: "revoked by bob: laptop stolen" travels as "revoked by bob".
  const std::string_view said = w.detail.substr(0, w.detail.find(": "));
  if (said.find(':') == std::string_view::npos) {
    const std::string detail = packed(said);
    std::string without = detail;
    without.erase(std::remove(without.begin(), without.end(), ':'), without.end());
    if (!without.empty() && without.find_first_not_of(kSafe) == std::string::npos) words += " detail=" + detail;
  }
  return words;
}

std::string why_sentence(const std::vector<std::string>& words, UnixTime now) {
  std::map<std::string, std::string> said;
  for (const auto& word : words) {
    const auto equals = word.find('=');
    const bool safe =
        equals != std::string::npos && word.find_first_not_of(std::string(kSafe) + ":=") == std::string::npos;
    if (safe) said[word.substr(0, equals)] = word.substr(equals + 1);
  }
  if (!known_state(said["state"]) || said["host"].empty() || said["subject"].empty() || said["account"].empty()) {
    return "hallpass: there is no grant for this login. Ask for one: hallpass request --help";
  }
  std::string& detail = said["detail"];
  std::replace(detail.begin(), detail.end(), ':', ' ');
  WaitingView w;
  w.account = said["account"];
  w.subject = said["subject"];
  w.state = said["state"];
  w.id = said["id"];
  w.detail = detail;
  w.at = from_unix(std::strtoll(said["at"].c_str(), nullptr, 10));
  const std::string_view runbooks = said["runbooks"];
  for (std::size_t at = 0; at < runbooks.size();) {
    const auto comma = std::min(runbooks.find(',', at), runbooks.size());
    if (comma > at) w.runbooks.push_back(runbooks.substr(at, comma - at));
    at = comma + 1;
  }
  return waiting_words(said["host"], w, now);
}

}  // namespace hallpass
