// Prints the journal catalog (systemd's format) or, with --markdown, the table of docs/journal-events.md, from
// host/events.def.
#include <cstdio>
#include <string>

#include "host/events.h"

namespace {

void print_wrapped(std::string_view text) {
  constexpr std::size_t kWidth = 76;
  while (text.size() > kWidth) {
    auto cut = text.rfind(' ', kWidth);
    if (cut == std::string_view::npos) cut = text.find(' ', kWidth);
    if (cut == std::string_view::npos) break;
    std::printf("%.*s\n", static_cast<int>(cut), text.data());
    text.remove_prefix(cut + 1);
  }
  std::printf("%.*s\n", static_cast<int>(text.size()), text.data());
}

std::string word(std::string_view text) {
  return std::string(text);
}

void print_catalog() {
  std::printf(
      "# Journal messages of hallpass. Installed in /usr/lib/systemd/catalog; then journalctl --update-catalog.\n");
  for (std::size_t i = 0; i < hallpass::all_events().size(); ++i) {
    const auto& info = hallpass::all_events()[i];
    const auto& words = hallpass::event_text(static_cast<hallpass::Event>(i));
    std::printf("\n-- %s\nSubject: %s\nDefined-By: hallpass\nDocumentation: man:hallpass(1)\n\n",
                word(info.message_id).c_str(), word(words.subject).c_str());
    print_wrapped(words.text);
  }
}

void print_markdown() {
  std::printf("| event | priority | MESSAGE_ID | meaning |\n|---|---|---|---|\n");
  for (std::size_t i = 0; i < hallpass::all_events().size(); ++i) {
    const auto& info = hallpass::all_events()[i];
    const auto& words = hallpass::event_text(static_cast<hallpass::Event>(i));
    std::printf("| `%s` | %d | `%s` | %s |\n", word(info.name).c_str(), info.priority, word(info.message_id).c_str(),
                word(words.text).c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "--markdown") {
    print_markdown();
  } else {
    print_catalog();
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
}
