#include "hub/config.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "core/values/text.h"

namespace hallpass::hub {
namespace {

constexpr std::size_t kMaxTokens = 1000;
constexpr std::size_t kMaxListen = 16;
constexpr std::size_t kMaxWitnesses = 16;
constexpr std::size_t kMaxUrl = 1000;
constexpr Seconds kLongestPoll{50};

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

// "127.0.0.1:8480", "[::1]:8480"; port 0 lets the kernel choose.
std::optional<ListenAddress> parse_listen(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = parse_port(text.substr(colon + 1));
  if (!port) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool six = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (six) host = host.substr(1, host.size() - 2);
  ListenAddress out{std::string(host), *port, false};
  in6_addr address6{};
  in_addr address4{};
  if (six) {
    if (inet_pton(AF_INET6, out.address.c_str(), &address6) != 1) return std::nullopt;
    out.loopback = IN6_IS_ADDR_LOOPBACK(&address6);
  } else {
    if (inet_pton(AF_INET, out.address.c_str(), &address4) != 1) return std::nullopt;
    out.loopback = (ntohl(address4.s_addr) >> 24) == 127;
  }
  return out;
}

void read_listen(HubConfig& config, TomlReader& reader) {
  bool present = false;
  const auto listed = reader.strings("listen", &present);
  const char* example = "write listen = [\"127.0.0.1:8480\"]";
  if (!present) config.listen.push_back({"127.0.0.1", 8480, true});
  if (present && listed.empty()) reader.error(reader.optional("listen")->line(), "listen is empty", example);
  if (listed.size() > kMaxListen) reader.error(listed[kMaxListen].second, "listen names over 16 addresses", example);
  for (const auto& [text, line] : listed) {
    if (auto address = parse_listen(text)) {
      config.listen.push_back(*std::move(address));
    } else {
      reader.error(line, "listen \"" + printable(text) + "\" is not a numeric address with a port", example);
    }
  }
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

void read_tls(HubConfig& config, TomlReader& reader, std::vector<Diagnostic>& out) {
  const Toml* section = reader.optional("tls");
  if (section == nullptr) return;
  if (section->as_table() == nullptr) {
    reader.error(section->line(), "tls is not a table", "write [tls] on a line of its own");
    return;
  }
  TomlReader tls(*section, "[tls]", out);
  read_path("certificate", config.certificate, tls);
  read_path("key", config.key, tls);
  read_path("client_ca", config.client_ca, tls);
  if (config.certificate.empty() || config.key.empty()) {
    tls.error(section->line(), "[tls] needs both certificate and key",
              "write certificate = \"/etc/hallpass/hub/tls.pem\" and key = \"/etc/hallpass/hub/tls-key.pem\"");
  }
  tls.finish();
}

const char* const kTokenCure =
    "write NAME = \"sha256:HEX\", HEX being what `printf %s TOKEN | sha256sum` prints for the token";

std::optional<ReadToken> parse_token(const std::string& name, std::string_view digest, std::string& fault) {
  if (!is_name(name)) {
    fault = "token \"" + printable(name) + "\" is not named like [a-z_][a-z0-9_-]{0,31}";
    return std::nullopt;
  }
  const Result<Digest> parsed = parse_digest(digest);
  if (!parsed) {
    // What stands there may be the token itself: it is not shown.
    fault = "token " + name + " is not given as sha256:HEX";
    return std::nullopt;
  }
  return ReadToken{name, *parsed};
}

void read_tokens(HubConfig& config, TomlReader& reader) {
  read_path("tokens_file", config.tokens_file, reader);
  const Toml* section = reader.optional("tokens");
  if (section == nullptr) return;
  if (section->as_table() == nullptr || section->as_table()->size() > kMaxTokens) {
    reader.error(section->line(), "tokens is not a table of at most 1000 tokens", kTokenCure);
    return;
  }
  for (const auto& [name, value] : *section->as_table()) {
    std::string fault = "token " + printable(name) + " is not a string";
    const std::string* digest = value.as_string();
    auto token = digest == nullptr ? std::nullopt : parse_token(name, *digest, fault);
    if (token) {
      config.tokens.push_back(*std::move(token));
    } else {
      reader.error(value.line(), fault, kTokenCure);
    }
  }
}

void read_reading(HubConfig& config, TomlReader& reader) {
  const Toml* there = reader.optional("read");
  const std::string mode = reader.string("read").value_or("token");
  config.anyone_reads = mode == "anyone";
  if (mode != "anyone" && mode != "token") {
    reader.error(there->line(), "read \"" + printable(mode) + "\" is neither \"token\" nor \"anyone\"",
                 "write read = \"token\"");
  }
  const Toml* tokens = reader.optional("tokens");  // mistakes in there are told already
  const bool none = tokens == nullptr || (tokens->as_table() != nullptr && tokens->as_table()->empty());
  if (!config.anyone_reads && none && config.tokens_file.empty() && config.client_ca.empty()) {
    reader.error(there == nullptr ? 0 : there->line(),
                 "nobody can read: there is neither a token nor an authority of client certificates",
                 "add [tokens], tokens_file or client_ca in [tls], or write read = \"anyone\"");
  }
  const bool open = std::any_of(config.listen.begin(), config.listen.end(), [](const auto& l) { return !l.loopback; });
  if (open && config.certificate.empty() && !config.anyone_reads) {
    reader.warning(0, "tokens cross the network unencrypted: listen names other than this machine, without [tls]",
                   "add [tls], or listen on 127.0.0.1 behind a proxy that does TLS");
  }
}

void read_limits(HubConfig& config, TomlReader& reader, std::vector<Diagnostic>& out) {
  const Toml* section = reader.optional("limits");
  if (section == nullptr) return;
  if (section->as_table() == nullptr) {
    reader.error(section->line(), "limits is not a table", "write [limits] on a line of its own");
    return;
  }
  constexpr std::int64_t kMost = 1'000'000'000;
  TomlReader limits(*section, "[limits]", out);
  const auto take = [&](const char* name, std::int64_t low, std::int64_t high, std::int64_t& into) {
    into = limits.integer(name, low, high).value_or(into);
  };
  take("connections", 16, 1'000'000, config.connections);
  take("statements_per_minute", 1, kMost, config.person.statements_per_minute);
  take("statements_burst", 1, kMost, config.person.statements_burst);
  take("narrowing_per_minute", 1, kMost, config.person.narrowing_per_minute);
  take("narrowing_burst", 1, kMost, config.person.narrowing_burst);
  take("live_requests", 1, 1'000'000, config.person.live_requests);
  if (const auto wait = limits.duration("poll_wait")) {
    config.poll_wait = *wait;
    if (*wait > kLongestPoll) {
      limits.error(limits.optional("poll_wait")->line(), "poll_wait " + format_duration(*wait) + " is over 50s",
                   "write \"50s\" or less: readers take longer silence for a dead hub");
    }
  }
  limits.finish();
}

void read_witness(const Toml& entry, HubConfig& config, std::vector<Diagnostic>& out) {
  TomlReader reader(entry, "[[witness]]", out);
  WitnessConfig witness;
  reader.required("url", "url = \"https://witness.example.org\"");
  reader.required("vkey", "vkey = \"witness.example.org+1a2b3c4d+BASE64\"");
  if (const auto url = reader.string("url")) {
    const bool known = url->rfind("https://", 0) == 0 || url->rfind("http://", 0) == 0;
    if (!known || url->size() > kMaxUrl || url->back() == '/') {
      reader.error(reader.optional("url")->line(), "url \"" + printable(*url) + "\" is not the prefix of a witness",
                   "write url = \"https://HOST/PREFIX\", without a slash at its end");
    }
    witness.url = *url;
  }
  if (const auto vkey = reader.string("vkey")) {
    const Result<NoteKey> key = NoteKey::parse(*vkey);
    if (!key || key->type != NoteKeyType::cosignature) {
      reader.error(reader.optional("vkey")->line(),
                   key ? "vkey is not a cosignature key" : "vkey: " + key.error().message,
                   "write the verifier key that the witness publishes, NAME+HASH+BASE64");
    } else {
      witness.key = *key;
    }
  }
  reader.finish();
  config.witnesses.push_back(std::move(witness));
}

void read_witnesses(HubConfig& config, TomlReader& reader, std::vector<Diagnostic>& out) {
  const Toml* listed = reader.optional("witness");
  if (listed == nullptr) return;
  if (listed->as_array() == nullptr || listed->as_array()->size() > kMaxWitnesses) {
    reader.error(listed->line(), "witness is not a list of at most 16 witnesses", "write [[witness]] before each");
    return;
  }
  std::set<std::string> names;
  for (const Toml& entry : *listed->as_array()) {
    if (entry.as_table() == nullptr) {
      reader.error(entry.line(), "a witness is not a table", "write [[witness]] before each");
      continue;
    }
    read_witness(entry, config, out);
    const NoteKey& key = config.witnesses.back().key;
    if (!key.name.empty() && !names.insert(key.text()).second) {
      reader.error(entry.line(), "a witness is named twice", "leave one of them out");
    }
  }
}

void read_places(HubConfig& config, TomlReader& reader) {
  read_path("log", config.log, reader);
  read_path("state", config.state, reader);
  read_path("log_key", config.log_key, reader);
  read_path("witness_key", config.witness_key, reader);
  read_path("trust", config.trust, reader);
  read_path("hosts_file", config.hosts_file, reader);
  read_path("notices", config.notices, reader);
  if (config.log == config.state || config.state.rfind(config.log + "/", 0) == 0) {
    const Toml* there = reader.optional("state");
    reader.error(there == nullptr ? 0 : there->line(), "state lies in the log, which others may read",
                 "give it a directory of its own, such as \"/var/lib/hallpass-hub/state\"");
  }
}

}  // namespace

std::optional<HubConfig> parse_hub_config(std::string_view toml, std::vector<Diagnostic>& out) {
  std::vector<Diagnostic> found;
  HubConfig config;
  if (const auto root = parse_toml(toml, found)) {
    TomlReader reader(*root, "hub.toml", found);
    read_listen(config, reader);
    read_tls(config, reader, found);
    read_tokens(config, reader);
    read_reading(config, reader);
    read_places(config, reader);
    read_limits(config, reader, found);
    read_witnesses(config, reader, found);
    config.access_log = reader.boolean("access_log").value_or(false);
    reader.finish();
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Diagnostic& a, const Diagnostic& b) { return a.line < b.line; });
  const bool refused = has_errors(found);
  out.insert(out.end(), found.begin(), found.end());
  if (refused) return std::nullopt;
  return config;
}

std::optional<std::vector<ReadToken>> parse_tokens(std::string_view text, std::vector<Diagnostic>& out) {
  std::vector<ReadToken> tokens;
  bool good = true;
  int line = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view words = text.substr(begin, end - begin);
    begin = end + 1;
    ++line;
    if (words.empty() || words.front() == '#') continue;
    const std::size_t space = words.find(' ');
    std::string fault = "a line is not a name, a space and sha256:HEX";
    auto token = space == std::string_view::npos
                     ? std::nullopt
                     : parse_token(std::string(words.substr(0, space)), words.substr(space + 1), fault);
    if (token && tokens.size() < kMaxTokens) {
      tokens.push_back(*std::move(token));
    } else {
      if (token) fault = "over 1000 tokens";
      good = false;
      out.push_back({Diagnostic::Severity::error, line, fault, "write: NAME sha256:HEX"});
    }
  }
  if (!good) return std::nullopt;
  return tokens;
}

}  // namespace hallpass::hub
