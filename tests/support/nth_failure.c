// A shim for /etc/ld.so.preload, which sudo heeds although it is set-user-id: lets calls made by hallpass_sudo.so, or
// by what it calls, fail in the process named "sudo".
//   /etc/nth-failure  "memory N": the Nth allocation asked for by the plugin finds no memory
//                     "files N":  the Nth descriptor that the plugin or its libraries open is one too many
//                     N negative: every one from there on
//   /run/nth-failure  gets "memory M files F" at the end: how many there were
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { kMemory, kFiles, kKinds };
static const char* const names[kKinds] = {"memory", "files"};
static long wanted[kKinds], calls[kKinds];
static int on;
static pid_t owner;
static uintptr_t from, to;  // where hallpass_sudo.so and liblmdb.so lie
static uintptr_t lmdb_from, lmdb_to;

__attribute__((constructor)) static void begin(void) {
  char text[64] = {0}, kind[16];
  long n = 0;
  if (strcmp(program_invocation_short_name, "sudo") != 0) return;
  const int fd = (int)syscall(SYS_openat, AT_FDCWD, "/etc/nth-failure", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (read(fd, text, sizeof text - 1) > 0 && sscanf(text, "%15s %ld", kind, &n) == 2) {
    for (int i = 0; i < kKinds; ++i) wanted[i] = strcmp(kind, names[i]) == 0 ? n : 0;
  }
  close(fd);
  owner = getpid();
  on = 1;
}

__attribute__((destructor)) static void end(void) {
  if (!on || getpid() != owner) return;
  char text[64];
  const int length = snprintf(text, sizeof text, "memory %ld files %ld\n", calls[kMemory], calls[kFiles]);
  const int fd = (int)syscall(SYS_openat, AT_FDCWD, "/run/nth-failure", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, text, (size_t)length) != length) return;
  close(fd);
}

static int look(struct dl_phdr_info* info, size_t size, void* unused) {
  (void)size;
  (void)unused;
  const int plugin = strstr(info->dlpi_name, "/hallpass_sudo.so") != NULL;
  if (!plugin && strstr(info->dlpi_name, "/liblmdb.so") == NULL) return 0;
  uintptr_t low = UINTPTR_MAX, high = 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
    const uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, finish = begin + info->dlpi_phdr[i].p_memsz;
    low = begin < low ? begin : low;
    high = finish > high ? finish : high;
  }
  *(plugin ? &from : &lmdb_from) = low;
  *(plugin ? &to : &lmdb_to) = high;
  return 0;
}

// Whether the call that returns to `caller` is to fail.
static int fails(int kind, const void* caller) {
  static int inside;
  if (!on || inside || getpid() != owner) return 0;
  if (from == 0) {  // not loaded yet? Cheap enough for tests.
    inside = 1;
    dl_iterate_phdr(look, NULL);
    inside = 0;
  }
  const uintptr_t at = (uintptr_t)caller;
  if (!(at >= from && at < to) && !(at >= lmdb_from && at < lmdb_to)) return 0;
  const long n = ++calls[kind], want = wanted[kind];
  return want > 0 ? n == want : want < 0 && n >= -want;
}

extern void* __libc_malloc(size_t size);
extern void* __libc_calloc(size_t n, size_t size);
extern void* __libc_realloc(void* old, size_t size);

void* malloc(size_t size) {
  if (!fails(kMemory, __builtin_return_address(0))) return __libc_malloc(size);
  errno = ENOMEM;
  return NULL;
}
void* calloc(size_t n, size_t size) {
  if (!fails(kMemory, __builtin_return_address(0))) return __libc_calloc(n, size);
  errno = ENOMEM;
  return NULL;
}
void* realloc(void* old, size_t size) {
  if (!fails(kMemory, __builtin_return_address(0))) return __libc_realloc(old, size);
  errno = ENOMEM;
  return NULL;
}

static int refuse_file(void) {
  errno = EMFILE;
  return -1;
}
static mode_t mode_of(int flags, va_list more) {
  return (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
}
#define OPEN(name)                                                        \
  int name(const char* path, int flags, ...) {                            \
    va_list more;                                                         \
    va_start(more, flags);                                                \
    const mode_t mode = mode_of(flags, more);                             \
    va_end(more);                                                         \
    if (fails(kFiles, __builtin_return_address(0))) return refuse_file(); \
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);         \
  }
OPEN(open)
OPEN(open64)
int socket(int domain, int type, int protocol) {
  if (fails(kFiles, __builtin_return_address(0))) return refuse_file();
  return (int)syscall(SYS_socket, domain, type, protocol);
}
int memfd_create(const char* name, unsigned flags) {
  if (fails(kFiles, __builtin_return_address(0))) return refuse_file();
  return (int)syscall(SYS_memfd_create, name, flags);
}
