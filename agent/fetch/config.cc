#include "agent/fetch/config.h"

#include <algorithm>

#include "core/net/url.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr char kExample[] = "write urls = [\"https://HUB\"]";
constexpr Seconds kLongestPoll{3600};
constexpr Seconds kLongestAnswer{600};

// The sentence of check_http_url is "what; cure".
void refuse(TomlReader& reader, int line, const std::string& sentence) {
  const std::size_t split = sentence.find("; ");
  const bool both = split != std::string::npos;
  reader.error(line, sentence.substr(0, split), both ? sentence.substr(split + 2) : kExample);
}

void take_url(const std::string& text, int line, FetchConfig& config, TomlReader& reader) {
  const Result<HttpUrl> judged = check_http_url(text, config.allow_plain_http);
  if (!judged) return refuse(reader, line, judged.error().message);
  if (text.find('?') != std::string::npos) {
    return reader.error(line, "the URL \"" + printable(text, 100) + "\" has a part after ?",
                        "leave it out: names of files are put behind the URL");
  }
  std::string url = text;
  while (url.back() == '/') url.pop_back();
  const bool again = std::any_of(config.urls.begin(), config.urls.end(), [&](const auto& u) { return u.url == url; });
  if (again) return reader.error(line, "the URL \"" + printable(url, 100) + "\" stands here twice", "leave one out");
  config.urls.push_back({url, judged->shown});
}

void read_urls(FetchConfig& config, TomlReader& reader) {
  config.allow_plain_http = reader.boolean("allow_plain_http").value_or(false);
  bool present = false;
  const auto urls = reader.strings("urls", &present);
  if (!present && reader.optional("urls") == nullptr) reader.required("urls", kExample);
  if (present && urls.empty()) reader.error(reader.optional("urls")->line(), "urls is empty", kExample);
  if (urls.size() > kMaxSourceUrls) {
    reader.error(urls[kMaxSourceUrls].second, "more than " + std::to_string(kMaxSourceUrls) + " URLs",
                 "leave some out");
  }
  for (const auto& [url, line] : urls) take_url(url, line, config, reader);
}

void read_path(const char* name, std::string& into, TomlReader& reader) {
  const Toml* there = reader.optional(name);
  const std::optional<std::string> path = reader.string(name);
  if (!path) return;
  if (path->empty() || path->front() != '/' || path->find('\0') != std::string::npos) {
    reader.error(there->line(), std::string(name) + " \"" + printable(*path) + "\" is not an absolute path",
                 "begin it with /");
  }
  into = *path;
}

void read_credentials(FetchConfig& config, TomlReader& reader) {
  read_path("token_file", config.token_file, reader);
  read_path("client_certificate", config.client_certificate, reader);
  read_path("client_key", config.client_key, reader);
  read_path("ca_file", config.ca_file, reader);
  if (config.client_certificate.empty() == config.client_key.empty()) return;
  const char* lonely = config.client_key.empty() ? "client_certificate" : "client_key";
  const char* other = config.client_key.empty() ? "client_key" : "client_certificate";
  reader.error(reader.optional(lonely)->line(), std::string(lonely) + " without " + other + " proves nothing",
               std::string("add ") + other + " = \"/PATH\"");
}

}  // namespace

std::optional<FetchConfig> parse_fetch_config(std::string_view toml, std::vector<Diagnostic>& out) {
  const std::size_t before = out.size();
  const std::optional<Toml> root = parse_toml(toml, out);
  if (!root) return std::nullopt;
  FetchConfig config;
  TomlReader reader(*root, "fetch.toml", out);
  read_urls(config, reader);
  read_credentials(config, reader);
  read_path("mirror", config.mirror, reader);
  while (config.mirror.size() > 1 && config.mirror.back() == '/') config.mirror.pop_back();
  reader.duration("poll", kLongestPoll, config.poll);
  reader.duration("answer_timeout", kLongestAnswer, config.answer_timeout);
  reader.finish();
  if (has_errors(out, before)) return std::nullopt;
  return config;
}

}  // namespace hallpass
