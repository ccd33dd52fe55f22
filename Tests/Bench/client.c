/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "client.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

static struct message out, in;

void fail(const char *format, ...) {
    va_list list;
    va_start(list, format);
    fprintf(stderr, "measure: ");
    vfprintf(stderr, format, list);
    fprintf(stderr, " (%s)\n", strerror(errno));
    va_end(list);
    exit(1);
}

static void start(struct connection *connection, uint16_t opcode) { begin(&out, opcode, ++connection->serial); }

static void send_it(struct connection *connection) {
    if (send_message(connection->socket, &out, 0) != 0) fail("send 0x%04x", out.header.opcode);
}

static void receive(struct connection *connection, const char *what) {
    if (receive_message(connection->socket, &in, 0) <= 0) fail("no %s", what);
}

static void close_all(void) {
    for (int i = 0; i < in.descriptor_count; i++) close(in.descriptors[i]);
}

static void await_answer(struct connection *connection) {
    do receive(connection, "answer");
    while (in.header.serial != connection->serial);
}

static void check_answer(uint16_t expected) {
    if (in.header.opcode != expected)
        fail("answer 0x%04x (rule %u) in place of 0x%04x", in.header.opcode, get32(&in, HEADER) & 0xffff, expected);
}

int receive_answer(struct connection *connection, uint16_t expected) {
    await_answer(connection);
    check_answer(expected);
    return in.descriptor_count > 0 ? in.descriptors[0] : -1;
}

uint16_t next_notice(struct connection *connection) {
    do {
        receive(connection, "notice");
        close_all();
    } while (in.header.serial != 0);
    return in.header.opcode;
}

// MARK: Joining

bool try_join(const char *path, struct connection *connection) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (s < 0) fail("socket");
    if (connect(s, (struct sockaddr *)&address, sizeof address) != 0) {
        if (errno != ENOENT && errno != ECONNREFUSED) fail("connect to %s", path);
        close(s);
        return false;
    }
    *connection = (struct connection){.socket = s};
    start(connection, HELLO);
    put32(&out, MAGIC);
    put32(&out, 1);
    put64(&out, 1);
    send_it(connection);
    receive(connection, "hello");
    start(connection, JOIN);
    put_zeros(&out, 16);
    send_it(connection);
    receive_answer(connection, JOINED);
    return true;
}

struct connection join_at(const char *path) {
    struct connection connection;
    if (!try_join(path, &connection)) fail("nobody serves at %s", path);
    return connection;
}

void leave(struct connection *connection) { close(connection->socket); }

// MARK: Requests

int make_memory(void) {
    int memory = memfd_create("bench", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory < 0 || ftruncate(memory, 4096) != 0 || fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0)
        fail("memfd");
    return memory;
}

bool try_register(struct connection *connection, int memory, enum kept kept, const char *name, struct id *buffer) {
    uint8_t name_length = (uint8_t)strlen(name);
    start(connection, REGISTER);
    put8(&out, (uint8_t)kept);
    put8(&out, name_length);
    put_zeros(&out, 6);
    put(&out, (uint8_t[]){1, 2, 1, 0}, 4);  // bytes, on a memfd; one of it, no planes
    put_zeros(&out, 20);
    put64(&out, 4096);
    put(&out, name, name_length);
    out.descriptors[0] = memory;
    out.descriptor_count = 1;
    send_it(connection);
    await_answer(connection);
    if (in.header.opcode == RULED_OUT && (get32(&in, HEADER) & 0xffff) == OVER_QUOTA) return false;
    check_answer(REGISTERED);
    *buffer = (struct id){get64(&in, HEADER), get64(&in, HEADER + 8)};
    return true;
}

struct id register_buffer(struct connection *connection, int memory, enum kept kept, const char *name) {
    struct id buffer;
    if (!try_register(connection, memory, kept, name, &buffer)) fail("no more buffers");
    return buffer;
}

void withdraw(struct connection *connection, struct id buffer) {
    start(connection, WITHDRAW);
    put(&out, &buffer, sizeof buffer);
    send_it(connection);
    receive_answer(connection, DONE);
}

static void put_name(const char *name) {
    put32(&out, (uint32_t)NO_UID);
    put8(&out, (uint8_t)strlen(name));
    put(&out, name, strlen(name));
}

uint64_t attach_named(struct connection *connection, const char *name, int *memory) {
    start(connection, ATTACH_NAMED);
    put_zeros(&out, 24);  // no token, no lease
    put8(&out, 3);  // to read and write
    put_zeros(&out, 7);
    put_name(name);
    send_it(connection);
    *memory = receive_answer(connection, ATTACHED);
    return get64(&in, HEADER + 16);
}

void detach(struct connection *connection, uint64_t attachment) {
    start(connection, DETACH);
    put64(&out, attachment);
    send_it(connection);
    receive_answer(connection, DONE);
}

void send_lookup(struct connection *connection, const char *name) {
    start(connection, LOOKUP);
    put_name(name);
    send_it(connection);
}

void send_map(struct connection *connection, uint64_t attachment) {
    start(connection, MAP);
    put64(&out, attachment);
    send_it(connection);
}
