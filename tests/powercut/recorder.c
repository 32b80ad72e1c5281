/* Records what a process does to files, for LD_PRELOAD: every change and every sync, with its times.
 *
 *   RECORD_TO      the log, appended to: records of `struct record`, then path, second path and data
 *   RECORD_SYNC_US how much longer each sync takes
 *   RECORD_FILES   beginning of the paths that are recorded (the folder of a directory's sync is recorded too)
 *
 * Each call leaves two records: one before it, with the data, and one after it (op '.', same id), so that what
 * a killed process had begun is known. Times are CLOCK_MONOTONIC, in ns, and of this machine: comparable to
 * those of other processes. Shared memory (-shm), locks and logs are no evidence after a crash: left out.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct record {
    uint64_t id, at_ns;
    int64_t offset; /* of a write; the new size of a truncation */
    uint64_t size;  /* bytes of data behind this record */
    uint32_t op;    /* c(reate) w(rite) t(runcate) s(ync) u(nlink) l(ink) r(ename), or '.': it is done */
    uint16_t path, other; /* bytes of the two paths behind this record */
};

static int log_fd = -1;
static const char *prefix;
static uint64_t next_id;
static useconds_t sync_us;

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *to = getenv("RECORD_TO");
    int (*real_open)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
    prefix = getenv("RECORD_FILES");
    if (to && prefix) log_fd = real_open(to, O_WRONLY | O_APPEND | O_CLOEXEC);
    next_id = (uint64_t)getpid() << 32;
    if (getenv("RECORD_SYNC_US")) sync_us = (useconds_t)atoi(getenv("RECORD_SYNC_US"));
}

static uint64_t now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static int ends_with(const char *path, const char *end) {
    size_t size = strlen(path), length = strlen(end);
    return size >= length && strcmp(path + size - length, end) == 0;
}

static int is_recorded(const char *path) {
    return log_fd >= 0 && strncmp(path, prefix, strlen(prefix)) == 0 && !ends_with(path, "-shm") &&
           !ends_with(path, ".lock") && !ends_with(path, " (deleted)");
}

/* The path of an open file, if its changes are recorded. */
static int is_recorded_fd(int fd, char *path) {
    char link[64];
    struct stat found;
    int saved = errno, answer = 0;
    if (log_fd >= 0 && fstat(fd, &found) == 0 && (S_ISREG(found.st_mode) || S_ISDIR(found.st_mode))) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(link, path, PATH_MAX - 1);
        if (size > 0) {
            path[size] = 0;
            size_t folder = (size_t)(strrchr(prefix, '/') - prefix);
            answer = S_ISREG(found.st_mode)
                         ? is_recorded(path)
                         : strlen(path) == folder && strncmp(path, prefix, folder) == 0;
        }
    }
    errno = saved;
    return answer;
}

static uint64_t put(uint64_t id, char op, const char *path, const char *other, int64_t offset,
                    const void *data, size_t size) {
    int saved = errno;
    struct record record = {id, now_ns(), offset, data ? size : 0, (uint32_t)op,
                            (uint16_t)strlen(path), (uint16_t)strlen(other)};
    struct iovec parts[4] = {{&record, sizeof record},
                             {(void *)path, record.path},
                             {(void *)other, record.other},
                             {(void *)data, record.size}};
    REAL(writev);
    size_t all = sizeof record + record.path + record.other + record.size;
    if (real(log_fd, parts, 4) != (ssize_t)all) abort(); /* a log with a hole would prove nothing */
    errno = saved;
    return id;
}

static uint64_t starts(char op, const char *path, const char *other, int64_t offset, const void *data,
                       size_t size) {
    return put(__atomic_add_fetch(&next_id, 1, __ATOMIC_RELAXED), op, path, other, offset, data, size);
}

/* `offset` of the record is how many bytes were written, or -1: it failed. */
static void ends(uint64_t id, int64_t result) { put(id, '.', "", "", result, NULL, 0); }

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    REAL(pwrite64);
    char path[PATH_MAX];
    if (!is_recorded_fd(fd, path)) return real(fd, data, size, at);
    uint64_t id = starts('w', path, "", at, data, size);
    ssize_t written = real(fd, data, size, at);
    ends(id, written);
    return written;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    char path[PATH_MAX];
    if (!is_recorded_fd(fd, path)) return real(fd, data, size);
    off64_t at = fcntl(fd, F_GETFL) & O_APPEND ? lseek64(fd, 0, SEEK_END) : lseek64(fd, 0, SEEK_CUR);
    uint64_t id = starts('w', path, "", at, data, size);
    ssize_t written = real(fd, data, size);
    ends(id, written);
    return written;
}

int ftruncate64(int fd, off64_t size) {
    REAL(ftruncate64);
    char path[PATH_MAX];
    if (!is_recorded_fd(fd, path)) return real(fd, size);
    uint64_t id = starts('t', path, "", size, NULL, 0);
    int status = real(fd, size);
    ends(id, status);
    return status;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int synced(int fd, int (*real)(int)) {
    char path[PATH_MAX];
    if (!is_recorded_fd(fd, path)) return real(fd);
    uint64_t id = starts('s', path, "", 0, NULL, 0);
    usleep(sync_us);
    int status = real(fd);
    ends(id, status);
    return status;
}

int fsync(int fd) {
    REAL(fsync);
    return synced(fd, real);
}

int fdatasync(int fd) {
    REAL(fdatasync);
    return synced(fd, real);
}

int unlink(const char *path) {
    REAL(unlink);
    if (!is_recorded(path)) return real(path);
    uint64_t id = starts('u', path, "", 0, NULL, 0);
    int status = real(path);
    ends(id, status);
    return status;
}

int link(const char *path, const char *other) {
    REAL(link);
    if (!is_recorded(other)) return real(path, other);
    uint64_t id = starts('l', path, other, 0, NULL, 0);
    int status = real(path, other);
    ends(id, status);
    return status;
}

int linkat(int from, const char *path, int to, const char *other, int flags) {
    REAL(linkat);
    if (from != AT_FDCWD || to != AT_FDCWD || !is_recorded(other)) return real(from, path, to, other, flags);
    uint64_t id = starts('l', path, other, 0, NULL, 0);
    int status = real(from, path, to, other, flags);
    ends(id, status);
    return status;
}

int rename(const char *path, const char *other) {
    REAL(rename);
    if (!is_recorded(path) && !is_recorded(other)) return real(path, other);
    uint64_t id = starts('r', path, other, 0, NULL, 0);
    int status = real(path, other);
    ends(id, status);
    return status;
}

/* O_CREAT of what is there is no change. SQLite's connections open the log at the same time, so that two of
 * them may record that they made it: the one that is second finds it made (tests/powercut/disk.py). */
int open64(const char *path, int flags, ...) {
    REAL(open64);
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    int saved = errno, changes = 0;
    struct stat found;
    if ((flags & (O_CREAT | O_TRUNC)) && is_recorded(path)) {
        int is_there = stat(path, &found) == 0;
        changes = is_there ? flags & O_TRUNC : flags & O_CREAT;
    }
    errno = saved;
    if (!changes) return real(path, flags, mode);
    uint64_t id = starts(changes == O_TRUNC ? 't' : 'c', path, "", 0, NULL, 0);
    int fd = real(path, flags, mode);
    ends(id, fd < 0 ? -1 : 0);
    return fd;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open64(path, flags, mode);
}
