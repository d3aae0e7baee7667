// LD_PRELOAD shim: ends the process with SIGKILL just before, or just after, its Nth call that changes the disk, so
// that a test can stop a program at every such call in turn.
//   CRASHPOINT_AT     N, from 1; absent or 0: never
//   CRASHPOINT_AFTER  set: after the call instead of before it
//   CRASHPOINT_COUNT  a file that gets the number of calls at exit
//   CRASHPOINT_FAIL   an errno: every counted call from CRASHPOINT_AT on fails with it instead
//                     (EIO 5, ENOSPC 28, EROFS 30)
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static long calls, crash_at, fail_with;
static int after;
static pid_t owner;

__attribute__((constructor)) static void begin(void) {
  const char* at = getenv("CRASHPOINT_AT");
  const char* with = getenv("CRASHPOINT_FAIL");
  crash_at = at ? atol(at) : 0;
  fail_with = with ? atol(with) : 0;
  after = getenv("CRASHPOINT_AFTER") != NULL;
  owner = getpid();
}

__attribute__((destructor)) static void end(void) {
  const char* path = getenv("CRASHPOINT_COUNT");
  if (path == NULL || getpid() != owner) return;
  FILE* f = fopen(path, "w");
  if (f == NULL) return;
  fprintf(f, "%ld\n", calls);
  fclose(f);
}

// Whether this call is the one. A child (the ledger's check) changes nothing and is not counted.
static int counted(void) {
  return getpid() == owner && ++calls == crash_at;
}
static void die(void) {
  syscall(SYS_kill, getpid(), SIGKILL);
}

#define WRAP(type, name, params, args)                                              \
  type name params {                                                                \
    static type(*real) params;                                                      \
    if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, #name);                     \
    const int now = counted();                                                      \
    if (getpid() == owner && fail_with != 0 && crash_at > 0 && calls >= crash_at) { \
      errno = (int)fail_with;                                                       \
      return (type)-1;                                                              \
    }                                                                               \
    if (now && fail_with == 0 && !after) die();                                     \
    const type result = real args;                                                  \
    if (now && fail_with == 0 && after) die();                                      \
    return result;                                                                  \
  }

WRAP(ssize_t, write, (int fd, const void* b, size_t n), (fd, b, n))
WRAP(ssize_t, pwrite, (int fd, const void* b, size_t n, off_t o), (fd, b, n, o))
WRAP(ssize_t, pwrite64, (int fd, const void* b, size_t n, off_t o), (fd, b, n, o))
WRAP(ssize_t, writev, (int fd, const struct iovec* v, int n), (fd, v, n))
WRAP(ssize_t, pwritev, (int fd, const struct iovec* v, int n, off_t o), (fd, v, n, o))
WRAP(ssize_t, pwritev64, (int fd, const struct iovec* v, int n, off_t o), (fd, v, n, o))
WRAP(ssize_t, sendfile, (int out, int in, off_t* o, size_t n), (out, in, o, n))
WRAP(ssize_t, sendfile64, (int out, int in, off_t* o, size_t n), (out, in, o, n))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, msync, (void* a, size_t n, int f), (a, n, f))
WRAP(int, rename, (const char* a, const char* b), (a, b))
WRAP(int, renameat, (int x, const char* a, int y, const char* b), (x, a, y, b))
WRAP(int, renameat2, (int x, const char* a, int y, const char* b, unsigned f), (x, a, y, b, f))
WRAP(int, unlink, (const char* a), (a))
WRAP(int, unlinkat, (int d, const char* a, int f), (d, a, f))
WRAP(int, ftruncate, (int fd, off_t n), (fd, n))
WRAP(int, ftruncate64, (int fd, off_t n), (fd, n))
WRAP(int, fallocate, (int fd, int m, off_t o, off_t n), (fd, m, o, n))

// These return the error instead of setting errno.
#define WRAP_FALLOCATE(name)                                                        \
  int name(int fd, off_t o, off_t n) {                                              \
    static int (*real)(int, off_t, off_t);                                          \
    if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, #name);                     \
    const int now = counted();                                                      \
    if (fail_with != 0 && crash_at > 0 && calls >= crash_at) return (int)fail_with; \
    if (now && fail_with == 0 && !after) die();                                     \
    const int result = real(fd, o, n);                                              \
    if (now && fail_with == 0 && after) die();                                      \
    return result;                                                                  \
  }
WRAP_FALLOCATE(posix_fallocate)
WRAP_FALLOCATE(posix_fallocate64)
