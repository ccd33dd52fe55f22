/* SPDX-License-Identifier: Apache-2.0
 *
 *     measure rows DAEMON TWIN BENCH [ID]   a row for each figure, or for those whose id begins so:
 *                                           id ours_ns c_ns ratio control
 *     measure ask SOCKET WHAT COUNT         asks one thing so many times, for whoever counts system calls
 *     measure pass BENCH|c BYTES BLOCKS     passes buffers so many times a hundred, likewise; 0 bytes: a batch
 *
 * The figures are ratios. One machine's nanoseconds say little, and a minute later say something else; so the daemon,
 * its twin in C and a second twin do the same for the same client in turns, block by block, all on one CPU, and the
 * median of the blocks' ratios counts. The second twin against the first is the control: a ratio can be trusted as far
 * as that one is near 1.
 */
#define _GNU_SOURCE
#include "moves.h"
#include "passing.h"
#include "servers.h"
#include "turns.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NAMES = 1000, CLIENTS = 1000, BUFFERS = 10000, BLOCK = 100, TURNS = 66, LIVES = 10, STARTS = 18 };

/* A daemon and what this program holds at it. */
struct subject {
    char *const *command;
    struct server server;
    struct connection owner, client;
    struct connection *crowd;
    uint64_t *attachments;
};

static int memory;  // what is registered where its content does not matter
static volatile uint8_t seen;

static const char *name_of(unsigned number) {
    static char name[32];
    snprintf(name, sizeof name, "buffer-%05u", number);
    return name;
}

// MARK: Blocks

static double attach_block(void *subject) {
    struct subject *s = subject;
    static unsigned next;
    uint64_t start = now();
    for (int i = 0; i < BLOCK; i++) {
        int fd;
        uint64_t attachment = attach_named(&s->client, name_of(next++ % NAMES), &fd);
        uint8_t *bytes = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        if (bytes == MAP_FAILED) fail("mmap");
        seen = bytes[0];
        munmap(bytes, 4096);
        close(fd);
        detach(&s->client, attachment);
    }
    return (double)(now() - start) / BLOCK;
}

static double register_block(void *subject) {
    struct subject *s = subject;
    uint64_t start = now();
    for (int i = 0; i < BLOCK; i++) withdraw(&s->client, register_buffer(&s->client, memory, BY_ATTACHMENT, "new"));
    return (double)(now() - start) / BLOCK;
}

/* One request of each of the crowd; what the daemon's CPU did for it. */
static double lookup_block(void *subject) {
    struct subject *s = subject;
    uint64_t start = cpu_time(&s->server);
    for (unsigned i = 0; i < CLIENTS; i++) send_lookup(&s->crowd[i], name_of(i % NAMES));
    for (unsigned i = 0; i < CLIENTS; i++) receive_answer(&s->crowd[i], FOUND);
    return (double)(cpu_time(&s->server) - start) / CLIENTS;
}

static double map_block(void *subject) {
    struct subject *s = subject;
    uint64_t start = cpu_time(&s->server);
    for (unsigned i = 0; i < CLIENTS; i++) send_map(&s->crowd[i], s->attachments[i]);
    for (unsigned i = 0; i < CLIENTS; i++) close(receive_answer(&s->crowd[i], MAPPED));
    return (double)(cpu_time(&s->server) - start) / CLIENTS;
}

static _Noreturn void live(const char *socket, int ready) {
    struct connection connection = join_at(socket);
    register_buffer(&connection, memory, BY_OWNER, "mortal");
    if (write(ready, "", 1) != 1) _exit(1);
    for (;;) pause();
}

/* From the SIGKILL of an owner to the notice at who is attached. */
static double death(struct subject *s) {
    int ready[2], fd;
    char byte;
    if (pipe(ready) != 0) fail("pipe");
    pid_t owner = fork();
    if (owner == 0) live(s->server.socket, ready[1]);
    if (owner < 0 || read(ready[0], &byte, 1) != 1) fail("an owner");
    attach_named(&s->client, "mortal", &fd);
    close(fd);
    uint64_t start = now();
    kill(owner, SIGKILL);
    uint16_t notice = next_notice(&s->client);
    uint64_t end = now();
    if (notice != ATTACHMENT_ENDED) fail("notice 0x%04x", notice);
    waitpid(owner, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    return (double)(end - start);
}

static double death_block(void *subject) {
    struct subject *s = subject;
    double times[LIVES];
    for (int i = 0; i < LIVES; i++) times[i] = death(s);
    return median(times, LIVES);
}

/* From the start of the program to the answer to a join. */
static double start_block(void *subject) {
    struct subject *s = subject;
    uint64_t start = now();
    struct server server = start_server(s->command);
    uint64_t end = now();
    stop_server(&server);
    return (double)(end - start);
}

// MARK: Crowds

static void gather(struct subject *s) {
    s->crowd = calloc(CLIENTS, sizeof *s->crowd);
    s->attachments = calloc(CLIENTS, sizeof *s->attachments);
    if (s->crowd == NULL || s->attachments == NULL) fail("memory");
    for (unsigned i = 0; i < CLIENTS; i++) s->crowd[i] = join_at(s->server.socket);
}

static void disperse(struct subject *s) {
    for (unsigned i = 0; i < CLIENTS; i++) leave(&s->crowd[i]);
    free(s->crowd);
    free(s->attachments);
}

static void attach_crowd(struct subject *s) {
    for (unsigned i = 0; i < CLIENTS; i++) {
        int fd;
        s->attachments[i] = attach_named(&s->crowd[i], name_of(i % NAMES), &fd);
        close(fd);
    }
}

/* What a thousand clients and ten thousand buffers, each of memory of its own, cost; and whether they are served. Where
 * the limit of open files does not allow so many, as many as it allows. */
struct scale {
    unsigned buffers;
    struct memory empty, clients, full;
    double p50, p99;
};

static unsigned fill(struct subject *s, unsigned most) {
    for (unsigned i = 0; i < most; i++) {
        struct id buffer;
        int fd = make_memory(4096);
        bool is_registered = try_register(&s->crowd[i % CLIENTS], fd, BY_ATTACHMENT, name_of(i), &buffer);
        close(fd);
        if (!is_registered) return i;
    }
    return most;
}

static void time_grants(struct subject *s, struct scale *scale) {
    static double times[BUFFERS];
    for (unsigned i = 0; i < scale->buffers; i++) {
        int fd;
        struct connection *client = &s->crowd[i * 7 % CLIENTS];
        uint64_t start = now();
        uint64_t attachment = attach_named(client, name_of(i * 7919 % scale->buffers), &fd);
        times[i] = (double)(now() - start);
        close(fd);
        detach(client, attachment);
    }
    scale->p50 = median(times, scale->buffers);
    scale->p99 = quantile(times, scale->buffers, 0.99);
}

static struct scale scale(struct subject *s, unsigned most) {
    struct scale scale;
    s->server = start_server(s->command);
    scale.empty = memory_of(&s->server);
    gather(s);
    scale.clients = memory_of(&s->server);
    scale.buffers = fill(s, most);
    scale.full = memory_of(&s->server);
    time_grants(s, &scale);
    disperse(s);
    stop_server(&s->server);
    return scale;
}

static void print_scale_row(const char *id, double ours, double twin) { print_row(id, ours, twin, ours / twin, -1); }

static double each(uint64_t from, uint64_t to, unsigned count) { return to > from ? (double)(to - from) / count : 0; }

static void print_scale(const char *who, const struct scale *s) {
    printf("# %s: %d clients and %u buffers: resident %.1f MiB, private %.1f MiB, %d descriptors; "
           "a grant takes %.1f us (p50), %.1f us (p99)\n", who, CLIENTS, s->buffers, (double)s->full.resident / 1048576,
           (double)s->full.private / 1048576, s->full.descriptors, s->p50 / 1e3, s->p99 / 1e3);
}

static void measure_scale(struct subject *subjects) {
    if (!is_wanted("14")) return;
    struct scale ours = scale(&subjects[OURS], BUFFERS), twin = scale(&subjects[TWIN], ours.buffers);
    print_scale_row("14-resident-bytes", (double)ours.empty.resident, (double)twin.empty.resident);
    print_scale_row("14-private-bytes", (double)ours.empty.private, (double)twin.empty.private);
    print_scale_row("14-bytes-per-client", each(ours.empty.private, ours.clients.private, CLIENTS),
                    each(twin.empty.private, twin.clients.private, CLIENTS));
    print_scale_row("14-bytes-per-buffer", each(ours.clients.private, ours.full.private, ours.buffers),
                    each(twin.clients.private, twin.full.private, twin.buffers));
    print_scale("ours", &ours);
    print_scale("C", &twin);
    if (ours.buffers < BUFFERS) printf("# this machine's limit of open files allows no more buffers of one user\n");
}

// MARK: What is asked for

static void populate(struct subject *s) {
    s->server = start_server(s->command);
    s->owner = join_at(s->server.socket);
    s->client = join_at(s->server.socket);
    for (unsigned i = 0; i < NAMES; i++) {
        int fd = make_memory(4096);
        register_buffer(&s->owner, fd, BY_ATTACHMENT, name_of(i));
        close(fd);
    }
}

static void measure_requests(struct subject *subjects) {
    void *all[SUBJECTS] = {&subjects[OURS], &subjects[TWIN], &subjects[CONTROL]};
    for (int i = 0; i < SUBJECTS; i++) populate(&subjects[i]);
    interleave("3-attach", all, attach_block, TURNS);
    interleave("4-register", all, register_block, TURNS);
    for (int i = 0; i < SUBJECTS; i++) gather(&subjects[i]);
    interleave("5-request-cpu", all, lookup_block, TURNS);
    for (int i = 0; i < SUBJECTS; i++) attach_crowd(&subjects[i]);
    interleave("5-grant-cpu", all, map_block, TURNS);
    for (int i = 0; i < SUBJECTS; i++) disperse(&subjects[i]);
    interleave("13-death", all, death_block, TURNS);
    for (int i = 0; i < SUBJECTS; i++) stop_server(&subjects[i].server);
    measure_scale(subjects);
    interleave("start", all, start_block, STARTS);
}

/* Says how far it is to whoever counts, and waits for a line. */
static void pause_at(const char *point) {
    printf("%s\n", point);
    fflush(stdout);
    for (int byte = 0; byte != '\n' && byte != EOF;) byte = getchar();
}

static void ask(const char *socket, const char *what, int count) {
    struct subject s = {.client = join_at(socket)};
    int fd = -1;
    register_buffer(&s.client, memory, BY_OWNER, "asked");
    uint64_t attachment = attach_named(&s.client, "asked", &fd);
    close(fd);
    pause_at("begin");
    for (int i = 0; i < count; i++) {
        if (strcmp(what, "lookup") == 0) {
            send_lookup(&s.client, "asked");
            receive_answer(&s.client, FOUND);
        } else if (strcmp(what, "map") == 0) {
            send_map(&s.client, attachment);
            close(receive_answer(&s.client, MAPPED));
        } else if (strcmp(what, "attach") == 0) {
            uint64_t number = attach_named(&s.client, "asked", &fd);
            close(fd);
            detach(&s.client, number);
        } else if (strcmp(what, "register") == 0) {
            withdraw(&s.client, register_buffer(&s.client, memory, BY_ATTACHMENT, "new"));
        } else {
            fail("nothing to ask is called %s", what);
        }
    }
    pause_at("end");
}

int main(int count, char **arguments) {
    memory = make_memory(4096);
    if ((count == 5 || count == 6) && strcmp(arguments[1], "rows") == 0) {
        if (count == 6) wanted = arguments[5];
        struct rlimit files;
        getrlimit(RLIMIT_NOFILE, &files);
        files.rlim_cur = files.rlim_max;
        if (files.rlim_max < 13000 || setrlimit(RLIMIT_NOFILE, &files) != 0) fail("13,000 open files are needed");
        char *ours[] = {arguments[2], "serve", "--socket", NULL}, *twin[] = {arguments[3], NULL};
        struct subject subjects[SUBJECTS] = {{.command = ours}, {.command = twin}, {.command = twin}};
        stay_on_one_cpu();
        measure_passing(arguments[4]);
        measure_requests(subjects);
        measure_moves(ours);
    } else if (count == 5 && strcmp(arguments[1], "ask") == 0) {
        ask(arguments[2], arguments[3], atoi(arguments[4]));
    } else if (count == 5 && strcmp(arguments[1], "pass") == 0) {
        const char *bench = strcmp(arguments[2], "c") == 0 ? NULL : arguments[2];
        pass_blocks(bench, strtoul(arguments[3], NULL, 10), atoi(arguments[4]));
    } else {
        fprintf(stderr, "usage: measure rows DAEMON TWIN BENCH [ID] | measure ask SOCKET WHAT COUNT | "
                        "measure pass BENCH|c BYTES BLOCKS\n");
        return 64;
    }
    return 0;
}
