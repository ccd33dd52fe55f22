// SPDX-License-Identifier: Apache-2.0
//
// close() of a hostile FUSE file waits for its server: for ever, and across SIGKILL. Whoever calls it is lost, and so is
// every descriptor in its table. So a process made for this (A) removes the number from the table that it shares with us,
// and is lost in our place; we take a table of our own, without that number; and a second process (B) empties the table
// that A is left with, so that nothing else stays open with it.

#define _GNU_SOURCE
#include "CDMABuf.h"

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// A process on our descriptor table and its own memory, which tells nobody when it ends (no signal). 0 in the child.
static long clone_on_our_table(void) { return syscall(SYS_clone, CLONE_FILES, NULL, NULL, NULL, NULL); }

// A table of one's own is each thread's own: with several, the others would keep the old one.
static bool is_single_threaded(void) {
    struct stat tasks;
    return stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink == 3;
}

enum { waiting, apart, together };

static void leave_table(volatile int *state) {
    long emptier = clone_on_our_table();
    if (emptier == 0) {
        while (*state == waiting) usleep(200);
        if (*state == apart) syscall(SYS_close_range, 0u, ~0u, 0u);
        _exit(0);
    }
    *state = emptier > 0 && unshare(CLONE_FILES) == 0 ? apart : together;
}

int dmabuf_close_elsewhere(int fd) {
    // Those that have finished since the last time; __WCLONE sees no other child of the program.
    while (waitpid(-1, NULL, __WCLONE | WNOHANG) > 0) {}
    long closer = clone_on_our_table();
    if (closer == 0) {
        close(fd);
        _exit(0);
    }
    if (closer < 0) return -1;
    if (!is_single_threaded()) return 0;
    // The number is free as soon as close() has begun.
    for (int tries = 0; fcntl(fd, F_GETFD) != -1; tries++) {
        if (tries == 5000) return 0;
        usleep(200);
    }
    volatile int *state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (state == MAP_FAILED) return 0;
    leave_table(state);
    munmap((void *)state, sizeof *state);
    return 0;
}
