// SPDX-License-Identifier: Apache-2.0
// Futexes that the kernel marks when the thread that has them ends, of whatever: its robust list.
//
// A robust mutex of the C library does the same, but has the list's pointers in itself: whoever reads its page would read
// addresses of this process, and when other pages come and go. Here the list lies beside the page, where the kernel finds
// each futex at a fixed distance, and the page has the futex alone. The C library's own list of this thread is out of force
// from then on: it may have no robust mutex.
#define _GNU_SOURCE
#include "CDMABuf.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Thread_local struct robust_list_head lives;

int dmabuf_start_life(uint32_t *word, void *entry) {
    struct robust_list *own = entry;
    long distance = (char *)word - (char *)entry;
    if (lives.list.next == NULL) {
        lives.list.next = &lives.list;
        lives.futex_offset = distance;
        if (syscall(SYS_set_robust_list, &lives, sizeof lives) != 0) return -1;
    }
    if (lives.futex_offset != distance) return errno = EINVAL, -1;
    __atomic_store_n(word, (uint32_t)syscall(SYS_gettid), __ATOMIC_RELAXED);
    own->next = lives.list.next;
    // The end may come between any two lines: what is on the list is complete.
    __atomic_store_n(&lives.list.next, own, __ATOMIC_RELEASE);
    return 0;
}

int dmabuf_end_life(uint32_t *word, void *entry) {
    struct robust_list *before = &lives.list;
    while (before->next != NULL && before->next != &lives.list && before->next != entry) before = before->next;
    if (before->next != entry) return errno = EPERM, -1;
    __atomic_store_n(&before->next, ((struct robust_list *)entry)->next, __ATOMIC_RELEASE);
    __atomic_store_n(word, 0, __ATOMIC_RELEASE);
    return 0;
}
