/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "passing.h"

#include "client.h"
#include "look.h"
#include "turns.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = 100, TURNS = 66, PAGE = 4096, BIG = 8 << 20, PLANES = 3, FENCES = 16, BATCH = PLANES + FENCES };

static struct message out, in;

// MARK: The same in C

static void exchange_hello(int socket) {
    begin(&out, HELLO, 1);
    put32(&out, MAGIC);
    put32(&out, 1);
    put64(&out, 0);
    if (send_message(socket, &out, 0) != 0 || receive_message(socket, &in, 0) <= 0) fail("hello");
}

static void offer(int socket) {
    if (send_message(socket, &out, 0) != 0) fail("offer");
    if (receive_message(socket, &in, 0) <= 0 || in.header.opcode != ACCEPTED || in.header.serial != out.header.serial)
        fail("no answer to an offer");
}

static uint64_t offer_fresh(int socket, uint64_t serial, size_t size) {
    uint64_t begun = now();
    int memory = make_memory(size);
    begin(&out, OFFER, serial);
    put(&out, (uint8_t[]){1, A_MEMFD, 1, 0, 1, 0, 0, 0}, 8);  // bytes, to read; one memory
    put_zeros(&out, 32);
    put64(&out, size);
    out.descriptors[0] = memory;
    out.descriptor_count = 1;
    offer(socket);
    close(memory);
    return begun;
}

static uint64_t offer_batch(int socket, uint64_t serial, size_t size) {
    static int descriptors[BATCH];
    (void)size;
    if (descriptors[0] == 0) {
        for (int i = 0; i < BATCH; i++) descriptors[i] = i < PLANES ? make_memory(PAGE) : eventfd(0, EFD_CLOEXEC);
    }
    uint64_t begun = now();
    begin(&out, OFFER, serial);
    put(&out, (uint8_t[]){2, A_MEMFD, 1, 0, PLANES, PLANES, FENCES, 0}, 8);  // an image, to read
    put32(&out, 32);
    put32(&out, 32);
    put(&out, "YU12", 4);
    put_zeros(&out, 20);
    for (int i = 0; i < PLANES; i++) put64(&out, PAGE);
    for (uint32_t i = 0; i < PLANES; i++) {
        put32(&out, i);
        put32(&out, 32);
        put64(&out, 0);
    }
    for (int i = 0; i < FENCES; i++) {
        put(&out, (uint8_t[]){2, 2, 0, 0, 0, 0, 0, 0}, 8);  // an eventfd, of a reader
        put64(&out, 2000000000u);
    }
    memcpy(out.descriptors, descriptors, sizeof descriptors);
    out.descriptor_count = BATCH;
    offer(socket);
    return begun;
}

static void take(int socket) {
    if (receive_message(socket, &in, 0) <= 0 || in.header.opcode != OFFER) fail("no offer");
    int memories = in.bytes[HEADER + 4], planes = in.bytes[HEADER + 5], fences = in.bytes[HEADER + 6];
    size_t at = HEADER + 40;
    if (memories + fences != in.descriptor_count || in.size < at + 8u * (unsigned)memories + 16u * (unsigned)(planes + fences))
        fail("an offer that is none");
    for (int i = 0; i < in.descriptor_count; i++) {
        struct looked memory;
        int seals;
        bool is_good = i < memories ? look_at_memory(in.descriptors[i], &memory) && memory.kind == A_MEMFD
                                          && get64(&in, at + 8u * (unsigned)i) <= memory.size
                                    : look_at(in.descriptors[i], &seals) == AN_EVENTFD;
        if (!is_good) fail("a descriptor that is not what it was called");
    }
    begin(&out, ACCEPTED, in.header.serial);
    if (send_message(socket, &out, 0) != 0) fail("accept");
}

static uint64_t take_and_read(int socket, uint64_t serial, size_t size) {
    (void)serial;
    take(socket);
    uint8_t *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, in.descriptors[0], 0);
    if (bytes == MAP_FAILED || *(volatile uint8_t *)bytes != 0) fail("mmap");
    uint64_t over = now();
    close(in.descriptors[0]);
    munmap(bytes, size);
    return over;
}

static uint64_t take_and_drop(int socket, uint64_t serial, size_t size) {
    (void)serial, (void)size;
    take(socket);
    for (int i = 0; i < in.descriptor_count; i++) close(in.descriptors[i]);
    return now();
}

typedef uint64_t (*operation)(int socket, uint64_t serial, size_t size);

/* What a process does, by its name for dmabuf-bench. A batch has no size. */
static operation find_operation(const char *role, size_t size) {
    if (strcmp(role, "offer") == 0) return size > 0 ? offer_fresh : offer_batch;
    return size > 0 ? take_and_read : take_and_drop;
}

enum { SOCKET = 3, TURN };

/* Who offers waits, for a line on its standard input, until who takes is done with the buffer before: else what is measured is whom
   the scheduler prefers. */
static void take_turn(bool offers) {
    char line[8];
    if ((offers ? read(0, line, sizeof line) : write(TURN, "\n", 1)) != 1) fail("a turn");
}

/* A block for each line on standard input, and the sum of its times on standard output. */
static _Noreturn void serve_blocks(bool offers, operation operation, size_t size) {
    char line[8];
    uint64_t serial = 1;
    exchange_hello(SOCKET);
    while (read(0, line, sizeof line) > 0) {
        uint64_t sum = 0;
        for (int i = 0; i < BLOCK; i++) {
            if (offers && i > 0) take_turn(offers);
            sum += operation(SOCKET, ++serial, size);
            if (!offers && i < BLOCK - 1) take_turn(offers);
        }
        dprintf(1, "%llu\n", (unsigned long long)sum);
    }
    _exit(0);
}

// MARK: Processes

struct process {
    pid_t pid;
    int commands;
    FILE *results;
};

struct pair {
    struct process offers, takes;
    int per_operation;
};

static struct process start_process(const char *bench, const char *role, int socket, int turn, size_t size) {
    int commands[2], results[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, commands) != 0 || pipe2(results, O_CLOEXEC) != 0) fail("pipe");
    struct process process = {.pid = fork()};
    if (process.pid < 0) fail("fork");
    if (process.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(commands[0], 0);
        dup2(results[1], 1);
        socket = fcntl(socket, F_DUPFD, 16);
        if (turn >= 0) turn = fcntl(turn, F_DUPFD, 16);
        dup2(socket, SOCKET);
        if (turn >= 0) dup2(turn, TURN);
        close_range(turn >= 0 ? TURN + 1 : TURN, ~0u, 0);
        if (bench == NULL) serve_blocks(strcmp(role, "offer") == 0, find_operation(role, size), size);
        char what[24];
        if (size > 0) snprintf(what, sizeof what, "%zu", size);
        else strcpy(what, "batch");
        execl(bench, bench, role, what, NULL);
        _exit(127);
    }
    close(commands[0]);
    close(results[1]);
    process.commands = commands[1];
    process.results = fdopen(results[0], "re");
    return process;
}

static struct pair start_pair(const char *bench, size_t size) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) fail("socketpair");
    struct pair pair = {.per_operation = size > 0 ? 1 : BATCH};
    pair.offers = start_process(bench, "offer", ends[0], -1, size);
    pair.takes = start_process(bench, "take", ends[1], pair.offers.commands, size);
    for (int i = 0; i < 2; i++) close(ends[i]);
    return pair;
}

static void stop_process(struct process *process) {
    close(process->commands);
    fclose(process->results);
    waitpid(process->pid, NULL, 0);
}

/* Who takes first: it has the other end of the offerer's standard input too. */
static void stop_pair(struct pair *pair) {
    stop_process(&pair->takes);
    stop_process(&pair->offers);
}

static void begin_block(struct process *process) {
    if (write(process->commands, "\n", 1) != 1) fail("a process that passes buffers");
}

static uint64_t sum_of(struct process *process) {
    unsigned long long sum;
    if (fscanf(process->results, "%llu", &sum) != 1) fail("a process that passes buffers says nothing");
    return sum;
}

// The taker first: the offerer never waits for it to begin.
static double passing_block(void *subject) {
    struct pair *pair = subject;
    begin_block(&pair->takes);
    begin_block(&pair->offers);
    uint64_t begun = sum_of(&pair->offers), over = sum_of(&pair->takes);
    return (double)(over - begun) / BLOCK / pair->per_operation;
}

static void measure_row(const char *id, const char *bench, size_t size) {
    if (!is_wanted(id)) return;
    struct pair pairs[SUBJECTS];
    void *subjects[SUBJECTS];
    for (int i = 0; i < SUBJECTS; i++) {
        pairs[i] = start_pair(i == OURS ? bench : NULL, size);
        subjects[i] = &pairs[i];
    }
    interleave(id, subjects, passing_block, TURNS);
    for (int i = 0; i < SUBJECTS; i++) stop_pair(&pairs[i]);
}

void pass_blocks(const char *bench, size_t size, int blocks) {
    struct pair pair = start_pair(bench, size);
    for (int i = 0; i < blocks; i++) passing_block(&pair);
    stop_pair(&pair);
}

void measure_passing(const char *bench) {
    measure_row("1-first-byte-4k", bench, PAGE);
    measure_row("1-first-byte-8m", bench, BIG);
    measure_row("6-batch", bench, 0);
}
