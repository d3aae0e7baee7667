// Stands between the program under test and libc: the Nth call that changes the disk kills the process, or it and all
// later ones fail. Include it in one file of a test program. The names take the place of libc's in the whole program.
#pragma once

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>

struct DiskCalls {
  long made = 0;
  long die_at = 0;   // before that call; 0: never
  long fail_at = 0;  // that one and all that need space from then on: ENOSPC
};
inline DiskCalls disk_calls;

inline bool disk_full() {
  return disk_calls.fail_at > 0 && disk_calls.made >= disk_calls.fail_at;
}
inline void end_here() {
  if (disk_calls.die_at > 0 && disk_calls.made == disk_calls.die_at) kill(getpid(), SIGKILL);
}

// By their linker names: the headers' declarations have attributes that a definition must not repeat.
#define DISK_CALL(needs_space, type, name, parameters, arguments)                           \
  extern "C" type counted_##name parameters __asm__(#name);                                 \
  type counted_##name parameters {                                                          \
    static const auto real = reinterpret_cast<type(*) parameters>(dlsym(RTLD_NEXT, #name)); \
    ++disk_calls.made;                                                                      \
    end_here();                                                                             \
    if ((needs_space) && disk_full()) {                                                     \
      errno = ENOSPC;                                                                       \
      return -1;                                                                            \
    }                                                                                       \
    const type result = real arguments;                                                     \
    return result;                                                                          \
  }

DISK_CALL(true, ssize_t, write, (int fd, const void* b, size_t n), (fd, b, n))
DISK_CALL(false, int, fsync, (int fd), (fd))
DISK_CALL(false, int, rename, (const char* a, const char* b), (a, b))
DISK_CALL(false, int, renameat, (int x, const char* a, int y, const char* b), (x, a, y, b))
DISK_CALL(false, int, unlink, (const char* a), (a))
DISK_CALL(false, int, unlinkat, (int d, const char* a, int f), (d, a, f))
DISK_CALL(false, int, rmdir, (const char* a), (a))
DISK_CALL(true, int, linkat, (int x, const char* a, int y, const char* b, int f), (x, a, y, b, f))
DISK_CALL(true, int, mkdir, (const char* a, mode_t m), (a, m))
DISK_CALL(false, int, fchmod, (int fd, mode_t m), (fd, m))

// Only those that make a file count.
extern "C" int counted_openat(int d, const char* a, int flags, ...) __asm__("openat64");
int counted_openat(int d, const char* a, int flags, ...) {
  static const auto real = reinterpret_cast<int (*)(int, const char*, int, ...)>(dlsym(RTLD_NEXT, "openat64"));
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if ((flags & O_CREAT) == 0) return real(d, a, flags, mode);
  ++disk_calls.made;
  end_here();
  if (disk_full()) {
    errno = ENOSPC;
    return -1;
  }
  const int result = real(d, a, flags, mode);
  return result;
}
