/* SPDX-License-Identifier: Apache-2.0
 *
 *     twin SOCKET
 *
 * A stand-in for `dmabuf-share serve` in plain C, to measure it against: what would the same cost if it were written by
 * hand? It speaks the same wire, looks at each descriptor with the same calls, and makes per request the calls that an
 * epoll server cannot do without. It serves hello, join, register, lookup, attach, attachNamed, map, detach and
 * withdraw, and tells the attached when an owner dies or withdraws.
 *
 * A vault of its own is given what is registered, as the registry's is; it writes no journal.
 *
 * It is no registry. It leaves out moves, revocation, fences, locks, leases, tokens, shares between uids, quotas,
 * lists, images, verified release and every queue: whoever breaks a rule of the wire or does not read is closed
 * without a word.
 */
#define _GNU_SOURCE
#include "look.h"
#include "vault.h"
#include "wire.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#define SO_PEER_PIDFD 77

enum { EVENTS = 64, ACCEPTED_AT_ONCE = 64 };
enum { KEPT_BY_OWNER, KEPT_BY_ATTACHMENT, KEPT_BY_REGISTRY };
enum { NO_SUCH_BUFFER = 10, NO_SUCH_ATTACHMENT = 11, NAME_TAKEN = 16 };
#define ENDED (UINT64_C(1) << 63)  // in an event's token: of the client's process, not of its socket

struct id {
    uint64_t high, low;
};

struct attachment {
    uint64_t number;
    struct buffer *buffer;
    struct client *client;
    struct attachment *next_of_buffer, **at_buffer, *next_of_client, **at_client, *next_in_table;
};

struct buffer {
    struct id id;
    uint32_t uid;
    struct client *owner;
    uint8_t kept;
    int descriptor;
    uint8_t memories[MEMORIES];  // as the wire has them
    uint64_t inode, size;
    char *name;
    uint8_t name_length;
    struct attachment *attachments;
    struct buffer *next_by_id, *next_by_name, *next_owned, **at_owned;
};

struct client {
    uint64_t number;
    int socket, pidfd;
    uint32_t uid, group_count, *groups;
    enum { GREETING, JOINING, SERVED } stage;
    bool may_have_unread;
    struct attachment *attachments;
    struct buffer *owned;
    struct client *next_in_table;
};

// Fixed tables are enough for what is measured, and never in the way.
enum { BUCKETS = 1 << 15 };
static struct client *clients[BUCKETS];
static struct buffer *by_id[BUCKETS], *by_name[BUCKETS];
static struct attachment *attachments[BUCKETS];
static uint64_t last_number;
static uint64_t run;
static int epoll;
static struct message in, out;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void *make(size_t size) {
    void *made = calloc(1, size);
    if (made == NULL) fail("memory");
    return made;
}

// MARK: Tables

#define FIND(table, key, next, match) \
    for (__typeof__(*(table)) it = (table)[(key) % BUCKETS]; it != NULL; it = it->next) \
        if (match) return it; \
    return NULL

#define REMOVE(table, key, next, entry) \
    for (__typeof__(*(table)) *it = &(table)[(key) % BUCKETS]; *it != NULL; it = &(*it)->next) \
        if (*it == (entry)) { \
            *it = (entry)->next; \
            break; \
        }

#define INSERT(table, key, next, entry) ((entry)->next = (table)[(key) % BUCKETS], (table)[(key) % BUCKETS] = (entry))

// An intrusive list that an entry leaves without a search.
#define LINK(head, next, at, entry) \
    do { \
        if (((entry)->next = *(head)) != NULL) (*(head))->at = &(entry)->next; \
        *((entry)->at = (head)) = (entry); \
    } while (0)

#define UNLINK(next, at, entry) \
    do { \
        if ((*(entry)->at = (entry)->next) != NULL) (entry)->next->at = (entry)->at; \
    } while (0)

static uint64_t name_hash(uint32_t uid, const void *name, size_t length) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ uid;
    for (size_t i = 0; i < length; i++) hash = (hash ^ ((const uint8_t *)name)[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static struct client *find_client(uint64_t number) {
    FIND(clients, number, next_in_table, it->number == number);
}

static struct buffer *find_buffer(struct id id) {
    FIND(by_id, id.low, next_by_id, it->id.low == id.low && it->id.high == id.high);
}

static struct buffer *find_name(uint32_t uid, const uint8_t *name, uint8_t length) {
    FIND(by_name, name_hash(uid, name, length), next_by_name,
         it->uid == uid && it->name_length == length && memcmp(it->name, name, length) == 0);
}

static struct attachment *find_attachment(uint64_t number) {
    FIND(attachments, number, next_in_table, it->number == number);
}

// MARK: Sending

static void close_client(struct client *client);

// Nothing waits here: who does not read is closed, from the loop.
static void say(struct client *client) {
    if (out.descriptor_count > 0) {
        int unread = 0;
        if (client->may_have_unread && (ioctl(client->socket, SIOCOUTQ, &unread) != 0 || unread > 0)) {
            shutdown(client->socket, SHUT_RDWR);
            return;
        }
        client->may_have_unread = true;
    }
    if (send_message(client->socket, &out, MSG_DONTWAIT) != 0) shutdown(client->socket, SHUT_RDWR);
}

static void answer(struct client *client, uint16_t opcode) {
    begin(&out, opcode, in.header.serial);
    say(client);
}

static void rule_out(struct client *client, uint16_t rule) {
    begin(&out, RULED_OUT, in.header.serial);
    put(&out, &rule, 2);
    put_zeros(&out, 6);
    say(client);
}

static void tell(struct attachment *attachment, uint16_t opcode) {
    begin(&out, opcode, 0);
    put64(&out, attachment->number);
    put(&out, &attachment->buffer->id, sizeof(struct id));
    say(attachment->client);
}

// MARK: Descriptors

static bool admit(int fd, int backing, uint64_t described, struct buffer *buffer) {
    struct looked memory;
    if (!look_at_memory(fd, &memory) || (int)memory.kind != backing) return false;
    buffer->inode = memory.inode;
    buffer->size = memory.size;
    return memory.is_writable && described > 0 && described <= INT64_MAX && described <= buffer->size;
}

// MARK: Lifetime

static void forget_name(struct buffer *buffer) {
    if (buffer->name == NULL) return;
    REMOVE(by_name, name_hash(buffer->uid, buffer->name, buffer->name_length), next_by_name, buffer);
    free(buffer->name);
    buffer->name = NULL;
}

static void detach(struct attachment *attachment) {
    UNLINK(next_of_buffer, at_buffer, attachment);
    UNLINK(next_of_client, at_client, attachment);
    REMOVE(attachments, attachment->number, next_in_table, attachment);
    free(attachment);
}

static void end_buffer(struct buffer *buffer) {
    while (buffer->attachments != NULL) {
        tell(buffer->attachments, ATTACHMENT_ENDED);
        detach(buffer->attachments);
    }
    forget_name(buffer);
    REMOVE(by_id, buffer->id.low, next_by_id, buffer);
    tell_vault((struct vault_key){buffer->id.high, buffer->id.low}, -1);
    close(buffer->descriptor);
    free(buffer);
}

static void owner_left(struct buffer *buffer, uint16_t notice) {
    if (buffer->owner != NULL) UNLINK(next_owned, at_owned, buffer);
    buffer->owner = NULL;
    bool is_unused = buffer->kept == KEPT_BY_ATTACHMENT && buffer->attachments == NULL;
    if (buffer->kept == KEPT_BY_OWNER || is_unused) return end_buffer(buffer);
    for (struct attachment *it = buffer->attachments; it != NULL; it = it->next_of_buffer) tell(it, notice);
}

static void end_attachment(struct attachment *attachment) {
    struct buffer *buffer = attachment->buffer;
    detach(attachment);
    bool is_unused = buffer->kept == KEPT_BY_ATTACHMENT && buffer->owner == NULL && buffer->attachments == NULL;
    if (is_unused) end_buffer(buffer);
}

static void close_client(struct client *client) {
    while (client->attachments != NULL) end_attachment(client->attachments);
    while (client->owned != NULL) owner_left(client->owned, OWNER_GONE);
    REMOVE(clients, client->number, next_in_table, client);
    close(client->socket);
    close(client->pidfd);
    free(client->groups);
    free(client);
}

// MARK: Requests

static void refuse(struct client *client) {
    begin(&out, REFUSED, in.header.serial);
    put32(&out, 1);
    put_zeros(&out, 4);
    say(client);
}

static bool do_register(struct client *client) {
    size_t name_at = HEADER + 8 + MEMORIES;
    uint8_t *body = in.bytes + HEADER, kept = body[0], name_length = body[1];
    if (in.size != name_at + name_length || kept > KEPT_BY_REGISTRY || body[8] != 1 || in.descriptor_count != 1)
        return false;
    struct buffer *buffer = make(sizeof *buffer);
    if (!admit(in.descriptors[0], body[9], get64(&in, name_at - 8), buffer)) {
        free(buffer);
        refuse(client);
        return true;
    }
    if (name_length > 0 && find_name(client->uid, in.bytes + name_at, name_length) != NULL) {
        free(buffer);
        rule_out(client, NAME_TAKEN);
        return true;
    }
    if (getrandom(&buffer->id, sizeof buffer->id, 0) != sizeof buffer->id) fail("random");
    buffer->uid = client->uid;
    buffer->kept = kept;
    buffer->owner = client;
    buffer->descriptor = in.descriptors[0];
    in.descriptor_count = 0;
    if (tell_vault((struct vault_key){buffer->id.high, buffer->id.low}, buffer->descriptor) != 0) fail("vault");
    memcpy(buffer->memories, body + 8, MEMORIES);
    INSERT(by_id, buffer->id.low, next_by_id, buffer);
    LINK(&client->owned, next_owned, at_owned, buffer);
    if (name_length > 0) {
        buffer->name = make(name_length);
        buffer->name_length = name_length;
        memcpy(buffer->name, in.bytes + name_at, name_length);
        INSERT(by_name, name_hash(buffer->uid, buffer->name, name_length), next_by_name, buffer);
    }
    begin(&out, REGISTERED, in.header.serial);
    put(&out, &buffer->id, sizeof buffer->id);
    put64(&out, 1);
    say(client);
    return true;
}

static void grant(struct client *client, struct attachment *attachment, uint16_t opcode) {
    struct buffer *buffer = attachment->buffer;
    begin(&out, opcode, in.header.serial);
    put(&out, &buffer->id, sizeof buffer->id);
    put64(&out, attachment->number);
    put64(&out, 1);
    put8(&out, 1);
    put_zeros(&out, 15);
    put(&out, buffer->memories, MEMORIES);
    out.descriptors[0] = buffer->descriptor;
    out.descriptor_count = 1;
    say(client);
}

// Who is of another uid is told what it would be told if there were no such buffer.
static void do_attach(struct client *client, struct buffer *buffer) {
    if (buffer == NULL || buffer->uid != client->uid) return rule_out(client, NO_SUCH_BUFFER);
    struct attachment *attachment = make(sizeof *attachment);
    *attachment = (struct attachment){.number = ++last_number, .buffer = buffer, .client = client};
    LINK(&buffer->attachments, next_of_buffer, at_buffer, attachment);
    LINK(&client->attachments, next_of_client, at_client, attachment);
    INSERT(attachments, attachment->number, next_in_table, attachment);
    grant(client, attachment, ATTACHED);
}

static struct buffer *buffer_at(size_t offset) {
    struct id id = {get64(&in, offset), get64(&in, offset + 8)};
    return find_buffer(id);
}

// A name: uid, length, text. False if it is malformed.
static bool read_name(struct client *client, size_t offset, struct buffer **found) {
    if (in.size < offset + 5 || in.bytes[offset + 4] == 0 || in.size != offset + 5 + in.bytes[offset + 4]) return false;
    uint32_t uid = get32(&in, offset);
    *found = find_name(uid == (uint32_t)NO_UID ? client->uid : uid, in.bytes + offset + 5, in.bytes[offset + 4]);
    return true;
}

static void do_lookup(struct client *client, struct buffer *buffer) {
    if (buffer == NULL || buffer->uid != client->uid) return rule_out(client, NO_SUCH_BUFFER);
    begin(&out, FOUND, in.header.serial);
    put(&out, &buffer->id, sizeof buffer->id);
    put64(&out, 1);
    say(client);
}

static void do_withdraw(struct client *client, struct buffer *buffer) {
    if (buffer == NULL || buffer->uid != client->uid) return rule_out(client, NO_SUCH_BUFFER);
    answer(client, DONE);
    forget_name(buffer);
    if (buffer->kept == KEPT_BY_REGISTRY) buffer->kept = KEPT_BY_ATTACHMENT;
    owner_left(buffer, WITHDRAWN);
}

static bool do_with_attachment(struct client *client) {
    if (in.size != HEADER + 8) return false;
    struct attachment *attachment = find_attachment(get64(&in, HEADER));
    if (attachment == NULL || attachment->client != client) {
        rule_out(client, NO_SUCH_ATTACHMENT);
    } else if (in.header.opcode == MAP) {
        grant(client, attachment, MAPPED);
    } else {
        answer(client, DONE);
        end_attachment(attachment);
    }
    return true;
}

static bool serve(struct client *client) {
    struct buffer *buffer;
    switch (in.header.opcode) {
    case REGISTER: return in.size >= HEADER + 8 + MEMORIES && do_register(client);
    case WITHDRAW:
        if (in.size != HEADER + 16) return false;
        do_withdraw(client, buffer_at(HEADER));
        return true;
    case LOOKUP:
        if (!read_name(client, HEADER, &buffer)) return false;
        do_lookup(client, buffer);
        return true;
    case ATTACH:
        if (in.size != HEADER + 16 + TERMS) return false;
        do_attach(client, buffer_at(HEADER));
        return true;
    case ATTACH_NAMED:
        if (!read_name(client, HEADER + TERMS, &buffer)) return false;
        do_attach(client, buffer);
        return true;
    case MAP:
    case DETACH: return do_with_attachment(client);
    default: return false;
    }
}

static bool join(struct client *client) {
    if (in.header.opcode != JOIN || in.size != HEADER + 16) return false;
    client->stage = SERVED;
    begin(&out, JOINED, in.header.serial);
    put64(&out, client->number);
    uint64_t secret[2];
    if (getrandom(secret, sizeof secret, 0) != sizeof secret) fail("random");
    put(&out, secret, sizeof secret);
    put64(&out, run);
    say(client);
    return true;
}

// One message. False if the connection is over.
static bool receive(struct client *client) {
    int got = receive_message(client->socket, &in, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return true;
    bool goes_on = got > 0;
    if (goes_on) {
        switch (client->stage) {
        case GREETING:
            goes_on = in.header.opcode == HELLO && in.size == 32 && get32(&in, HEADER) == MAGIC;
            client->stage = JOINING;
            break;
        case JOINING: goes_on = join(client); break;
        case SERVED: goes_on = serve(client); break;
        }
    }
    for (int i = 0; i < in.descriptor_count; i++) close(in.descriptors[i]);
    return goes_on;
}

// MARK: The loop

static void watch(int fd, uint64_t token) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = token};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

static bool certify(struct client *client) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(client->socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
    client->uid = peer.uid;
    uint32_t groups[1024];
    size = sizeof groups;
    if (getsockopt(client->socket, SOL_SOCKET, SO_PEERGROUPS, groups, &size) != 0) return false;
    client->group_count = size / sizeof *groups;
    client->groups = make(size + 1);
    memcpy(client->groups, groups, size);
    size = sizeof client->pidfd;
    return getsockopt(client->socket, SOL_SOCKET, SO_PEER_PIDFD, &client->pidfd, &size) == 0;
}

static void accept_all(int listener) {
    for (int i = 0; i < ACCEPTED_AT_ONCE; i++) {
        int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (socket < 0) return;
        struct client *client = make(sizeof *client);
        *client = (struct client){.number = ++last_number, .socket = socket, .pidfd = -1};
        INSERT(clients, client->number, next_in_table, client);
        if (!certify(client)) {
            close_client(client);
            continue;
        }
        watch(socket, client->number);
        watch(client->pidfd, client->number | ENDED);
        begin(&out, HELLO, 1);
        put32(&out, MAGIC);
        put32(&out, 1);
        put64(&out, 1);
        say(client);
    }
}

static int listen_at(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) fail("path");
    strcpy(address.sun_path, path);
    unlink(path);
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || chmod(path, 0600) != 0
        || listen(listener, 1024) != 0)
        fail(path);
    return listener;
}

int main(int count, char **arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: twin SOCKET\n");
        return 64;
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (getrandom(&run, sizeof run, 0) != sizeof run) fail("random");
    if (start_vault() != 0) fail("vault");
    epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_at(arguments[1]);
    watch(listener, 0);
    for (;;) {
        struct epoll_event events[EVENTS];
        int ready = epoll_pwait2(epoll, events, EVENTS, NULL, NULL);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.u64 == 0) {
                accept_all(listener);
                continue;
            }
            struct client *client = find_client(events[i].data.u64 & ~ENDED);
            bool has_ended = (events[i].data.u64 & ENDED) != 0;
            if (client != NULL && (has_ended || !receive(client))) close_client(client);
        }
    }
}
