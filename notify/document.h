// What lies in a queue: one JSON object each, an alert (notify/alert.h) or a notice (notify/notice.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/values/result.h"

namespace hallpass {

inline constexpr std::size_t kMaxDocumentBytes = std::size_t{64} * 1024;
inline constexpr std::size_t kDocumentIdDigits = 32;

// What delivering needs to know of a document; everything else is the receiver's business.
struct DocumentHead {
  enum class Kind { alert, room_notice, mail_notice };
  std::string id, event;
  Kind kind = Kind::alert;
  std::string person{};  // mail_notice: whom it is for
};
// Errors: malformed.
Result<DocumentHead> read_head(std::string_view json);

}  // namespace hallpass
