/* A disk whose syncs take BENCH_SYNC_US microseconds longer, for LD_PRELOAD: then the writer is the bottleneck. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void take_time(void) {
    const char *us = getenv("BENCH_SYNC_US");
    if (us) usleep(strtoul(us, NULL, 10));
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    take_time();
    return real(fd);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    take_time();
    return real(fd);
}
