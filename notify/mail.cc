#include "notify/mail.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "core/values/bytes.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxAddress = 254;  // RFC 5321
constexpr std::string_view kHex = "0123456789ABCDEF";
constexpr std::size_t kMaxLocal = 64;
constexpr std::size_t kMaxLine = 76;       // quoted-printable and encoded words
constexpr std::size_t kEncodedBytes = 39;  // of an encoded word: "Subject: " and its frame leave room for 52 characters

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// The calendar is reckoned in UTC. No library's names of days: they follow the locale.
std::string date_of(UnixTime at) {
  constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::string clock = format_time(at).substr(11, 8);
  std::array<char, 64> text{};
  const int length =
      std::snprintf(text.data(), text.size(), "%s, %02u %s %04d %s +0000",
                    kDays.at(std::chrono::weekday(day).c_encoding()), static_cast<unsigned>(date.day()),
                    kMonths.at(static_cast<unsigned>(date.month()) - 1), static_cast<int>(date.year()), clock.c_str());
  return {text.data(), static_cast<std::size_t>(length)};
}

bool is_plain(char c) {
  return c >= 0x20 && c < 0x7f;
}

}  // namespace

bool is_mail_domain(std::string_view text) {
  if (text.empty() || text.size() > kMaxAddress || !is_letter_or_digit(text.front())) return false;
  char before = '.';
  for (const char c : text) {
    if (!is_letter_or_digit(c) && c != '-' && c != '.') return false;
    if (c == '.' && before == '.') return false;
    before = c;
  }
  return before != '.' && before != '-';
}

bool is_mail_address(std::string_view text) {
  const std::size_t at = text.find('@');
  if (at == std::string_view::npos || at == 0 || at > kMaxLocal || text.size() > kMaxAddress) return false;
  constexpr std::string_view kOthers = ".!#$%&'*+-/=?^_`{|}~";
  const std::string_view local = text.substr(0, at);
  if (local.front() == '.' || local.back() == '.' || local.find("..") != std::string_view::npos) return false;
  return std::all_of(local.begin(), local.end(),
                     [&](char c) { return is_letter_or_digit(c) || kOthers.find(c) != std::string_view::npos; }) &&
         is_mail_domain(text.substr(at + 1));
}

std::string header_text(std::string_view text) {
  const bool plain = std::all_of(text.begin(), text.end(), is_plain) && text.find("=?") == std::string_view::npos;
  if (plain) return std::string(text);
  std::string out;
  while (!text.empty()) {
    std::size_t part = std::min(text.size(), kEncodedBytes);
    // Characters are not split between words.
    while (part > 1 && part < text.size() && (static_cast<unsigned char>(text[part]) & 0xc0) == 0x80) --part;
    out +=
        (out.empty() ? "" : "\r\n ") + std::string("=?UTF-8?B?") + base64_encode(as_bytes(text.substr(0, part))) + "?=";
    text.remove_prefix(part);
  }
  return out;
}

std::string quoted_printable(std::string_view text) {
  std::string out, line;
  const auto end_line = [&](const char* ending) {
    out += line + ending;
    line.clear();
  };
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '\n') {
      end_line("\r\n");
      continue;
    }
    const bool last = at + 1 == text.size() || text[at + 1] == '\n';
    // A space at the end of a line gets lost, and "From " and "." at its beginning mean something on the way.
    const bool shown = is_plain(c) && c != '=' && !(c == ' ' && last) && !(line.empty() && (c == 'F' || c == '.'));
    const auto byte = static_cast<unsigned char>(c);
    const std::string piece = shown ? std::string(1, c) : std::string{'=', kHex[byte >> 4], kHex[byte & 15]};
    if (line.size() + piece.size() >= kMaxLine) end_line("=\r\n");
    line += piece;
  }
  if (!line.empty()) end_line("\r\n");
  return out;
}

std::string mail_of(const Message& message, std::string_view from, std::string_view to) {
  const std::string domain(from.substr(from.find('@') + 1));
  // The id is hex digits; whatever else stood there would have been refused before, and must not end the header.
  const auto token = [](const std::string& text) {
    std::string out;
    for (const char c : text) out += is_letter_or_digit(c) || c == '-' ? std::string(1, c) : "";
    return out;
  };
  std::string out;
  const auto header = [&](const char* name, const std::string& value) {
    out += std::string(name) + ": " + value + "\r\n";
  };
  header("From", "hallpass <" + std::string(from) + ">");
  header("To", "<" + std::string(to) + ">");
  header("Subject", header_text(printable("[hallpass] " + message.title)));
  header("Date", date_of(message.at));
  header("Message-ID", "<" + token(message.id) + "@" + domain + ">");
  if (!message.thread.empty()) header("References", "<grant-" + token(message.thread) + "@" + domain + ">");
  header("Auto-Submitted", "auto-generated");
  header("MIME-Version", "1.0");
  header("Content-Type", "text/plain; charset=utf-8");
  header("Content-Transfer-Encoding", "quoted-printable");
  return out + "\r\n" + quoted_printable(plain_text(message));
}

}  // namespace hallpass
