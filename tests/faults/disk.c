/* A disk that fails on demand, for LD_PRELOAD: the file named by TEST_DISK says how.
 *
 *   "sync"  fsync and fdatasync fail with EIO: nobody knows what is on disk
 *   "hang"  fsync and fdatasync do not come back for a minute
 *   "slow"  fsync and fdatasync take 700 ms longer
 *   "held"  fsync and fdatasync do not come back as long as it says so
 *   "full"  writing to a write-ahead log fails with ENOSPC
 *   "base"  writing to a database, as checkpoints do, fails with EIO
 *   "half"  likewise, writing to the copy of a backup beyond its first 64 KiB
 *   absent or anything else: the disk is well
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int disk_is(const char *state) {
    const char *path = getenv("TEST_DISK");
    char found[8] = {0};
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return 0;
    ssize_t size = read(fd, found, sizeof found - 1);
    close(fd);
    return size > 0 && strncmp(found, state, strlen(state)) == 0;
}

static int ends_with(int fd, const char *end) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1), length = strlen(end);
    return size > length && memcmp(path + size - length, end, length) == 0;
}

static int is_full(int fd, off64_t at) {
    if (ends_with(fd, "-wal")) return disk_is("full");
    return at >= 64 * 1024 && ends_with(fd, "/copy.db") && disk_is("half");
}

static int failed(int error) {
    errno = error;
    return -1;
}

static void take_time(void) {
    if (disk_is("hang")) sleep(60);
    if (disk_is("slow")) usleep(700 * 1000);
    while (disk_is("held")) usleep(5 * 1000);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    take_time();
    return disk_is("sync") ? failed(EIO) : real(fd);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    take_time();
    return disk_is("sync") ? failed(EIO) : real(fd);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    if (ends_with(fd, ".db") && disk_is("base")) return failed(EIO);
    return is_full(fd, at) ? failed(ENOSPC) : real(fd, data, size, at);
}
