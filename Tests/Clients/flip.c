/* SPDX-License-Identifier: Apache-2.0
 *
 * A program that knows nothing of any registry, and shows an image on a screen: it has a dma-buf's descriptor, the first of
 * $DMABUF_FDS, of 640x480 pixels XR24, and KMS. It says "pending" when half a second has passed and the screen has not
 * turned to the image, and "shown" when it has.
 *
 *     gcc -std=c11 -Wall -Wextra -pedantic -o flip flip.c
 */
#define _GNU_SOURCE
#include <libdrm/drm.h>
#include <libdrm/drm_fourcc.h>
#include <libdrm/drm_mode.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH = 640, HEIGHT = 480, STRIDE = 4 * WIDTH };
enum { DONE = 0, FAILED = 1, USAGE = 64, LATE = 124 };

static void call(int descriptor, unsigned long request, void *argument, const char *what)
{
    if (ioctl(descriptor, request, argument) == 0) return;
    fprintf(stderr, "flip: %s: %s\n", what, strerror(errno));
    exit(FAILED);
}

static uint32_t make_framebuffer(int node, uint32_t handle, uint32_t stride)
{
    struct drm_mode_fb_cmd2 picture = {
        .width = WIDTH, .height = HEIGHT, .pixel_format = DRM_FORMAT_XRGB8888, .handles = {handle}, .pitches = {stride}};
    call(node, DRM_IOCTL_MODE_ADDFB2, &picture, "make a framebuffer");
    return picture.fb_id;
}

/* A black picture on the first connector and CRTC, in a mode of that size. */
static uint32_t light_up(int node)
{
    uint32_t crtcs[8], connectors[8];
    struct drm_mode_card_res found = {
        .crtc_id_ptr = (uintptr_t)crtcs, .count_crtcs = 8, .connector_id_ptr = (uintptr_t)connectors,
        .count_connectors = 8};
    call(node, DRM_IOCTL_MODE_GETRESOURCES, &found, "list the outputs");
    struct drm_mode_modeinfo modes[64];
    struct drm_mode_get_connector connector = {
        .connector_id = connectors[0], .modes_ptr = (uintptr_t)modes, .count_modes = 64};
    call(node, DRM_IOCTL_MODE_GETCONNECTOR, &connector, "look at the connector");
    uint32_t number = 0;
    while (number < connector.count_modes && (modes[number].hdisplay != WIDTH || modes[number].vdisplay != HEIGHT)) number++;
    if (number >= connector.count_modes || number >= 64) {
        fprintf(stderr, "flip: the first output has no mode of 640x480\n");
        exit(FAILED);
    }
    struct drm_mode_create_dumb dumb = {.width = WIDTH, .height = HEIGHT, .bpp = 32};
    call(node, DRM_IOCTL_MODE_CREATE_DUMB, &dumb, "make a black picture");
    struct drm_mode_crtc crtc = {
        .crtc_id = crtcs[0], .fb_id = make_framebuffer(node, dumb.handle, dumb.pitch),
        .set_connectors_ptr = (uintptr_t)connectors, .count_connectors = 1, .mode_valid = 1, .mode = modes[number]};
    call(node, DRM_IOCTL_MODE_SETCRTC, &crtc, "light the screen up");
    return crtcs[0];
}

static int is_shown(int node, int milliseconds)
{
    struct pollfd entry = {.fd = node, .events = POLLIN};
    char event[256];
    return poll(&entry, 1, milliseconds) == 1 && read(node, event, sizeof event) > 0;
}

int main(int count, char **word)
{
    const char *list = getenv("DMABUF_FDS");
    if (count != 2 || !list) {
        fprintf(stderr, "usage: flip /dev/dri/cardN, with DMABUF_FDS set\n");
        return USAGE;
    }
    int node = open(word[1], O_RDWR | O_CLOEXEC);
    if (node < 0) {
        fprintf(stderr, "flip: open %s: %s\n", word[1], strerror(errno));
        return FAILED;
    }
    uint32_t crtc = light_up(node);
    struct drm_prime_handle import = {.fd = atoi(list)};
    call(node, DRM_IOCTL_PRIME_FD_TO_HANDLE, &import, "import the image");
    struct drm_mode_crtc_page_flip flip = {
        .crtc_id = crtc, .fb_id = make_framebuffer(node, import.handle, STRIDE), .flags = DRM_MODE_PAGE_FLIP_EVENT};
    call(node, DRM_IOCTL_MODE_PAGE_FLIP, &flip, "turn to the image");
    if (!is_shown(node, 500)) {
        puts("pending");
        fflush(stdout);
        if (!is_shown(node, 9000)) return LATE;
    }
    puts("shown");
    return DONE;
}
