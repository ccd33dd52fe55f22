// SPDX-License-Identifier: Apache-2.0
//
// close() of a hostile FUSE file waits for its server: for ever, and across SIGKILL. Whoever calls it is lost, and so is
// every descriptor in its table. So a process made for this (A) removes the number from the table that it shares with us,
// and is lost in our place; we take a table of our own, without that number; and a second process (B) empties the table
// that A is left with, so that nothing else stays open with it.
//
// A table is each thread's own business: unshare(CLONE_FILES) leaves the other threads with the old one. So the last two
// steps are taken only where no other thread uses the calling thread's table. Where one does, A stays on our table, and if
// the file holds it, everything of ours stays open with it even after our end. A process with one thread that receives
// from strangers and others that work for it gives the others tables of their own before it lets strangers in: see
// dmabuf_leave_table.
//
// The races, each with what makes it harmless:
// - close() takes the number out of the table first and asks the file then. We go on when the number is free, so our copy
//   of the table is without it. If A does not get that far in time we stay together with it, and the next call of this
//   function parts from both.
// - Between the number's end and the parting, another call of this thread could take the number: there is none, for this
//   thread is here, and no other uses the table.
// - While A or B has the old table, each of our files has one reference more. That ends with B, in a few milliseconds: a
//   connection that we close meanwhile ends for its peer only then (shut it down first), and a dma-buf's count is one up.
// - While nothing holds A, it ends in a moment, and there is nothing to part from: so most strangers' files cost one process.
// - If we are killed in between, B sees another parent and empties the table all the same.

#define _GNU_SOURCE
#include "CDMABuf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// A process on our descriptor table and its own memory, which tells nobody when it ends (no signal). 0 in the child.
static long clone_on_our_table(int *pidfd) {
    return syscall(SYS_clone, CLONE_FILES | (pidfd ? CLONE_PIDFD : 0), NULL, pidfd, NULL, NULL);
}

static bool is_single_threaded(void) {
    struct stat tasks;
    return stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink == 3;
}

// Whether no other thread of this process uses the calling thread's table.
int dmabuf_has_own_table(void) {
    if (is_single_threaded()) return 1;
    DIR *tasks = opendir("/proc/self/task");
    if (tasks == NULL) return 0;
    int own = 1;
    long self = syscall(SYS_gettid);
    for (struct dirent *task; own && (task = readdir(tasks)) != NULL;) {
        long other = atol(task->d_name);
        if (other == 0 || other == self) continue;
        long order = syscall(SYS_kcmp, self, other, KCMP_FILES, 0, 0);
        // 0: the same one. A thread that has ended uses none; a kernel without kcmp cannot tell.
        if (order == 0 || (order == -1 && errno != ESRCH)) own = 0;
    }
    closedir(tasks);
    return own;
}

int dmabuf_leave_table(unsigned keep) {
    if (unshare(CLONE_FILES) != 0) return -1;
    if (keep > 3) syscall(SYS_close_range, 3u, keep - 1, 0u);
    syscall(SYS_close_range, keep + 1, ~0u, 0u);
    return 0;
}

enum { waiting, apart, together };

static void leave_table(volatile int *state) {
    pid_t us = getpid();
    long emptier = clone_on_our_table(NULL);
    if (emptier == 0) {
        while (*state == waiting && getppid() == us) usleep(50);
        if (*state != together) syscall(SYS_close_range, 0u, ~0u, 0u);
        _exit(0);
    }
    *state = emptier > 0 && unshare(CLONE_FILES) == 0 ? apart : together;
}

// The number is free as soon as close() has begun. A moment as a rule; never more than 100 ms.
static bool becomes_free(int fd) {
    for (int tries = 0; fcntl(fd, F_GETFD) != -1; tries++) {
        if (tries < 200) sched_yield();
        else if (tries < 1200) usleep(50);
        else return false;
    }
    return true;
}

// A closer whose file is the kernel's own is done in a moment.
static bool is_done(int pidfd) {
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    return pidfd >= 0 && poll(&end, 1, 1) == 1;
}

int dmabuf_close_elsewhere(const int *fds, int count, int *pidfds) {
    // Those that have finished since the last time; __WCLONE sees no other child of the program.
    while (waitpid(-1, NULL, __WCLONE | WNOHANG) > 0) {}
    // All are at work before we part from the table: a hostile file that is still in it would hold B, too.
    int failed = 0;
    bool are_free = true, are_done = true;
    for (int i = 0; i < count; i++) {
        pidfds[i] = -1;
        long closer = clone_on_our_table(&pidfds[i]);
        if (closer == 0) {
            close(fds[i]);
            _exit(0);
        }
        if (closer < 0) failed++;
        // Before the next pidfd, which takes a number that is free.
        else are_free = becomes_free(fds[i]) && are_free;
    }
    for (int i = 0; are_done && i < count; i++) are_done = is_done(pidfds[i]);
    if (are_done || !are_free || !dmabuf_has_own_table()) return failed;
    volatile int *state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (state == MAP_FAILED) return failed;
    leave_table(state);
    munmap((void *)state, sizeof *state);
    return failed;
}
