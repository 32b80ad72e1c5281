/* The Nth write or sync of a database fails, for LD_PRELOAD. Armed from inside the process:
 *
 *   nth_arm(name, op, n, error, for_good)   from here on count what is done to the files `name`, `name`-wal and
 *                                           `name`-shm; the `n`th call of this op fails with `error`. For good:
 *                                           each one after it too, and for EIO, of every op. `n` 0: only count.
 *   nth_disarm()                            the disk is well again; counts and hits stay
 *   nth_count(op)                           calls of this op since it was armed
 *   nth_hits()                              calls that failed
 *   nth_where()                             of the first of them: 1 the database, 2 its -wal, 3 its -shm
 *
 * Ops: 0 a write, 1 a truncation, 2 a sync. A write that fails has written half of what it was given: that is
 * what disks do.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { WRITE, CUT, SYNC, OPS };

static char watched[256];
static int armed_op, armed_error, armed_for_good;
static long armed_n;
static atomic_long counts[OPS];
static atomic_long hits;
static atomic_int where, armed;

void nth_arm(const char *name, int op, long n, int error, int for_good) {
    snprintf(watched, sizeof watched, "/%s", name);
    armed_op = op, armed_n = n, armed_error = error, armed_for_good = for_good;
    for (op = 0; op < OPS; op++) counts[op] = 0;
    hits = where = 0;
    armed = 1;
}

void nth_disarm(void) { armed = 0; }
long nth_count(int op) { return counts[op]; }
long nth_hits(void) { return hits; }
int nth_where(void) { return where; }

static int ends_with(const char *path, size_t size, const char *end) {
    char whole[300];
    int length = snprintf(whole, sizeof whole, "%s%s", watched, end);
    return size >= (size_t)length && memcmp(path + size - length, whole, length) == 0;
}

static int file_of(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path);
    if (size < 0) return 0;
    return ends_with(path, size, "") ? 1 : ends_with(path, size, "-wal") ? 2 : ends_with(path, size, "-shm") ? 3 : 0;
}

/* Whether this call is to fail; then errno says why. */
static int fails(int fd, int op) {
    if (!armed) return 0;
    int before = errno, file = file_of(fd);
    errno = before;
    if (!file) return 0;
    long count = ++counts[op];
    int is_nth = op == armed_op && count == armed_n;
    int is_after = armed_for_good && hits > 0 && (op == armed_op || armed_error == EIO);
    if (!is_nth && !is_after) return 0;
    if (hits++ == 0) where = file;
    errno = armed_error;
    return 1;
}

#define REAL(name)                 \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define SYNCS(name)                                              \
    int name(int fd) {                                           \
        REAL(name);                                              \
        return fails(fd, SYNC) ? -1 : real(fd);                  \
    }
#define CUTS(name, off)                                          \
    int name(int fd, off size) {                                 \
        REAL(name);                                              \
        return fails(fd, CUT) ? -1 : real(fd, size);             \
    }
#define WRITES(name, off)                                        \
    ssize_t name(int fd, const void *data, size_t size, off at) { \
        REAL(name);                                              \
        if (!fails(fd, WRITE)) return real(fd, data, size, at);  \
        int error = errno;                                       \
        if (size > 1 && real(fd, data, size / 2, at) < 0) return -1; \
        errno = error;                                           \
        return -1;                                               \
    }

SYNCS(fsync)
SYNCS(fdatasync)
CUTS(ftruncate, off_t)
CUTS(ftruncate64, off64_t)
WRITES(pwrite, off_t)
WRITES(pwrite64, off64_t)
