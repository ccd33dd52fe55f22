// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include "CDMABuf.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static pthread_once_t setup_once = PTHREAD_ONCE_INIT;
static pthread_key_t timer_key;  // deletes the thread's timer when the thread ends
static int wake_signal;          // 0: no free real-time signal was found

static __thread timer_t thread_timer;
static __thread bool thread_has_timer;

static void interrupt_only(int signal) { (void)signal; }

static void delete_timer(void *armed) {
    (void)armed;
    timer_delete(thread_timer);
}

// Timers are not inherited: a child of fork makes its own.
static void forget_timer(void) { thread_has_timer = false; }

// Takes the highest real-time signal that the program has left alone. No SA_RESTART: interrupting is the point.
static void setup(void) {
    pthread_key_create(&timer_key, delete_timer);
    pthread_atfork(NULL, NULL, forget_timer);
    for (int candidate = SIGRTMAX - 1; candidate > SIGRTMIN; candidate--) {
        struct sigaction current;
        if (sigaction(candidate, NULL, &current) != 0 || current.sa_handler != SIG_DFL) continue;
        struct sigaction ours = {.sa_handler = interrupt_only};
        if (sigaction(candidate, &ours, NULL) == 0) wake_signal = candidate;
        return;
    }
}

static bool make_timer(void) {
    pthread_once(&setup_once, setup);
    if (wake_signal == 0) return false;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = wake_signal};
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    if (timer_create(CLOCK_MONOTONIC, &event, &thread_timer) != 0) return false;
    pthread_setspecific(timer_key, &thread_timer);  // any non-NULL value: a timer's number may be 0
    return true;
}

static bool passed(uint64_t deadline_ns) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec >= deadline_ns;
}

static struct itimerspec alarm_at(uint64_t deadline_ns) {
    return (struct itimerspec){
        .it_value = {(time_t)(deadline_ns / 1000000000u), (long)(deadline_ns % 1000000000u)},
        .it_interval = {0, 5000000},  // again every 5 ms: the first may fire before the ioctl sleeps
    };
}

int dmabuf_sync_until(int fd, uint64_t flags, uint64_t deadline_ns) {
    if (!thread_has_timer) thread_has_timer = make_timer();
    if (!thread_has_timer) {
        errno = EAGAIN;
        return -1;
    }
    if (deadline_ns == 0) deadline_ns = 1;  // zero would disarm
    struct itimerspec alarm = alarm_at(deadline_ns), off = {{0, 0}, {0, 0}};
    if (timer_settime(thread_timer, TIMER_ABSTIME, &alarm, NULL) != 0) return -1;
    // Threads of a pool often block every signal; this one must get through.
    sigset_t wake, before;
    sigemptyset(&wake);
    sigaddset(&wake, wake_signal);
    pthread_sigmask(SIG_UNBLOCK, &wake, &before);
    struct dma_buf_sync sync = {.flags = flags};
    int result, error = 0;
    do {
        result = ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync);
        error = result == 0 ? 0 : errno;
        if ((error == EINTR || error == EAGAIN) && passed(deadline_ns)) error = ETIMEDOUT;
    } while (error == EINTR || error == EAGAIN);
    timer_settime(thread_timer, 0, &off, NULL);
    if (sigismember(&before, wake_signal)) pthread_sigmask(SIG_BLOCK, &wake, NULL);
    errno = error;
    return result;
}
