#include "hub/http_request.h"

namespace hallpass::hub {

std::string_view status_words(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 207:
      return "Multi-Status";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return "Internal Server Error";
  }
}

HttpResponse response_of(Answer answer) {
  HttpResponse response;
  response.status = answer.status;
  response.content_type = std::move(answer.content_type);
  if (answer.retry_after > 0) response.more = "Retry-After: " + std::to_string(answer.retry_after) + "\r\n";
  response.body = std::make_shared<const std::string>(std::move(answer.body));
  return response;
}

std::string format_head(const HttpResponse& response, bool keep_alive, std::string_view date) {
  std::string head = "HTTP/1.1 " + std::to_string(response.status) + " ";
  head += status_words(response.status);
  head += "\r\nServer: hallpass-hub\r\nDate: ";
  head += date;
  head += "\r\nContent-Type: " + response.content_type;
  head += "\r\nContent-Length: " + std::to_string(response.body->size());
  head += "\r\nCache-Control: " + response.cache_control;
  head += "\r\nX-Content-Type-Options: nosniff\r\n" + response.more;
  head += keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  return head;
}

}  // namespace hallpass::hub
