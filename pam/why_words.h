// A refusal's reason as words that need no quoting anywhere, [A-Za-z0-9._:=,-], on its way through a forced command to
// `why`, which runs as the person and can read no snapshot.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "host/snapshot_reader.h"

namespace hallpass {

// "state=ended at=1790000000 id=k7m3-9x2d-q4fh host=web-3 subject=alice account=alice runbooks=a,b"; what cannot be
// said safely is left out.
std::string why_words(std::string_view host, const WaitingView& waiting);

// The sentence for such words; a general one when they say nothing known.
std::string why_sentence(const std::vector<std::string>& words, UnixTime now);

}  // namespace hallpass
