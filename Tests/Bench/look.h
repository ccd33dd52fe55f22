/* SPDX-License-Identifier: Apache-2.0
 *
 * What a descriptor is that somebody sent: found out as this project does it, with the same system calls. */
#ifndef LOOK_H
#define LOOK_H

#include <stdbool.h>
#include <stdint.h>

/* The first two as the wire has them. */
enum kind { SOMETHING_ELSE, A_DMABUF, A_MEMFD, AN_EVENTFD };

/* Nothing is called on the file before the kernel has said that the file is its own. `seals` is a memfd's. */
enum kind look_at(int fd, int *seals);

struct looked {
    enum kind kind;
    uint64_t inode, size;
    bool is_writable;
};

/* False unless it is memory that cannot shrink. */
bool look_at_memory(int fd, struct looked *memory);

#endif
