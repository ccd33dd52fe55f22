/* SPDX-License-Identifier: Apache-2.0
 *
 * What the twin and its client share of PROTOCOL.md: numbers, little-endian fields, one message and its descriptors.
 * Only for machines that are little-endian themselves. */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

enum {
    HELLO = 0x0001, OFFER = 0x0010, ACCEPTED = 0x8010, JOIN = 0x0100, REGISTER = 0x0110, WITHDRAW = 0x0111, LOOKUP = 0x0122, ATTACH = 0x0140,
    ATTACH_NAMED = 0x0141, MAP = 0x0142, DETACH = 0x0143, BEGIN_ACCESS = 0x0147,
    BEGIN_MOVE = 0x0150, ACKNOWLEDGE = 0x0151, COMMIT_MOVE = 0x0153,
    JOINED = 0x8100, DONE = 0x8101, RULED_OUT = 0x8102, REFUSED = 0x8011, REGISTERED = 0x8110, FOUND = 0x8122,
    ATTACHED = 0x8140, MAPPED = 0x8142, MOVE_BEGUN = 0x8150,
    JOINED_WITH_PAGES = 0x8103, ATTACHED_WITH_WORD = 0x8149, MAPPED_WITH_WORD = 0x814a,
    ATTACHMENT_ENDED = 0x4110, OWNER_GONE = 0x4111, WITHDRAWN = 0x4112, INVALIDATE = 0x4150, MOVED = 0x4152,
    READY_TO_COPY = 0x4154, MOVE_ENDED = 0x4155,
};
enum { MESSAGE_LIMIT = 16384, DESCRIPTOR_LIMIT = 20, HEADER = 16, MEMORIES = 32, TERMS = 32, MAGIC = 0x53424d44, NO_UID = -1 };
enum { OVER_QUOTA = 80 };

struct header {
    uint16_t opcode, descriptors;
    uint32_t size;
    uint64_t serial;
};

/* A message under construction, or one that came. */
struct message {
    union {
        struct header header;
        uint8_t bytes[MESSAGE_LIMIT];
    };
    size_t size;
    int descriptors[DESCRIPTOR_LIMIT], descriptor_count;
};

static inline void begin(struct message *m, uint16_t opcode, uint64_t serial) {
    m->header = (struct header){.opcode = opcode, .serial = serial};
    m->size = HEADER;
    m->descriptor_count = 0;
}

static inline void put(struct message *m, const void *bytes, size_t size) {
    memcpy(m->bytes + m->size, bytes, size);
    m->size += size;
}

static inline void put8(struct message *m, uint8_t value) { put(m, &value, 1); }
static inline void put32(struct message *m, uint32_t value) { put(m, &value, 4); }
static inline void put64(struct message *m, uint64_t value) { put(m, &value, 8); }

static inline void put_zeros(struct message *m, size_t count) {
    memset(m->bytes + m->size, 0, count);
    m->size += count;
}

static inline uint32_t get32(const struct message *m, size_t offset) {
    uint32_t value;
    memcpy(&value, m->bytes + offset, 4);
    return value;
}

static inline uint64_t get64(const struct message *m, size_t offset) {
    uint64_t value;
    memcpy(&value, m->bytes + offset, 8);
    return value;
}

union control {
    struct cmsghdr header;
    char space[CMSG_SPACE(DESCRIPTOR_LIMIT * sizeof(int))];
};

/* -1 with errno as sendmsg has it. */
static inline int send_message(int socket, struct message *m, int flags) {
    m->header.size = (uint32_t)m->size;
    m->header.descriptors = (uint16_t)m->descriptor_count;
    struct iovec part = {m->bytes, m->size};
    union control control;
    struct msghdr h = {.msg_iov = &part, .msg_iovlen = 1};
    if (m->descriptor_count > 0) {
        size_t size = sizeof(int) * (size_t)m->descriptor_count;
        h.msg_control = control.space;
        h.msg_controllen = CMSG_SPACE(size);
        control.header = (struct cmsghdr){CMSG_LEN(size), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), m->descriptors, size);
    }
    return sendmsg(socket, &h, flags | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* 0 at the end of the connection, -1 with errno (EBADMSG: it was truncated, or is not what its header says). */
static inline int receive_message(int socket, struct message *m, int flags) {
    struct iovec part = {m->bytes, sizeof m->bytes};
    union control control;
    struct msghdr h = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space,
                       .msg_controllen = CMSG_LEN(DESCRIPTOR_LIMIT * sizeof(int))};
    ssize_t size = recvmsg(socket, &h, flags | MSG_CMSG_CLOEXEC);
    m->descriptor_count = 0;
    if (size <= 0) return (int)size;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c != NULL; c = CMSG_NXTHDR(&h, c)) {
        int count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < count && m->descriptor_count < DESCRIPTOR_LIMIT; i++)
            memcpy(&m->descriptors[m->descriptor_count++], CMSG_DATA(c) + sizeof(int) * (size_t)i, sizeof(int));
    }
    m->size = (size_t)size;
    if ((h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 && size >= HEADER && m->header.size == m->size
        && m->header.descriptors == m->descriptor_count)
        return 1;
    errno = EBADMSG;
    return -1;
}

#endif
