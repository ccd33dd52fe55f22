/* SPDX-License-Identifier: Apache-2.0
 *
 * The twin's vault: a process that is given all memory that is registered, to have it still when the twin is killed. It only
 * holds: nobody asks it for anything. */
#ifndef VAULT_H
#define VAULT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct vault_key {
    uint64_t high, low;
};

union vault_control {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
};

static int vault = -1;

/* With a descriptor: keep it under that key. Without, -1: let it go. */
static inline int tell_vault(struct vault_key key, int fd) {
    struct iovec part = {&key, sizeof key};
    union vault_control control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = control.space;
        message.msg_controllen = sizeof control.space;
        control.header = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    }
    return sendmsg(vault, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static inline _Noreturn void be_vault(int socket) {
    enum { BUCKETS = 1 << 14 };
    struct held {
        struct vault_key key;
        int fd;
        struct held *next;
    };
    static struct held *table[BUCKETS];
    for (;;) {
        struct vault_key key;
        struct iovec part = {&key, sizeof key};
        union vault_control control;
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space,
                                 .msg_controllen = sizeof control.space};
        if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != sizeof key) _exit(0);
        struct held **at = &table[key.low % BUCKETS];
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (header != NULL) {
            struct held *entry = calloc(1, sizeof *entry);
            if (entry == NULL) _exit(1);
            *entry = (struct held){.key = key, .next = *at};
            memcpy(&entry->fd, CMSG_DATA(header), sizeof entry->fd);
            *at = entry;
            continue;
        }
        while (*at != NULL && ((*at)->key.low != key.low || (*at)->key.high != key.high)) at = &(*at)->next;
        struct held *entry = *at;
        if (entry == NULL) continue;
        *at = entry->next;
        close(entry->fd);
        free(entry);
    }
}

static inline int start_vault(void) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return -1;
    pid_t child = fork();
    if (child < 0) return -1;
    if (child == 0) {
        close(pair[0]);
        be_vault(pair[1]);
    }
    close(pair[1]);
    vault = pair[0];
    return 0;
}

#endif
