// Preloaded into a test host's sshd: at the very moment that a session's record stands, the snapshot is withdrawn. What
// pam_hallpass.so decided before that moment must not count.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int renameat2(int old_dir, const char* old_path, int new_dir, const char* new_path, unsigned flags) {
  int (*real)(int, const char*, int, const char*, unsigned) = dlsym(RTLD_NEXT, "renameat2");
  int done = real(old_dir, old_path, new_dir, new_path, flags);
  if (done == 0 && strncmp(new_path, "/run/hallpass/sessions/", 23) == 0) {
    int fd = open("/run/hallpass/withdrawn", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
  }
  return done;
}
