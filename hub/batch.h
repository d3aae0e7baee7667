// One body of statements on its way through the hub. Internal to hub/service*.cc.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/statement.h"
#include "hub/service.h"

namespace hallpass::hub {

// Who says he signed a line, and what: read without verifying anything, to decide whose turn it is.
struct LineClaim {
  std::string person;
  bool revocation = false;
};
// Errors: those of open_statement before its verification; most bad lines end here, unknown keys among them.
Result<LineClaim> claim_of(std::string_view line, const KeyRing& keys);

struct BatchLine {
  std::size_t number = 0;  // in the body, from 1
  std::string_view text;
  LineClaim claim;
  std::optional<Statement> statement;
  Taking taking = Taking::refused;
  Refusal refusal;
  std::optional<std::uint64_t> index;
};

struct Service::Batch {
  std::string body;
  std::vector<BatchLine> lines;
  Answered answered;
  std::shared_ptr<const PolicyInForce> policy;  // that the lines are verified under
  std::uint64_t number = 0;
  UnixTime at{};
  Moment arrived{};
  std::vector<std::string> warnings;
  std::atomic<std::size_t> left{0};  // lines to be verified, then parts to become durable
};

// Fills `lines`; the refusal when there are none or too many.
std::optional<Answer> split_lines(std::string_view body, std::vector<BatchLine>& lines);
Answer answer_of(const std::vector<BatchLine>& lines, const std::vector<std::string>& warnings);

}  // namespace hallpass::hub
