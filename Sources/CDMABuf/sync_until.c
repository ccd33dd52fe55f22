// SPDX-License-Identifier: Apache-2.0
// DMA_BUF_IOCTL_SYNC waits for fences without an end, but a signal interrupts it.
//
// One thread watches over all others of this process, and sends a signal to who is still in the ioctl at its deadline. To
// begin an access costs no system call for that: a thread says in memory until when, and the watcher looks often enough to
// see it in time. Who has less time than until its next look wakes it; then it looks more often for a while.
#define _GNU_SOURCE
#include "CDMABuf.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { ms = 1000000 };
static const uint64_t longest_pause = 1000ull * ms;
static const uint64_t shortest_pause = 5ull * ms;
static const uint64_t memory = 10000ull * ms;  // for so long, at least, it is remembered how little time threads have

// A thread that has begun an access. It is never freed, for the watcher may look at it: another thread takes it over.
struct watched {
    struct watched *next;
    _Atomic pid_t thread;       // 0: nobody's
    _Atomic uint64_t deadline;  // 0: it is not in the ioctl
    _Atomic uint64_t patience;  // the least time that it had lately; UINT64_MAX: it has not begun any
    _Atomic uint64_t before;    // likewise, in the ten seconds before
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;  // of who comes and goes
static _Atomic(struct watched *) all;
static _Atomic uint64_t next_look;  // of the watcher; 0 while it looks
static _Atomic uint32_t bell;
static bool is_watching;
static int wake_signal;  // 0: no free real-time signal was found
static pthread_key_t end_of_thread;
static pthread_once_t setup_once = PTHREAD_ONCE_INIT;
static __thread struct watched *own;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void interrupt_only(int signal) { (void)signal; }

static void leave(void *thread) {
    struct watched *watched = thread;
    watched->deadline = 0;
    watched->thread = 0;
}

// A child of fork has one thread and no watcher.
static void forget(void) {
    own = NULL;
    atomic_store(&all, NULL);
    is_watching = false;
    pthread_mutex_init(&lock, NULL);
}

// Takes the highest real-time signal that the program has left alone. No SA_RESTART: interrupting is the point.
static void setup(void) {
    pthread_key_create(&end_of_thread, leave);
    pthread_atfork(NULL, NULL, forget);
    for (int candidate = SIGRTMAX - 1; candidate > SIGRTMIN; candidate--) {
        struct sigaction current;
        if (sigaction(candidate, NULL, &current) != 0 || current.sa_handler != SIG_DFL) continue;
        struct sigaction ours = {.sa_handler = interrupt_only};
        if (sigaction(candidate, &ours, NULL) == 0) wake_signal = candidate;
        return;
    }
}

// When to look next: in half of the least time that anybody had lately, and at the first deadline. Interrupts who is late.
static uint64_t look(uint64_t time) {
    uint64_t pause = UINT64_MAX, first = UINT64_MAX;
    for (struct watched *each = atomic_load(&all); each != NULL; each = each->next) {
        uint64_t deadline = atomic_load(&each->deadline), patience = atomic_load(&each->patience);
        if (patience > atomic_load(&each->before)) patience = atomic_load(&each->before);
        if (patience / 2 < pause) pause = patience / 2;
        if (deadline == 0) continue;
        if (deadline > time) {
            if (deadline < first) first = deadline;
            continue;
        }
        // It may not have been asleep yet, so again and again.
        pid_t thread = atomic_load(&each->thread);
        if (thread != 0) syscall(SYS_tgkill, getpid(), thread, wake_signal);
        if (time + shortest_pause < first) first = time + shortest_pause;
    }
    if (pause == UINT64_MAX / 2) return first;  // nobody has begun an access for long
    if (pause > longest_pause) pause = longest_pause;
    if (pause < shortest_pause) pause = shortest_pause;
    return time + pause < first ? time + pause : first;
}

static void *watch(void *nothing) {
    (void)nothing;
    pthread_setname_np(pthread_self(), "dma-buf watch");
    uint64_t forgotten = now();
    for (;;) {
        uint32_t rung = atomic_load(&bell);
        atomic_store(&next_look, 0);
        uint64_t time = now();
        if (time - forgotten > memory) {
            for (struct watched *each = atomic_load(&all); each != NULL; each = each->next)
                each->before = atomic_exchange(&each->patience, UINT64_MAX);
            forgotten = time;
        }
        // Who began while this was looking has seen the new time, or is seen now.
        atomic_store(&next_look, look(time));
        uint64_t next = look(now());
        if (next < atomic_load(&next_look)) atomic_store(&next_look, next);
        dmabuf_futex_wait((const uint32_t *)&bell, rung, atomic_load(&next_look));
    }
    return NULL;
}

static bool start_watching(void) {
    if (is_watching) return true;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN + 65536);
    sigset_t everything, before;
    sigfillset(&everything);
    pthread_sigmask(SIG_BLOCK, &everything, &before);
    pthread_t watcher;
    atomic_store(&next_look, 0);
    is_watching = pthread_create(&watcher, &attributes, watch, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return is_watching;
}

static struct watched *free_one(void) {
    for (struct watched *each = atomic_load(&all); each != NULL; each = each->next)
        if (atomic_load(&each->thread) == 0) return each;
    struct watched *one = calloc(1, sizeof *one);
    if (one == NULL) return NULL;
    one->next = atomic_load(&all);
    atomic_store(&all, one);
    return one;
}

// Once for each thread. Threads of a pool often block every signal; this one must get through.
static bool join(void) {
    pthread_once(&setup_once, setup);
    if (wake_signal == 0) return false;
    pthread_mutex_lock(&lock);
    struct watched *one = start_watching() ? free_one() : NULL;
    if (one != NULL) {
        one->patience = one->before = UINT64_MAX;
        atomic_store(&one->thread, (pid_t)syscall(SYS_gettid));
    }
    pthread_mutex_unlock(&lock);
    if (one == NULL || pthread_setspecific(end_of_thread, one) != 0) return false;
    sigset_t wake;
    sigemptyset(&wake);
    sigaddset(&wake, wake_signal);
    pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
    own = one;
    return true;
}

int dmabuf_sync_until(int fd, uint64_t flags, uint64_t deadline_ns) {
    if (own == NULL && !join()) {
        errno = EAGAIN;
        return -1;
    }
    if (deadline_ns == 0) deadline_ns = 1;  // zero stands for none
    uint64_t time = now(), patience = deadline_ns > time ? deadline_ns - time : 0;
    // Who has next to none wakes the watcher each time.
    if (patience >= 2 * shortest_pause && patience < atomic_load_explicit(&own->patience, memory_order_relaxed))
        own->patience = patience;
    atomic_store(&own->deadline, deadline_ns);
    if (atomic_load(&next_look) > deadline_ns) {
        atomic_fetch_add(&bell, 1);
        dmabuf_futex_wake((const uint32_t *)&bell, 1);
    }
    struct dma_buf_sync sync = {.flags = flags};
    int result, error = 0;
    do {
        result = ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync);
        error = result == 0 ? 0 : errno;
        if ((error == EINTR || error == EAGAIN) && now() >= deadline_ns) error = ETIMEDOUT;
    } while (error == EINTR || error == EAGAIN);
    atomic_store_explicit(&own->deadline, 0, memory_order_release);
    errno = error;
    return result;
}
