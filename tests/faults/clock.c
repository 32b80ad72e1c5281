/* A wall clock that somebody sets, for LD_PRELOAD: the file named by TEST_CLOCK says by how many seconds.
 *
 * Eight bytes, a number as this machine writes it. They are mapped, not read: whoever writes them sets the
 * clock of a running process at once, and asking for the time costs what it always does. No other clock is
 * touched, so whatever waits or measures by a monotonic one must notice nothing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t shift_s(void) {
    static volatile int64_t *shift;
    if (!shift) {
        const char *path = getenv("TEST_CLOCK");
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd < 0) return 0;
        void *found = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
        if (found == MAP_FAILED) abort();
        shift = found;
    }
    return *shift;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift_s();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    static int (*real)(struct timeval *, void *);
    if (!real) real = dlsym(RTLD_NEXT, "gettimeofday");
    int failed = real(now, zone);
    if (!failed) now->tv_sec += shift_s();
    return failed;
}

time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into) *into = now.tv_sec;
    return now.tv_sec;
}
