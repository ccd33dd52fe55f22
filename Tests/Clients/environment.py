#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run by `dmabuf-share export … -- environment.py`: checks the DMABUF_ variables against the descriptors.

Prints a line for each memory with its size and checksum; exits 0 if all is consistent, 1 if not.
"""

import fcntl
import mmap
import os
import re
import select
import struct
import sys

DMA_BUF_IOCTL_SYNC = 0x40086200
SYNC_READ, SYNC_START, SYNC_END = 1, 0, 4


def demand(condition, text):
    if not condition:
        print(f"environment.py: {text}", file=sys.stderr)
        sys.exit(1)


def numbers(name):
    text = os.environ.get(name, "")
    demand(re.fullmatch(r"\d+( \d+)*", text), f"{name} is not a list of numbers: {text!r}")
    return [int(number) for number in text.split(" ")]


def wait_readable(descriptor, milliseconds):
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    demand(poll.poll(milliseconds), f"descriptor {descriptor} is not ready after {milliseconds} ms")


def checksum(descriptor, size, kind):
    value = 0xCBF29CE484222325
    with mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ) as memory:
        if kind == "dmabuf":
            wait_readable(descriptor, 2000)
            fcntl.ioctl(descriptor, DMA_BUF_IOCTL_SYNC, struct.pack("<Q", SYNC_START | SYNC_READ))
        for start in range(0, size, 1 << 20):
            for byte in memory[start: start + (1 << 20)]:
                value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
        if kind == "dmabuf":
            fcntl.ioctl(descriptor, DMA_BUF_IOCTL_SYNC, struct.pack("<Q", SYNC_END | SYNC_READ))
    return value


def check_image(sizes):
    """An image has all five variables or none; prints a line for each plane."""
    image = [name for name in ("WIDTH", "HEIGHT", "FOURCC", "MODIFIER", "PLANES") if f"DMABUF_{name}" in os.environ]
    demand(len(image) in (0, 5), f"an image without some of its variables: it has {image}")
    if not image:
        return
    width, height = numbers("DMABUF_WIDTH"), numbers("DMABUF_HEIGHT")
    demand(len(width) == 1 and len(height) == 1 and width[0] > 0 and height[0] > 0, "the image has no pixels")
    fourcc, modifier = os.environ["DMABUF_FOURCC"], os.environ["DMABUF_MODIFIER"]
    demand(re.fullmatch(r"[ -~]{4}", fourcc), f"DMABUF_FOURCC is not four characters: {fourcc!r}")
    demand(re.fullmatch(r"0x(0|[1-9a-f][0-9a-f]{0,15})", modifier), f"DMABUF_MODIFIER is no such number: {modifier!r}")
    planes = os.environ["DMABUF_PLANES"].split(" ")
    demand(1 <= len(planes) <= 4, "an image has 1 to 4 planes")
    for plane in planes:
        demand(re.fullmatch(r"\d+:\d+:\d+", plane), f"not a plane: {plane!r}")
        descriptor, offset, stride = map(int, plane.split(":"))
        demand(descriptor in sizes, f"plane {plane} lies in a descriptor that is not in DMABUF_FDS")
        demand(stride > 0 and offset < sizes[descriptor], f"plane {plane} is not in its memory")
    print(f"image {width[0]}x{height[0]}:{fourcc.rstrip()} modifier {modifier} planes {' '.join(planes)}")


def main():
    descriptors, described = numbers("DMABUF_FDS"), numbers("DMABUF_SIZES")
    demand(len(descriptors) == len(described) <= 4, "not as many sizes as descriptors")
    demand(len(set(descriptors)) == len(descriptors), "a descriptor is named twice")
    kind = os.environ.get("DMABUF_KIND")
    demand(kind in ("dmabuf", "memfd"), f"DMABUF_KIND is {kind!r}")
    if "DMABUF_FENCE_FDS" in os.environ:
        for descriptor in numbers("DMABUF_FENCE_FDS"):
            wait_readable(descriptor, 10000)
    sizes = dict(zip(descriptors, described))
    for descriptor, size in sizes.items():
        link = os.readlink(f"/proc/self/fd/{descriptor}")
        demand(link.startswith(f"/{kind}:"), f"descriptor {descriptor} is {link}, not a {kind}")
        real = os.lseek(descriptor, 0, os.SEEK_END)
        demand(0 < size <= real, f"descriptor {descriptor} is described as {size} bytes and has {real}")
        print(f"descriptor {descriptor}: {size} bytes of {kind}, checksum {checksum(descriptor, size, kind):016x}")
    check_image(sizes)
    if name := os.environ.get("DMABUF_NAME"):
        print(f"name {name}")


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        demand(False, error)
