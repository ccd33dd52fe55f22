/* SPDX-License-Identifier: Apache-2.0
 *
 * Run by `dmabuf-share export … -- environment`: checks the DMABUF_ variables against the descriptors.
 * Prints a line for each memory with its size and checksum; exits 0 if all is consistent, 1 if not.
 *
 *     gcc -std=c11 -Wall -Wextra -pedantic -o environment environment.c
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/dma-buf.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MEMORIES = 4, FENCES = 16 };

static void demand(bool condition, const char *text)
{
    if (condition) return;
    fprintf(stderr, "environment: %s\n", text);
    exit(1);
}

/* One decimal number at `*text`, which is moved behind it. */
static uint64_t number(const char **text)
{
    char *rest;
    demand(isdigit((unsigned char)**text), "a number is missing");
    errno = 0;
    uint64_t value = strtoull(*text, &rest, 10);
    demand(errno == 0, "a number is too large");
    *text = rest;
    return value;
}

/* The numbers of a variable, separated by one space each; returns how many. */
static int list(const char *variable, uint64_t *value, int limit)
{
    const char *text = getenv(variable);
    int count = 0;
    demand(text != NULL, "a variable is missing");
    do {
        demand(count < limit, "a list is too long");
        value[count++] = number(&text);
    } while (*text == ' ' && text++);
    demand(*text == 0, "a list has something else in it");
    return count;
}

static void wait_readable(int descriptor, int milliseconds)
{
    struct pollfd entry = {.fd = descriptor, .events = POLLIN};
    demand(poll(&entry, 1, milliseconds) == 1, "a descriptor is not ready in time");
}

static uint64_t checksum(int descriptor, uint64_t size, bool is_dmabuf)
{
    const uint8_t *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, descriptor, 0);
    demand(bytes != MAP_FAILED, "a descriptor cannot be mapped");
    struct dma_buf_sync sync = {.flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ};
    if (is_dmabuf) {
        wait_readable(descriptor, 2000);
        demand(ioctl(descriptor, DMA_BUF_IOCTL_SYNC, &sync) == 0, "access cannot begin");
    }
    uint64_t value = UINT64_C(0xcbf29ce484222325);
    for (uint64_t i = 0; i < size; i++) value = (value ^ bytes[i]) * UINT64_C(0x100000001b3);
    sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ;
    if (is_dmabuf) demand(ioctl(descriptor, DMA_BUF_IOCTL_SYNC, &sync) == 0, "access cannot end");
    munmap((void *)bytes, size);
    return value;
}

static void check_memory(int descriptor, uint64_t size, const char *kind)
{
    char path[64], link[256], expected[16];
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    snprintf(expected, sizeof expected, "/%s:", kind);
    ssize_t count = readlink(path, link, sizeof link - 1);
    demand(count > 0, "a descriptor is not open");
    link[count] = 0;
    demand(strncmp(link, expected, strlen(expected)) == 0, "a descriptor is not what DMABUF_KIND says");
    off_t real = lseek(descriptor, 0, SEEK_END);
    demand(real > 0 && size > 0 && size <= (uint64_t)real, "a size is not that of its descriptor");
    printf("descriptor %d: %" PRIu64 " bytes of %s, checksum %016" PRIx64 "\n", descriptor, size, kind,
           checksum(descriptor, size, strcmp(kind, "dmabuf") == 0));
}

static void check_planes(const char *text, const uint64_t *descriptor, const uint64_t *size, int count)
{
    int planes = 0;
    do {
        uint64_t memory = number(&text);
        demand(*text++ == ':', "a plane is not descriptor:offset:stride");
        uint64_t offset = number(&text);
        demand(*text++ == ':', "a plane is not descriptor:offset:stride");
        uint64_t stride = number(&text);
        int i = 0;
        while (i < count && descriptor[i] != memory) i++;
        demand(i < count, "a plane lies in a descriptor that is not in DMABUF_FDS");
        demand(stride > 0 && stride <= UINT32_MAX && offset < size[i], "a plane is not in its memory");
        demand(++planes <= 4, "more than four planes");
    } while (*text == ' ' && text++);
    demand(*text == 0, "DMABUF_PLANES has something else in it");
}

/* An image has all five variables or none. */
static void check_image(const uint64_t *descriptor, const uint64_t *size, int count)
{
    static const char *const names[] = {
        "DMABUF_WIDTH", "DMABUF_HEIGHT", "DMABUF_FOURCC", "DMABUF_MODIFIER", "DMABUF_PLANES"};
    int set = 0;
    for (int i = 0; i < 5; i++) set += getenv(names[i]) != NULL;
    if (set == 0) return;
    demand(set == 5, "an image without some of its variables");
    uint64_t width, height;
    demand(list(names[0], &width, 1) == 1 && list(names[1], &height, 1) == 1 && width && height, "no pixels");
    const char *fourcc = getenv(names[2]), *modifier = getenv(names[3]), *planes = getenv(names[4]);
    demand(strlen(fourcc) == 4, "DMABUF_FOURCC is not four characters");
    size_t digits = strlen(modifier) > 2 ? strspn(modifier + 2, "0123456789abcdef") : 0;
    demand(strncmp(modifier, "0x", 2) == 0 && digits >= 1 && digits <= 16 && modifier[2 + digits] == 0
               && (modifier[2] != '0' || digits == 1), "DMABUF_MODIFIER is not 0x and a number");
    check_planes(planes, descriptor, size, count);
    printf("image %" PRIu64 "x%" PRIu64 ":%.*s modifier %s planes %s\n", width, height, (int)strcspn(fourcc, " "), fourcc,
           modifier, planes);
}

int main(void)
{
    uint64_t descriptor[MEMORIES], size[MEMORIES], fence[FENCES];
    int count = list("DMABUF_FDS", descriptor, MEMORIES);
    demand(list("DMABUF_SIZES", size, MEMORIES) == count, "not as many sizes as descriptors");
    for (int i = 0; i < count; i++)
        for (int j = 0; j < i; j++) demand(descriptor[i] != descriptor[j], "a descriptor is named twice");
    const char *kind = getenv("DMABUF_KIND"), *name = getenv("DMABUF_NAME");
    demand(kind && (strcmp(kind, "dmabuf") == 0 || strcmp(kind, "memfd") == 0), "DMABUF_KIND is no kind");
    if (getenv("DMABUF_FENCE_FDS")) {
        int fences = list("DMABUF_FENCE_FDS", fence, FENCES);
        for (int i = 0; i < fences; i++) wait_readable((int)fence[i], 10000);
    }
    for (int i = 0; i < count; i++) check_memory((int)descriptor[i], size[i], kind);
    check_image(descriptor, size, count);
    if (name && *name) printf("name %s\n", name);
    return 0;
}
