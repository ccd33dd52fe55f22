/* SPDX-License-Identifier: Apache-2.0
 *
 * A client of the registry: one connection, one request at a time. Whatever goes wrong ends the program, which says
 * where. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include "wire.h"

#include <stdbool.h>
#include <sys/types.h>

struct connection {
    int socket;
    uint64_t serial;
};

struct id {
    uint64_t high, low;
};

enum kept { BY_OWNER, BY_ATTACHMENT, BY_REGISTRY };

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* False if nobody listens at `path`. Otherwise it has joined afterwards. */
bool try_join(const char *path, struct connection *connection);
struct connection join_at(const char *path);
/* It has control pages, and is not told of moves that do not concern it. Nothing is ever written on them: it asks. */
struct connection join_with_pages_at(const char *path);
void leave(struct connection *connection);

/* A memfd of so many bytes, whose size is fixed for good. */
int make_memory(size_t size);

/* An empty `name` for none. */
struct id register_buffer(struct connection *connection, int memory, enum kept kept, const char *name);
/* False if the registry's limits do not allow one more. */
bool try_register(struct connection *connection, int memory, enum kept kept, const char *name, struct id *buffer);
void withdraw(struct connection *connection, struct id buffer);

/* The descriptor is the caller's. */
uint64_t attach_named(struct connection *connection, const char *name, int *memory);
void detach(struct connection *connection, uint64_t attachment);

/* A move by its owner, and who is inside an access meanwhile. */
void begin_access(struct connection *connection, uint64_t attachment, uint64_t generation);
void begin_move(struct connection *connection, struct id buffer, uint64_t generation);
/* Without its answer. */
void send_acknowledge(struct connection *connection, uint64_t attachment, uint64_t generation);
/* `memory` stays the caller's. */
void commit_move(struct connection *connection, struct id buffer, uint64_t generation, int memory);

/* The next notice's opcode. */
uint16_t next_notice(struct connection *connection);

/* A request without its answer, and the answer to the last one; for those who ask many at once. */
void send_lookup(struct connection *connection, const char *name);
void send_map(struct connection *connection, uint64_t attachment);
/* The descriptor that came with it, or -1. */
int receive_answer(struct connection *connection, uint16_t expected);

#endif
