/* SPDX-License-Identifier: Apache-2.0
 *
 * Daemons under measurement: how they are started, and what the kernel says of them. */
#ifndef BENCH_SERVERS_H
#define BENCH_SERVERS_H

#include "client.h"

#include <stddef.h>

struct server {
    pid_t pid;
    char socket[64];
};

/* Starts `command` (the socket's path is put behind it) and waits until it serves. It ends with this program. */
struct server start_server(char *const command[]);
void stop_server(struct server *server);

/* What it has used of the CPU, all threads, in nanoseconds. */
uint64_t cpu_time(const struct server *server);

struct memory {
    uint64_t resident, private;
    int descriptors;
};

struct memory memory_of(const struct server *server);

#endif
