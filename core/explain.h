// A judgement in words and as JSON: what `hallpass explain`, the journal and reports print.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/judge.h"

namespace hallpass {

// Prints a time for the reader (local zone, or UTC in journals).
using TimePrinter = std::function<std::string(UnixTime)>;

// One line: "active until 14:32 (12m left), by rule 2; approved by bob".
std::string summarize(const Judgement& j, UnixTime now, const TimePrinter& print);
// Every rule and why it admits or not, step by step, ending in what would help ("bob or ana can run: hallpass approve
// k7m3-9x2d-q4fh").
std::vector<std::string> explain(const Judgement& j, const Policy& policy, UnixTime now, const TimePrinter& print);
Json to_json_value(const Judgement& j);

// Whose approval would fill an open place of this rule, which waits for some: people in its gates who have not
// approved, never the subject. Sorted.
std::vector<std::string> who_can_approve(const Judgement& j, const RuleResult& result, const Policy& policy);

}  // namespace hallpass
