#include "notify/config.h"

#include <algorithm>
#include <cctype>

#include "core/values/text.h"
#include "notify/config_parts.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxUrl = 2000;
constexpr std::size_t kMaxHeaders = 16;
constexpr std::size_t kMaxHeader = 4000;
constexpr std::size_t kMaxArguments = 32;
constexpr Seconds kLongestRetry{3600};
constexpr Seconds kLongestRejection{7 * 24 * 3600};

}  // namespace

std::string part_of(const Url& url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, 0) != CURLUE_OK || text == nullptr) return {};
  const std::string copy = text;
  curl_free(text);
  return copy;
}

Url url_of(const std::string& text) {
  Url url(curl_url(), curl_url_cleanup);
  const bool visible = std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (text.size() > kMaxUrl || !visible || !url ||
      curl_url_set(url.get(), CURLUPART_URL, text.c_str(), CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
    url.reset();
  }
  return url;
}

namespace {

// By what is written: a name that DNS knows may mean any machine. "localhost" means this one to libcurl itself.
bool is_loopback(const std::string& host) {
  if (host == "localhost" || host == "[::1]") return true;
  if (host.rfind("127.", 0) != 0) return false;
  return std::all_of(host.begin(), host.end(), [](char c) { return c == '.' || (c >= '0' && c <= '9'); }) &&
         std::count(host.begin(), host.end(), '.') == 3;
}

// As libcurl reads it, so that what is judged is what is called.
std::optional<Fault> take_url(const std::string& text, bool plain_http, NotifyConfig& config) {
  const char* example = "write webhook = \"https://HOST/PATH\"";
  const Url url = url_of(text);
  if (!url) return Fault{"webhook is not a URL", example};
  const std::string scheme = part_of(url, CURLUPART_SCHEME), host = part_of(url, CURLUPART_HOST);
  if (scheme != "https" && scheme != "http") return Fault{"webhook is neither https:// nor http://", example};
  if (!part_of(url, CURLUPART_USER).empty() || !part_of(url, CURLUPART_PASSWORD).empty()) {
    return Fault{"webhook holds a user name or a password",
                 "put them into webhook_header = [\"Authorization: Basic ...\"]"};
  }
  if (scheme == "http" && !plain_http && !is_loopback(host)) {
    return Fault{"webhook goes to " + printable(host) + " unencrypted",
                 "use https://, or write allow_plain_http = true if the way there is safe"};
  }
  const std::string port = part_of(url, CURLUPART_PORT);
  config.webhook = text;
  config.webhook_shown = scheme + "://" + host + (port.empty() ? "" : ":" + port);
  return std::nullopt;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
  return out;
}

std::optional<Fault> fault_of_header(const std::string& header) {
  const char* example = "write \"Name: value\", for example \"Authorization: Bearer ...\"";
  const std::size_t colon = header.find(": ");
  const std::string name = lower(header.substr(0, colon));
  // The value is not shown: it may be a secret.
  if (colon == std::string::npos || colon + 2 >= header.size() || header.size() > kMaxHeader || name.empty() ||
      !std::all_of(name.begin(), name.end(),
                   [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_'; })) {
    return Fault{"an entry of webhook_header is no HTTP header", example};
  }
  if (!std::all_of(header.begin(), header.end(), [](char c) { return c >= 0x20 && c < 0x7f; })) {
    return Fault{"header " + name + " holds characters that no header may", "use printable ASCII"};
  }
  for (const char* ours :
       {"content-type", "content-length", "transfer-encoding", "idempotency-key", "host", "expect"}) {
    if (name == ours) return Fault{"header " + name + " is hallpass's own", "leave it out"};
  }
  return std::nullopt;
}

void read_headers(NotifyConfig& config, TomlReader& reader) {
  const auto headers = reader.strings("webhook_header");
  if (headers.size() > kMaxHeaders) {
    reader.error(headers[kMaxHeaders].second, "more than " + std::to_string(kMaxHeaders) + " headers",
                 "leave some out");
  }
  for (const auto& [header, line] : headers) {
    if (const std::optional<Fault> fault = fault_of_header(header)) reader.error(line, fault->what, fault->cure);
    config.webhook_headers.push_back(header);
  }
}

void read_format(NotifyConfig& config, TomlReader& reader) {
  using Format = NotifyConfig::Format;
  constexpr std::pair<const char*, Format> kFormats[] = {
      {"json", Format::json}, {"slack", Format::slack}, {"teams", Format::teams}};
  const Toml* there = reader.optional("format");
  const std::optional<std::string> name = reader.string("format");
  if (!name) return;
  const auto* found =
      std::find_if(std::begin(kFormats), std::end(kFormats), [&](const auto& f) { return *name == f.first; });
  if (found == std::end(kFormats)) {
    reader.error(there->line(), "format \"" + printable(*name) + "\" is unknown",
                 "write \"json\", \"slack\" or \"teams\"");
    return;
  }
  config.format = found->second;
}

void read_webhook(NotifyConfig& config, TomlReader& reader) {
  const bool plain_http = reader.boolean("allow_plain_http").value_or(false);
  const Toml* webhook = reader.optional("webhook");
  const std::optional<std::string> url = reader.string("webhook");
  if (webhook != nullptr && url) {
    if (const std::optional<Fault> fault = take_url(*url, plain_http, config)) {
      reader.error(webhook->line(), fault->what, fault->cure);
    }
  }
  read_format(config, reader);
  read_headers(config, reader);
  const Toml* ca_file = reader.optional("ca_file");
  if (const std::optional<std::string> path = reader.string("ca_file")) {
    if (path->empty() || path->front() != '/') {
      reader.error(ca_file->line(), "ca_file \"" + printable(*path) + "\" is not an absolute path", "begin it with /");
    }
    config.ca_file = *path;
  }
  if (webhook != nullptr) return;
  for (const std::string_view name : {"webhook_header", "format", "ca_file", "allow_plain_http"}) {
    const Toml* lonely = reader.optional(name);
    if (name == "ca_file" && reader.optional("email") != nullptr) continue;
    if (lonely != nullptr) {
      reader.warning(lonely->line(), std::string(name) + " without webhook says nothing",
                     "add webhook, or leave it out");
    }
  }
}

void read_command(NotifyConfig& config, TomlReader& reader) {
  bool present = false;
  const auto words = reader.strings("command", &present);
  const char* example = "write command = [\"/usr/local/bin/page\"]";
  if (present && words.empty()) reader.error(reader.optional("command")->line(), "command is empty", example);
  if (words.size() > kMaxArguments) {
    reader.error(words[kMaxArguments].second, "command has more than " + std::to_string(kMaxArguments) + " words",
                 "call a script that adds them");
  }
  for (const auto& [word, line] : words) {
    if (word.find('\0') != std::string::npos) reader.error(line, "a word of command holds a zero byte", example);
    if (config.command.empty() && (word.empty() || word.front() != '/')) {
      reader.error(line, "command \"" + printable(word) + "\" is not an absolute path",
                   "begin it with /; no shell is asked");
    }
    config.command.push_back(word);
  }
}

}  // namespace

std::optional<NotifyConfig> parse_notify_config(std::string_view toml, std::vector<Diagnostic>& out) {
  const std::size_t before = out.size();
  const std::optional<Toml> root = parse_toml(toml, out);
  if (!root) return std::nullopt;
  NotifyConfig config;
  TomlReader reader(*root, "notify.toml", out);
  read_webhook(config, reader);
  read_command(config, reader);
  read_email(config.email, reader, out);
  reader.duration("retry_longest", kLongestRetry, config.retry_longest);
  reader.duration("reject_after", kLongestRejection, config.reject_after);
  reader.finish();
  if (has_errors(out, before)) return std::nullopt;
  return config;
}

}  // namespace hallpass
