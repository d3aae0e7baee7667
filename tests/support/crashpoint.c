// LD_PRELOAD shim: ends the process with SIGKILL just before, or just after, its Nth call that changes the disk, so
// that a test can stop a program at every such call in turn.
//   CRASHPOINT_AT     N, from 1; absent or 0: never
//   CRASHPOINT_AFTER  set: after the call instead of before it
//   CRASHPOINT_COUNT  a file that gets the number of calls at exit
//   CRASHPOINT_FAIL   an errno: every counted call from CRASHPOINT_AT on fails with it instead
//                     (EIO 5, ENOSPC 28, EROFS 30)
//   CRASHPOINT_ONCE   set: only that one call fails
//   CRASHPOINT_DISK   set: directories and files made, links and modes count too; writes to standard streams do not
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static long calls, crash_at, fail_with;
static int after, once, disk;
static pid_t owner;

__attribute__((constructor)) static void begin(void) {
  const char* at = getenv("CRASHPOINT_AT");
  const char* with = getenv("CRASHPOINT_FAIL");
  crash_at = at ? atol(at) : 0;
  fail_with = with ? atol(with) : 0;
  after = getenv("CRASHPOINT_AFTER") != NULL;
  once = getenv("CRASHPOINT_ONCE") != NULL;
  disk = getenv("CRASHPOINT_DISK") != NULL;
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

// This call's number. 0: not counted, as in a child (the ledger's check), which changes nothing.
static long number_of(int counts) {
  return counts && getpid() == owner ? __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST) : 0;
}
static int fails(long number) {
  if (number == 0 || fail_with == 0 || crash_at <= 0) return 0;
  return once ? number == crash_at : number >= crash_at;
}
static int dies(long number) {
  return number != 0 && number == crash_at && fail_with == 0;
}
static void die(void) {
  syscall(SYS_kill, getpid(), SIGKILL);
}

#define WRAP_IF(counts, type, name, params, args)               \
  type name params {                                            \
    static type(*real) params;                                  \
    if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, #name); \
    const long number = number_of(counts);                      \
    if (fails(number)) {                                        \
      errno = (int)fail_with;                                   \
      return (type)-1;                                          \
    }                                                           \
    if (dies(number) && !after) die();                          \
    const type result = real args;                              \
    if (dies(number) && after) die();                           \
    return result;                                              \
  }
#define WRAP(type, name, params, args) WRAP_IF(1, type, name, params, args)

WRAP_IF(!disk || fd > 2, ssize_t, write, (int fd, const void* b, size_t n), (fd, b, n))
WRAP(ssize_t, pwrite, (int fd, const void* b, size_t n, off_t o), (fd, b, n, o))
WRAP(ssize_t, pwrite64, (int fd, const void* b, size_t n, off_t o), (fd, b, n, o))
WRAP_IF(!disk || fd > 2, ssize_t, writev, (int fd, const struct iovec* v, int n), (fd, v, n))
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

WRAP_IF(disk, int, mkdir, (const char* a, mode_t m), (a, m))
WRAP_IF(disk, int, mkdirat, (int d, const char* a, mode_t m), (d, a, m))
WRAP_IF(disk, int, linkat, (int x, const char* a, int y, const char* b, int f), (x, a, y, b, f))
WRAP_IF(disk, int, fchmod, (int fd, mode_t m), (fd, m))

// Only those that make a file.
#define WRAP_OPENAT(name)                                                           \
  int name(int d, const char* a, int f, ...) {                                      \
    static int (*real)(int, const char*, int, ...);                                 \
    va_list rest;                                                                   \
    va_start(rest, f);                                                              \
    const mode_t m = (f & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                                                   \
    if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, #name);                     \
    const long number = number_of(disk && (f & O_CREAT) != 0);                      \
    if (fails(number)) {                                                            \
      errno = (int)fail_with;                                                       \
      return -1;                                                                    \
    }                                                                               \
    if (dies(number) && !after) die();                                              \
    const int result = real(d, a, f, m);                                            \
    if (dies(number) && after) die();                                               \
    return result;                                                                  \
  }
WRAP_OPENAT(openat)
WRAP_OPENAT(openat64)

// These return the error instead of setting errno.
#define WRAP_FALLOCATE(name)                                    \
  int name(int fd, off_t o, off_t n) {                          \
    static int (*real)(int, off_t, off_t);                      \
    if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, #name); \
    const long number = number_of(1);                           \
    if (fails(number)) return (int)fail_with;                   \
    if (dies(number) && !after) die();                          \
    const int result = real(fd, o, n);                          \
    if (dies(number) && after) die();                           \
    return result;                                              \
  }
WRAP_FALLOCATE(posix_fallocate)
WRAP_FALLOCATE(posix_fallocate64)
