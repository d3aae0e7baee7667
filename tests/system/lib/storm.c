// storm COUNT WORD: COUNT processes, each of which forks its successor every few seconds and exits. TERM and HUP do not
// stop them.
#include <signal.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static void live(unsigned seed) {
  for (;;) {
    usleep(4000000 + (seed = seed * 1103515245 + 12345) / 1024 % 8000000);
    if (fork() > 0) _exit(0);
  }
}

int main(int argc, char** argv) {
  const int count = argc > 2 ? atoi(argv[1]) : 0;
  signal(SIGCHLD, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  for (int i = 0; i < count;) {
    const pid_t child = fork();
    if (child == 0) live((unsigned)i * 2654435761U);
    if (child > 0) ++i;
    if (child < 0) usleep(1000);
  }
  for (;;) pause();
}
