// hallpass: people's side of temporary production access.
#include "cli/command_line.h"

int main(int argc, char** argv) {
  return hallpass::cli::run_command_line(argc, argv);
}
