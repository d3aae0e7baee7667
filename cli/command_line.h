// From argv to the command that was meant, and its exit code.
#pragma once

namespace hallpass::cli {

int run_command_line(int argc, char** argv);

}  // namespace hallpass::cli
