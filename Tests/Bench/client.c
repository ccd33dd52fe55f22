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

enum { REGISTRY = 1, PAGES = 2 };

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

/* Who has pages is answered with a word. */
static bool is_answer(uint16_t expected) {
    uint16_t with_word = expected == ATTACHED ? ATTACHED_WITH_WORD : expected == MAPPED ? MAPPED_WITH_WORD : expected;
    return in.header.opcode == expected || in.header.opcode == with_word;
}

static void check_answer(uint16_t expected) {
    if (!is_answer(expected))
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

static bool join_as(const char *path, struct connection *connection, uint64_t features) {
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
    put64(&out, features);
    send_it(connection);
    receive(connection, "hello");
    start(connection, JOIN);
    put_zeros(&out, 16);
    send_it(connection);
    receive_answer(connection, features & PAGES ? JOINED_WITH_PAGES : JOINED);
    close_all();
    return true;
}

bool try_join(const char *path, struct connection *connection) { return join_as(path, connection, REGISTRY); }

struct connection join_at(const char *path) {
    struct connection connection;
    if (!try_join(path, &connection)) fail("nobody serves at %s", path);
    return connection;
}

struct connection join_with_pages_at(const char *path) {
    struct connection connection;
    if (!join_as(path, &connection, REGISTRY | PAGES)) fail("nobody serves at %s", path);
    return connection;
}

void leave(struct connection *connection) { close(connection->socket); }

// MARK: Requests

int make_memory(size_t size) {
    int memory = memfd_create("bench", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory < 0 || ftruncate(memory, (off_t)size) != 0
        || fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        fail("memfd");
    return memory;
}

static void put_memory(int memory) {
    put(&out, (uint8_t[]){1, 2, 1, 0}, 4);  // bytes, on a memfd; one of it, no planes
    put_zeros(&out, 20);
    put64(&out, 4096);
    out.descriptors[0] = memory;
    out.descriptor_count = 1;
}

bool try_register(struct connection *connection, int memory, enum kept kept, const char *name, struct id *buffer) {
    uint8_t name_length = (uint8_t)strlen(name);
    start(connection, REGISTER);
    put8(&out, (uint8_t)kept);
    put8(&out, name_length);
    put_zeros(&out, 6);
    put_memory(memory);
    put(&out, name, name_length);
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

// MARK: Moves

static void put_generation(struct id buffer, uint64_t generation) {
    put(&out, &buffer, sizeof buffer);
    put64(&out, generation);
}

void begin_access(struct connection *connection, uint64_t attachment, uint64_t generation) {
    start(connection, BEGIN_ACCESS);
    put64(&out, attachment);
    put64(&out, generation);
    put8(&out, 1);  // to read
    put_zeros(&out, 7);
    send_it(connection);
    receive_answer(connection, DONE);
}

void begin_move(struct connection *connection, struct id buffer, uint64_t generation) {
    start(connection, BEGIN_MOVE);
    put_generation(buffer, generation);
    put_zeros(&out, 16);  // no token
    put64(&out, UINT64_C(5000000000));
    put_zeros(&out, 16);  // no lock; late holders abort it; the mover copies
    send_it(connection);
    receive_answer(connection, MOVE_BEGUN);
}

void send_acknowledge(struct connection *connection, uint64_t attachment, uint64_t generation) {
    start(connection, ACKNOWLEDGE);
    put64(&out, attachment);
    put64(&out, generation);
    put_zeros(&out, 8);  // no fence
    send_it(connection);
}

void commit_move(struct connection *connection, struct id buffer, uint64_t generation, int memory) {
    start(connection, COMMIT_MOVE);
    put_generation(buffer, generation);
    put_zeros(&out, 8);  // no fence
    put_memory(memory);
    send_it(connection);
    receive_answer(connection, DONE);
}
