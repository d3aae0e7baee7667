// Whom a statement concerns and what they are told: pure. docs/operations.md, "Notices".
#pragma once

#include <string>
#include <vector>

#include "core/judge.h"
#include "core/policy.h"
#include "core/statement.h"
#include "notify/notice.h"

namespace hallpass::hub {

// For a request: to those whose approval would help it. For a denial, and an approval or a revocation that changes what
// the grant is: to the requester. Each time one for rooms, to all of them, and one by mail for each. Empty: nobody is
// told. Arguments as in hub/notices.h.
std::vector<Notice> notices_of(const Statement& taken, const Judgement& before, const Judgement& after,
                               const Request& request, const Policy& policy);

// 32 hex digits, always the same for one statement about one grant to one person or to the rooms.
std::string notice_id(const Digest& statement, const Digest& grant, const Notice& notice);

}  // namespace hallpass::hub
