// A request as the session read it, and what is sent back.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "hub/service.h"

namespace hallpass::hub {

struct HttpRequest {
  std::string method, path, query;  // path with its first slash; neither is decoded: no name of ours needs it
  std::string authorization, accept_encoding;
  std::string body;
  bool keep_alive = false;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string cache_control = "no-store";
  std::string more;  // further header lines, each with \r\n
  std::shared_ptr<const std::string> body;
  bool close = false;
};

HttpResponse response_of(Answer answer);
// The head, for a body of so many bytes.
std::string format_head(const HttpResponse& response, bool keep_alive, std::string_view date);
std::string_view status_words(int status);

}  // namespace hallpass::hub
