/* SPDX-License-Identifier: Apache-2.0
 *
 * A program that knows nothing of any registry: it has a dma-buf's descriptor, the first of $DMABUF_FDS, and the kernel's
 * ioctls. So what it waits for, and what others see of it, is in the kernel.
 *
 *     gcc -std=c11 -Wall -Wextra -pedantic -o foreign foreign.c
 */
#define _GNU_SOURCE
#include <libdrm/drm.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

enum { DONE = 0, FAILED = 1, USAGE = 64, LATE = 124 };

/* vgem's own two, whose header is in no Debian package. */
struct vgem_fence_attach { uint32_t handle, flags, out_fence, pad; };
struct vgem_fence_signal { uint32_t fence, flags; };
#define VGEM_FENCE_ATTACH _IOWR('d', 0x41, struct vgem_fence_attach)
#define VGEM_FENCE_SIGNAL _IOW('d', 0x42, struct vgem_fence_signal)

static void fail(const char *what)
{
    fprintf(stderr, "foreign: %s: %s\n", what, strerror(errno));
    exit(FAILED);
}

static int call(int descriptor, unsigned long request, void *argument, const char *what)
{
    int result = ioctl(descriptor, request, argument);
    if (result < 0) fail(what);
    return result;
}

static int inherited(void)
{
    const char *list = getenv("DMABUF_FDS");
    if (!list) {
        fprintf(stderr, "foreign: DMABUF_FDS is not set\n");
        exit(USAGE);
    }
    return atoi(list);
}

/* As a writer, by poll: until all fences of others have ended. */
static int wait_by_poll(int buffer, int milliseconds)
{
    struct pollfd entry = {.fd = buffer, .events = POLLOUT};
    int count = poll(&entry, 1, milliseconds);
    if (count < 0) fail("poll");
    return count == 1 ? DONE : LATE;
}

static void interrupt_only(int number) { (void)number; }

/* As a writer, by a CPU access. The ioctl has no time-out: a signal ends it. */
static int wait_by_sync(int buffer, int milliseconds)
{
    struct sigaction action = {.sa_handler = interrupt_only};
    struct itimerval timer = {
        .it_value = {milliseconds / 1000, milliseconds % 1000 * 1000 + 1}, .it_interval = {0, 50000}};
    struct dma_buf_sync sync = {.flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW};
    sigaction(SIGALRM, &action, NULL);
    if (setitimer(ITIMER_REAL, &timer, NULL) < 0) fail("setitimer");
    int result = ioctl(buffer, DMA_BUF_IOCTL_SYNC, &sync);
    if (result < 0 && (errno == EINTR || errno == EAGAIN)) return LATE;
    if (result < 0) fail("DMA_BUF_IOCTL_SYNC");
    timer = (struct itimerval){{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &timer, NULL);
    sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW;
    call(buffer, DMA_BUF_IOCTL_SYNC, &sync, "end the access");
    return DONE;
}

static int open_vgem(void)
{
    for (int number = 0; number < 16; number++) {
        char path[32], name[32] = "";
        snprintf(path, sizeof path, "/dev/dri/card%d", number);
        int node = open(path, O_RDWR | O_CLOEXEC);
        if (node < 0) continue;
        struct drm_version version = {.name = name, .name_len = sizeof name - 1};
        if (ioctl(node, DRM_IOCTL_VERSION, &version) == 0 && strcmp(name, "vgem") == 0) return node;
        close(node);
    }
    errno = ENODEV;
    fail("open vgem");
    return -1;
}

/* Work of our own on `buffer`: a fence of a vgem buffer, put into its reservation. It ends when the file `go` is there. */
static int add_fence(int buffer, uint32_t flags, const char *go)
{
    int node = open_vgem();
    struct drm_mode_create_dumb dumb = {.width = 64, .height = 64, .bpp = 32};
    call(node, DRM_IOCTL_MODE_CREATE_DUMB, &dumb, "make a vgem buffer");
    struct drm_prime_handle prime = {.handle = dumb.handle, .flags = DRM_CLOEXEC | DRM_RDWR};
    call(node, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime, "export a vgem buffer");
    struct vgem_fence_attach fence = {.handle = dumb.handle, .flags = 1};
    call(node, VGEM_FENCE_ATTACH, &fence, "attach a fence");
    struct dma_buf_export_sync_file out = {.flags = DMA_BUF_SYNC_WRITE, .fd = -1};
    call(prime.fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &out, "export the fence");
    struct dma_buf_import_sync_file in = {.flags = flags, .fd = out.fd};
    call(buffer, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &in, "add the fence");
    for (int tries = 0; tries < 900 && access(go, F_OK) != 0; tries++) usleep(10000);
    struct vgem_fence_signal end = {.fence = fence.out_fence};
    call(node, VGEM_FENCE_SIGNAL, &end, "signal the fence");
    return DONE;
}

int main(int count, char **word)
{
    if (count == 4 && strcmp(word[1], "wait") == 0) {
        int milliseconds = atoi(word[3]);
        if (strcmp(word[2], "poll") == 0) return wait_by_poll(inherited(), milliseconds);
        if (strcmp(word[2], "sync") == 0) return wait_by_sync(inherited(), milliseconds);
    }
    if (count == 4 && strcmp(word[1], "add") == 0) {
        if (strcmp(word[2], "write") == 0) return add_fence(inherited(), DMA_BUF_SYNC_WRITE, word[3]);
        if (strcmp(word[2], "read") == 0) return add_fence(inherited(), DMA_BUF_SYNC_READ, word[3]);
    }
    fprintf(stderr, "usage: foreign wait poll|sync MILLISECONDS\n       foreign add write|read FILE\n");
    return USAGE;
}
