// SPDX-License-Identifier: Apache-2.0
// _GNU_SOURCE stays in .c files: in a header it would change what every other C module of the package sees.

#define _GNU_SOURCE
#include "CDMABuf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

_Static_assert(DMABUF_MFD_ALLOW_SEALING == MFD_ALLOW_SEALING, "MFD_ALLOW_SEALING");
_Static_assert(DMABUF_F_ADD_SEALS == F_ADD_SEALS && DMABUF_F_GET_SEALS == F_GET_SEALS, "seal commands");

int dmabuf_end_with_parent(int signal) { return prctl(PR_SET_PDEATHSIG, (unsigned long)signal, 0, 0, 0); }

int dmabuf_memfd_create(const char *name) { return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING); }

int dmabuf_ppoll(struct pollfd *entries, unsigned count, const struct timespec *timeout) {
    return ppoll(entries, count, timeout, NULL);
}

ssize_t dmabuf_write_now(int fd, const void *bytes, size_t count) {
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
    return pwritev2(fd, &part, 1, -1, RWF_NOWAIT);
}

int dmabuf_accept(int socket) { return accept4(socket, NULL, NULL, SOCK_CLOEXEC); }

int dmabuf_pidfd_open(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int dmabuf_pidfd_send_signal(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

// A child made by fork has one thread; that of a second thread takes itself for no first one: also right. Nobody may ask between
// vfork and exec: the word would be the parent's.
int dmabuf_is_first_thread(void) {
    static _Thread_local enum { UNKNOWN, FIRST, ANOTHER } thread;
    if (thread == UNKNOWN) thread = gettid() == getpid() ? FIRST : ANOTHER;
    return thread == FIRST;
}

int dmabuf_statfs_type(int fd, uint64_t *type) {
    struct statfs stats;
    if (fstatfs(fd, &stats) != 0) return -1;
    *type = (uint64_t)stats.f_type;
    return 0;
}

int dmabuf_statx(int fd, int with_type, struct dmabuf_noted *noted) {
    struct statx found;
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, with_type ? STATX_TYPE : 0, &found) != 0) return -1;
    noted->filesystem = makedev(found.stx_dev_major, found.stx_dev_minor);
    noted->mode = found.stx_mode & S_IFMT;
    noted->major = found.stx_rdev_major;
    return 0;
}

int dmabuf_peer_credentials(int socket, int *pid, unsigned *uid, unsigned *gid) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return -1;
    *pid = peer.pid;
    *uid = peer.uid;
    *gid = peer.gid;
    return 0;
}

int dmabuf_identity(const char *path, uint64_t *device, uint64_t *inode, uint64_t *size) {
    struct statx answer;
    if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_INO | STATX_SIZE, &answer) != 0) return -1;
    *device = makedev(answer.stx_dev_major, answer.stx_dev_minor);
    *inode = answer.stx_ino;
    *size = answer.stx_size;
    return 0;
}

int dmabuf_random(void *bytes, size_t count) { return (int)getrandom(bytes, count, 0); }

int dmabuf_fallocate(int fd, long byte_count) { return fallocate(fd, 0, 0, byte_count); }

// glibc has a function for it only since 2.35.
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

int dmabuf_epoll_wait(int epoll, struct epoll_event *events, int capacity, int64_t timeout_ns) {
    struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    int count = (int)syscall(
        SYS_epoll_pwait2, epoll, events, capacity, timeout_ns < 0 ? NULL : &timeout, NULL, (size_t)0);
    if (count != -1 || errno != ENOSYS) return count;
    // Rounded up: a rounded-down wait would spin through the last millisecond.
    int64_t milliseconds = timeout_ns < 0 ? -1 : timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
    return epoll_wait(epoll, events, capacity, milliseconds > INT_MAX ? INT_MAX : (int)milliseconds);
}

int dmabuf_futex_wait(const uint32_t *word, uint32_t value, uint64_t deadline_ns) {
    struct timespec end = {(time_t)(deadline_ns / 1000000000u), (long)(deadline_ns % 1000000000u)};
    return (int)syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value, deadline_ns == UINT64_MAX ? NULL : &end, NULL,
                        FUTEX_BITSET_MATCH_ANY);
}

int dmabuf_futex_wake(const uint32_t *word, int count) { return (int)syscall(SYS_futex, word, FUTEX_WAKE, count); }
