// why: the forced command of keys whose owner has no admission. Says why, and ends. Runs as the person; reads nothing.
#include <cstdio>
#include <ctime>
#include <exception>

#include "pam/why_words.h"

int main(int argc, char** argv) {
  try {
    const std::string sentence = hallpass::why_sentence({argv + 1, argv + argc}, hallpass::from_unix(time(nullptr)));
    std::fprintf(stderr, "%s\n", sentence.c_str());
  } catch (const std::exception&) {
    std::fputs("hallpass: there is no grant for this login\n", stderr);
  }
  return 1;
}
