#include "agent/fetch/http_carrier.h"

#include <fcntl.h>

#include <algorithm>

#include "core/edge/files.h"
#include "core/log/note.h"
#include "core/log/tiles.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::chrono::seconds kLongPoll{50};
constexpr std::size_t kMaxTokenBytes = 4096;

// How long a server that answers so is asked for its files only: either it has nothing else (not every one says 404 to
// a name it does not know), or what stands behind it is down.
std::chrono::seconds without_waiting(int status) {
  if (status == 400 || status == 403 || status == 404 || status == 405 || status == 501)
    return std::chrono::minutes{10};
  if (status == 502 || status == 503 || status == 504) return std::chrono::minutes{1};
  return std::chrono::seconds{0};
}

Error of_status(int status, const std::string& path) {
  const std::string what = path + ": it answers " + std::to_string(status);
  if (status == 404 || status == 410) return {Errc::not_found, what};
  if (status == 401 || status == 403) {
    return {Errc::unavailable, what + "; reading needs a token: token_file in fetch.toml, or a client certificate"};
  }
  return {Errc::unavailable, what};
}

}  // namespace

HttpCarrier::HttpCarrier(const FetchConfig& config, SourceUrl url, std::function<bool()> keep_waiting)
    : config_(config), url_(std::move(url)), keep_waiting_(std::move(keep_waiting)) {}

Status HttpCarrier::connect() {
  HttpOptions options;
  options.ca_file = config_.ca_file;
  options.client_certificate = config_.client_certificate;
  options.client_key = config_.client_key;
  options.allow_plain_http = config_.allow_plain_http;
  options.user_agent = "hallpass-fetch";
  options.connect_timeout = std::min<std::chrono::milliseconds>(options.connect_timeout, config_.answer_timeout);
  if (!config_.token_file.empty()) {
    Result<std::string> token = read_file(AT_FDCWD, config_.token_file, kMaxTokenBytes, true);
    if (!token) {
      return Error{Errc::unavailable, token.error().message + "; make token_file readable for hallpass-fetch"};
    }
    while (!token->empty() && (token->back() == '\n' || token->back() == ' ')) token->pop_back();
    options.token = *token;
  }
  client_ = std::make_unique<HttpClient>(std::move(options));
  return Unit{};
}

Result<std::string> HttpCarrier::get(const std::string& path, std::size_t limit, std::chrono::milliseconds timeout,
                                     const std::function<bool()>& keep_waiting, int* status) {
  if (!client_) {
    if (const Status connected = connect(); !connected) return connected.error();
  }
  Result<HttpAnswer> answer = client_->get(url_.url + "/" + path, limit, timeout, keep_waiting);
  if (!answer) return Error{answer.error().code, path + ": " + answer.error().message};
  received_ += answer->wire_bytes;
  if (status != nullptr) *status = answer->status;
  if (answer->status != 200) return of_status(answer->status, path);
  return std::move(answer->body);
}

Result<std::string> HttpCarrier::file(const std::string& path, std::size_t limit) {
  return get(path, limit, config_.answer_timeout, keep_waiting_);
}

Result<std::string> HttpCarrier::head(std::uint64_t after, bool wait, const std::function<bool()>& until_told) {
  const std::string plain_path(kCheckpointPath);
  if (!wait || plain()) return file(plain_path, kMaxNoteBytes);
  const auto both = [&] { return keep_waiting_() && (!until_told || until_told()); };
  const std::string path = "v1/checkpoint?after=" + std::to_string(after);
  int status = 0;
  Result<std::string> note = get(path, kMaxNoteBytes, kLongPoll + config_.answer_timeout, both, &status);
  const std::chrono::seconds plain_for = without_waiting(status);
  if (note || plain_for.count() == 0) return note;
  Result<std::string> plainly = file(plain_path, kMaxNoteBytes);
  if (plainly) plain_until_ = std::chrono::steady_clock::now() + plain_for;
  return plainly;
}

}  // namespace hallpass
