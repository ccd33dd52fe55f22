// SPDX-License-Identifier: Apache-2.0
//
// What Swift cannot say: ioctl numbers (function-like macros), CMSG_* macros, calls that Glibc hides behind
// _GNU_SOURCE or makes variadic, and one signal handler. One C call per function; nothing here decides anything.

#ifndef CDMABUF_H
#define CDMABUF_H

#include <stddef.h>
#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/sync_file.h>
#include <linux/udmabuf.h>
#include <linux/videodev2.h>

// ---- ioctl numbers: `_IOWR` and friends are not imported into Swift -------------------------------------------------

static const unsigned long dmabuf_ioctl_sync = DMA_BUF_IOCTL_SYNC;
static const unsigned long dmabuf_ioctl_set_name = DMA_BUF_SET_NAME_B;
static const unsigned long dmabuf_ioctl_export_sync_file = DMA_BUF_IOCTL_EXPORT_SYNC_FILE;
static const unsigned long dmabuf_ioctl_import_sync_file = DMA_BUF_IOCTL_IMPORT_SYNC_FILE;
static const unsigned long dmabuf_ioctl_sync_merge = SYNC_IOC_MERGE;
static const unsigned long dmabuf_ioctl_sync_info = SYNC_IOC_FILE_INFO;
static const unsigned long dmabuf_ioctl_udmabuf_create = UDMABUF_CREATE;
static const unsigned long dmabuf_ioctl_udmabuf_create_list = UDMABUF_CREATE_LIST;
static const unsigned long dmabuf_ioctl_heap_alloc = DMA_HEAP_IOCTL_ALLOC;
static const unsigned long dmabuf_ioctl_v4l2_querycap = VIDIOC_QUERYCAP;
static const unsigned long dmabuf_ioctl_v4l2_enum_fmt = VIDIOC_ENUM_FMT;
static const unsigned long dmabuf_ioctl_v4l2_g_fmt = VIDIOC_G_FMT;
static const unsigned long dmabuf_ioctl_v4l2_s_fmt = VIDIOC_S_FMT;
static const unsigned long dmabuf_ioctl_v4l2_try_fmt = VIDIOC_TRY_FMT;
static const unsigned long dmabuf_ioctl_v4l2_reqbufs = VIDIOC_REQBUFS;
static const unsigned long dmabuf_ioctl_v4l2_create_bufs = VIDIOC_CREATE_BUFS;
static const unsigned long dmabuf_ioctl_v4l2_expbuf = VIDIOC_EXPBUF;
static const unsigned long dmabuf_ioctl_v4l2_prepare_buf = VIDIOC_PREPARE_BUF;
static const unsigned long dmabuf_ioctl_v4l2_qbuf = VIDIOC_QBUF;
static const unsigned long dmabuf_ioctl_v4l2_dqbuf = VIDIOC_DQBUF;
static const unsigned long dmabuf_ioctl_v4l2_streamon = VIDIOC_STREAMON;
static const unsigned long dmabuf_ioctl_v4l2_streamoff = VIDIOC_STREAMOFF;

// sync_file deadline hint, Linux 6.6: newer than Debian 12's kernel headers, so its layout is stated here.
struct dmabuf_sync_set_deadline {
    uint64_t deadline_ns;  // CLOCK_MONOTONIC
    uint64_t pad;          // zero
};
_Static_assert(sizeof(struct dmabuf_sync_set_deadline) == 16, "sync_file deadline layout");
static const unsigned long dmabuf_ioctl_sync_set_deadline = _IOW('>', 5, struct dmabuf_sync_set_deadline);

// vgem's two fence ioctls: their header is in no Debian package. DRM driver ioctls start at 0x40.
struct dmabuf_vgem_fence_attach {
    uint32_t handle;
    uint32_t flags;      // 1: write
    uint32_t out_fence;  // the fence's number in this file
    uint32_t pad;        // zero
};
struct dmabuf_vgem_fence_signal {
    uint32_t fence;
    uint32_t flags;  // zero
};
_Static_assert(sizeof(struct dmabuf_vgem_fence_attach) == 16, "vgem attach layout");
_Static_assert(sizeof(struct dmabuf_vgem_fence_signal) == 8, "vgem signal layout");
static const unsigned long dmabuf_ioctl_vgem_fence_attach = _IOWR('d', 0x41, struct dmabuf_vgem_fence_attach);
static const unsigned long dmabuf_ioctl_vgem_fence_signal = _IOW('d', 0x42, struct dmabuf_vgem_fence_signal);

// virtio-gpu's parameter query: says whether the device has blob resources, without which it imports nothing foreign.
struct dmabuf_virtgpu_getparam {
    uint64_t param;
    uint64_t value;  // address of an int
};
_Static_assert(sizeof(struct dmabuf_virtgpu_getparam) == 16, "virtio-gpu getparam layout");
static const unsigned long dmabuf_ioctl_virtgpu_getparam = _IOWR('d', 0x43, struct dmabuf_virtgpu_getparam);

// An eventfd that is signalled with a point of a syncobj (Linux 6.6; younger than the libdrm of Debian 12).
struct dmabuf_syncobj_eventfd {
    uint32_t handle;
    uint32_t flags;
    uint64_t point;
    int32_t fd;
    uint32_t pad;
};
_Static_assert(sizeof(struct dmabuf_syncobj_eventfd) == 24, "syncobj eventfd layout");
static const unsigned long dmabuf_ioctl_syncobj_eventfd = _IOWR('d', 0xcf, struct dmabuf_syncobj_eventfd);

// ---- CMSG_* macros ------------------------------------------------------------------------------------------------------

static inline size_t dmabuf_cmsg_space(size_t byte_count) { return CMSG_SPACE(byte_count); }
static inline size_t dmabuf_cmsg_length(size_t byte_count) { return CMSG_LEN(byte_count); }
static inline struct cmsghdr *dmabuf_cmsg_first(struct msghdr *message) { return CMSG_FIRSTHDR(message); }
static inline struct cmsghdr *dmabuf_cmsg_next(struct msghdr *message, struct cmsghdr *current) {
    return CMSG_NXTHDR(message, current);
}
static inline void *dmabuf_cmsg_data(struct cmsghdr *header) { return CMSG_DATA(header); }

// SIOCOUTQ: <linux/sockios.h> makes it of another macro.
static const unsigned long dmabuf_ioctl_socket_unread = TIOCOUTQ;

// st_dev from its two halves: makedev is a macro.
static inline uint64_t dmabuf_makedev(unsigned major, unsigned minor) { return makedev(major, minor); }

// ---- calls behind _GNU_SOURCE, or variadic ------------------------------------------------------------------------------

enum {
    DMABUF_MFD_ALLOW_SEALING = 0x2,
    DMABUF_F_ADD_SEALS = 1033,
    DMABUF_F_GET_SEALS = 1034,
};

int dmabuf_memfd_create(const char *name);               // memfd_create(name, CLOEXEC | ALLOW_SEALING)
int dmabuf_ppoll(struct pollfd *entries, unsigned count, const struct timespec *timeout);
ssize_t dmabuf_write_now(int fd, const void *bytes, size_t count);  // pwritev2(…, -1, RWF_NOWAIT)
int dmabuf_accept(int socket);                           // accept4(socket, CLOEXEC)
int dmabuf_pidfd_open(int pid);                          // pidfd_open(pid, 0)
int dmabuf_pidfd_send_signal(int pidfd, int signal);     // pidfd_send_signal(pidfd, signal, NULL, 0)
int dmabuf_statfs_type(int fd, uint64_t *type);          // fstatfs(fd): f_type alone, whose C type varies
int dmabuf_is_first_thread(void);                        // gettid() == getpid(): asked once by each thread
/* What is noted of an open file, and no news: no filesystem asks whoever serves it. */
struct dmabuf_noted {
    uint64_t filesystem;  // st_dev
    uint32_t mode;        // its type alone
    uint32_t major;       // of a device's node
};
int dmabuf_statx(int fd, int with_type, struct dmabuf_noted *noted);

// statx without asking the file's server: a hostile FUSE file cannot hold it. st_dev, st_ino and st_size.
int dmabuf_identity(const char *path, uint64_t *device, uint64_t *inode, uint64_t *size);

// Closes each of fds in a process made for it, so that a hostile file can hold that one alone: see close_elsewhere.c. The
// numbers are free at once, or soon where other threads use the same table. pidfds[i]: the process, readable once it has
// closed the file; the caller owns it. -1 if no process could be made: fds[i] is open then. Says how many those are.
int dmabuf_close_elsewhere(const int *fds, int count, int *pidfds);

// Whether no other thread uses the calling thread's table of open files (kcmp).
int dmabuf_has_own_table(void);

// Gives the calling thread a table of its own with 0, 1, 2 and keep in it: unshare(CLONE_FILES), close_range.
int dmabuf_leave_table(unsigned keep);

// struct ucred hides behind _GNU_SOURCE: SO_PEERCRED, field by field.
int dmabuf_peer_credentials(int socket, int *pid, unsigned *uid, unsigned *gid);

int dmabuf_end_with_parent(int signal);                  // prctl(PR_SET_PDEATHSIG, signal)
int dmabuf_random(void *bytes, size_t count);            // getrandom(bytes, count, 0): how many bytes came
int dmabuf_fallocate(int fd, long byte_count);           // fallocate(fd, 0, 0, byte_count)

// epoll_pwait2, Linux 5.11, and epoll_wait, rounded up to milliseconds, on what is older. -1 ns waits for ever.
int dmabuf_epoll_wait(int epoll, struct epoll_event *events, int capacity, int64_t timeout_ns);

// futex(FUTEX_WAIT_BITSET) on CLOCK_MONOTONIC, between processes; UINT64_MAX waits for ever. futex(FUTEX_WAKE).
int dmabuf_futex_wait(const uint32_t *word, uint32_t value, uint64_t deadline_ns);
int dmabuf_futex_wake(const uint32_t *word, int count);
// set_robust_list(2): the kernel sets FUTEX_OWNER_DIED in `word` when this thread ends. `entry`, 8 bytes that are this
// process's alone, lies as far behind its word as every other. EPERM: the life of another thread.
int dmabuf_start_life(uint32_t *word, void *entry);
int dmabuf_end_life(uint32_t *word, void *entry);

// ---- words that two processes share: C11 atomics on mapped memory --------------------------------------------------------

static inline uint64_t dmabuf_load_acquire_64(const void *word) {
    return __atomic_load_n((const uint64_t *)word, __ATOMIC_ACQUIRE);
}
static inline uint64_t dmabuf_load_relaxed_64(const void *word) {
    return __atomic_load_n((const uint64_t *)word, __ATOMIC_RELAXED);
}
static inline void dmabuf_store_release_64(void *word, uint64_t value) {
    __atomic_store_n((uint64_t *)word, value, __ATOMIC_RELEASE);
}
static inline uint64_t dmabuf_add_relaxed_64(void *word, uint64_t value) {
    return __atomic_fetch_add((uint64_t *)word, value, __ATOMIC_RELAXED);
}
static inline uint64_t dmabuf_add_sequential_64(void *word, uint64_t value) {
    return __atomic_fetch_add((uint64_t *)word, value, __ATOMIC_SEQ_CST);
}
static inline uint32_t dmabuf_load_acquire_32(const void *word) {
    return __atomic_load_n((const uint32_t *)word, __ATOMIC_ACQUIRE);
}
static inline uint32_t dmabuf_load_relaxed_32(const void *word) {
    return __atomic_load_n((const uint32_t *)word, __ATOMIC_RELAXED);
}
static inline void dmabuf_store_release_32(void *word, uint32_t value) {
    __atomic_store_n((uint32_t *)word, value, __ATOMIC_RELEASE);
}
static inline uint32_t dmabuf_add_relaxed_32(void *word, uint32_t value) {
    return __atomic_fetch_add((uint32_t *)word, value, __ATOMIC_RELAXED);
}
static inline uint32_t dmabuf_add_sequential_32(void *word, uint32_t value) {
    return __atomic_fetch_add((uint32_t *)word, value, __ATOMIC_SEQ_CST);
}
static inline void dmabuf_fence_sequential(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

// ---- an ioctl that ends ------------------------------------------------------------------------------------------------

// DMA_BUF_IOCTL_SYNC waits for fences without a time-out, but it can be interrupted: by a thread that watches over all
// others, with a signal that does nothing but interrupt. The ioctl is the only system call, but for each thread's first.
// -1 with ETIMEDOUT at the deadline (CLOCK_MONOTONIC, nanoseconds); EINTR and EAGAIN before it are retried.
int dmabuf_sync_until(int fd, uint64_t flags, uint64_t deadline_ns);

#endif
