/* SPDX-License-Identifier: Apache-2.0
 *
 * Passes a buffer to another process, or takes one: both sides of PROTOCOL.md in one file of C11.
 *
 *     passing offer SOCKET [--bytes N | --image WxH:XR24] [--after MS] [--unsealed]
 *     passing take SOCKET
 *
 * SOCKET is a path, where whoever comes first listens, or fd:N. See README.md for what is printed and returned.
 *
 *     gcc -std=c11 -Wall -Wextra -pedantic -o passing passing.c
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/dma-buf.h>
#include <linux/sync_file.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE_LIMIT = 16384, DESCRIPTOR_LIMIT = 253, MEMORIES = 4, PLANES = 4, FENCES = 16, NAME = 64, REASON = 512 };
enum { HELLO = 0x0001, FAREWELL = 0x0002, OFFER = 0x0010, ACCEPTED = 0x8010, REFUSED = 0x8011 };
enum { DONE, MALFORMED, VERSION, DESCRIPTORS_LOST, DEADLINE, UNEXPECTED };
enum { WRONG_KIND = 1, DESCRIPTION, UNSEALED, UNWANTED };
enum kind { OTHER, A_DMABUF, A_MEMFD, A_SYNC_FILE, AN_EVENTFD, A_PIDFD };

#define SECOND UINT64_C(1000000000)
#define PATIENCE (30 * SECOND)
#define PROMISE_LIMIT (10 * SECOND)
#define DMA_BUF_FILESYSTEM 0x444d4142

struct plane {
    uint32_t memory, stride;
    uint64_t offset;
};

struct fence {
    uint8_t kind, usage;
    uint64_t within;
};

struct offer {
    bool image, has_checksum;
    uint8_t backing, access, memories, planes, fences;
    uint32_t width, height, fourcc;
    uint64_t modifier, checksum;
    uint64_t size[MEMORIES];
    struct plane plane[PLANES];
    struct fence fence[FENCES];
    char name[NAME + 1];
};

struct message {
    uint16_t opcode, version;
    uint32_t reason;
    uint64_t serial;
    char text[REASON + 1];
    struct offer offer;
    int descriptor[DESCRIPTOR_LIMIT];
    int descriptors;
};

struct connection {
    int socket;
    uint64_t serial;
};

/* The one connection of this program, so that end() can say farewell from anywhere. */
static struct connection peer = {.socket = -1};

static void end(int reason, int status, const char *text);

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

/* Whether `events` came before `deadline`. */
static bool wait_for(int descriptor, short events, uint64_t deadline)
{
    struct pollfd entry = {.fd = descriptor, .events = events};
    for (;;) {
        uint64_t time = now(), left = time < deadline ? deadline - time : 0;
        int result = poll(&entry, 1, (int)((left + 999999) / 1000000));
        if (result > 0) return true;
        if (result == 0 && left == 0) return false;
        if (result < 0 && errno != EINTR) return false;
    }
}

static void fail(const char *what)
{
    fprintf(stderr, "passing: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- Bytes ---- */

struct writer {
    uint8_t bytes[MESSAGE_LIMIT];
    size_t count;
};

static void put(struct writer *writer, uint64_t value, int size)
{
    for (int i = 0; i < size; i++) writer->bytes[writer->count++] = (uint8_t)(value >> (8 * i));
}

static void put_text(struct writer *writer, const char *text, size_t count)
{
    memcpy(writer->bytes + writer->count, text, count);
    writer->count += count;
}

struct reader {
    const uint8_t *bytes;
    size_t count, at;
    const char *problem;
};

static void demand(struct reader *reader, bool condition, const char *problem)
{
    if (!condition && !reader->problem) reader->problem = problem;
}

static uint64_t get(struct reader *reader, size_t size)
{
    uint64_t value = 0;
    demand(reader, reader->count - reader->at >= size, "the message is too short");
    if (reader->problem) return 0;
    for (size_t i = 0; i < size; i++) value |= (uint64_t)reader->bytes[reader->at + i] << (8 * i);
    reader->at += size;
    return value;
}

/* The length of the clean UTF-8 character at `bytes`, or 0. */
static size_t character(const uint8_t *bytes, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = bytes[0];
    size_t length = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3
                  : first >= 0xf0 && first < 0xf5 ? 4 : 0;
    if (length == 0 || length > left) return 0;
    uint32_t value = length == 1 ? first : first & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80) return 0;
        value = value << 6 | (bytes[i] & 0x3f);
    }
    bool control = value < 0x20 || (value >= 0x7f && value <= 0x9f);
    bool turning = value == 0x61c || value == 0x200e || value == 0x200f || (value >= 0x2028 && value <= 0x202e) ||
                   (value >= 0x2066 && value <= 0x2069);
    bool surrogate = value >= 0xd800 && value <= 0xdfff;
    return control || turning || surrogate || value < least[length] || value > 0x10ffff ? 0 : length;
}

static void get_text(struct reader *reader, char *text, size_t count)
{
    demand(reader, reader->count - reader->at >= count, "a text is longer than the message");
    if (reader->problem) return;
    for (size_t at = 0, length; at < count; at += length) {
        length = character(reader->bytes + reader->at + at, count - at);
        demand(reader, length > 0, "a text is not clean UTF-8");
        if (length == 0) return;
    }
    memcpy(text, reader->bytes + reader->at, count);
    text[count] = 0;
    reader->at += count;
}

/* ---- Messages ---- */

static void decode_reason(struct reader *reader, struct message *message, uint32_t first, uint32_t last)
{
    message->reason = (uint32_t)get(reader, 4);
    demand(reader, message->reason >= first && message->reason <= last, "a reason that is not defined");
    size_t length = get(reader, 2);
    demand(reader, length <= REASON, "a text is too long");
    demand(reader, get(reader, 2) == 0, "reserved is not 0");
    get_text(reader, message->text, length);
}

static void decode_hello(struct reader *reader, struct message *message)
{
    demand(reader, get(reader, 4) == 0x53424d44, "the magic is wrong");
    message->version = (uint16_t)get(reader, 2);
    demand(reader, get(reader, 2) == 0, "reserved is not 0");
    get(reader, 8); /* features: none is known here */
}

static void decode_lists(struct reader *reader, struct offer *offer)
{
    for (int i = 0; i < offer->memories; i++) offer->size[i] = get(reader, 8);
    for (int i = 0; i < offer->planes; i++) {
        offer->plane[i].memory = (uint32_t)get(reader, 4);
        offer->plane[i].stride = (uint32_t)get(reader, 4);
        offer->plane[i].offset = get(reader, 8);
    }
    for (int i = 0; i < offer->fences; i++) {
        offer->fence[i].kind = (uint8_t)get(reader, 1);
        offer->fence[i].usage = (uint8_t)get(reader, 1);
        demand(reader, offer->fence[i].kind >= 1 && offer->fence[i].kind <= 3, "a kind of fence that is not defined");
        demand(reader, offer->fence[i].usage <= 3, "a usage that is not defined");
        demand(reader, get(reader, 2) == 0 && get(reader, 4) == 0, "reserved is not 0");
        offer->fence[i].within = get(reader, 8);
    }
}

static void decode_offer(struct reader *reader, struct offer *offer)
{
    uint64_t content = get(reader, 1);
    demand(reader, content == 1 || content == 2, "a content that is not defined");
    offer->image = content == 2;
    offer->backing = (uint8_t)get(reader, 1);
    demand(reader, offer->backing == 1 || offer->backing == 2, "a backing that is not defined");
    offer->access = (uint8_t)get(reader, 1);
    demand(reader, offer->access >= 1 && offer->access <= 3, "an access that is not defined");
    uint64_t flags = get(reader, 1);
    demand(reader, flags <= 1, "a flag that is not defined");
    offer->has_checksum = flags == 1;
    offer->memories = (uint8_t)get(reader, 1);
    offer->planes = (uint8_t)get(reader, 1);
    offer->fences = (uint8_t)get(reader, 1);
    size_t name = get(reader, 1);
    demand(reader, offer->memories >= 1 && offer->memories <= MEMORIES, "a number of memories out of range");
    demand(reader, offer->planes <= PLANES, "a number of planes out of range");
    demand(reader, offer->fences <= FENCES, "a number of fences out of range");
    demand(reader, name <= NAME, "a name is too long");
    if (reader->problem) return; /* the counts bound the arrays */
    offer->width = (uint32_t)get(reader, 4);
    offer->height = (uint32_t)get(reader, 4);
    offer->fourcc = (uint32_t)get(reader, 4);
    demand(reader, get(reader, 4) == 0, "reserved is not 0");
    offer->modifier = get(reader, 8);
    offer->checksum = get(reader, 8);
    demand(reader, offer->has_checksum || offer->checksum == 0, "a checksum that is not announced");
    if (!offer->image) {
        demand(reader, !offer->width && !offer->height && !offer->fourcc && !offer->modifier,
               "plain bytes with fields of an image");
        demand(reader, offer->memories == 1 && offer->planes == 0, "plain bytes lie in one memory and have no planes");
    }
    decode_lists(reader, offer);
    get_text(reader, offer->name, name);
}

/* NULL, or what is malformed. Every rule that needs no descriptor is checked. */
static const char *decode(const uint8_t *bytes, size_t count, struct message *message)
{
    struct reader reader = {.bytes = bytes, .count = count};
    message->opcode = (uint16_t)get(&reader, 2);
    uint64_t stated = get(&reader, 2), expected = 0;
    demand(&reader, get(&reader, 4) == count, "the size is not the datagram's");
    message->serial = get(&reader, 8);
    if (reader.problem) return reader.problem;
    switch (message->opcode) {
    case HELLO: decode_hello(&reader, message); break;
    case FAREWELL: decode_reason(&reader, message, DONE, UNEXPECTED); break;
    case OFFER:
        decode_offer(&reader, &message->offer);
        expected = (uint64_t)message->offer.memories + message->offer.fences;
        break;
    case ACCEPTED: break;
    case REFUSED: decode_reason(&reader, message, WRONG_KIND, UNWANTED); break;
    default: return "an opcode that is not known";
    }
    demand(&reader, reader.at == count, "bytes follow the message");
    demand(&reader, stated == expected, "the number of descriptors is not this message's");
    demand(&reader, stated == (uint64_t)message->descriptors, "another number of descriptors came");
    return reader.problem;
}

static void begin(struct writer *writer, uint16_t opcode, int descriptors, uint64_t serial)
{
    writer->count = 0;
    put(writer, opcode, 2);
    put(writer, (uint64_t)descriptors, 2);
    put(writer, 0, 4); /* the size, when it is sent */
    put(writer, serial, 8);
}

static void put_reason(struct writer *writer, int reason, const char *text)
{
    size_t length = strlen(text); /* only our own texts, all of them short ASCII */
    put(writer, (uint64_t)reason, 4);
    put(writer, length, 2);
    put(writer, 0, 2);
    put_text(writer, text, length);
}

static void put_offer(struct writer *writer, const struct offer *offer)
{
    put(writer, offer->image ? 2 : 1, 1);
    put(writer, offer->backing, 1);
    put(writer, offer->access, 1);
    put(writer, offer->has_checksum, 1);
    put(writer, offer->memories, 1);
    put(writer, offer->planes, 1);
    put(writer, offer->fences, 1);
    put(writer, strlen(offer->name), 1);
    put(writer, offer->width, 4);
    put(writer, offer->height, 4);
    put(writer, offer->fourcc, 4);
    put(writer, 0, 4);
    put(writer, offer->modifier, 8);
    put(writer, offer->checksum, 8);
    for (int i = 0; i < offer->memories; i++) put(writer, offer->size[i], 8);
    for (int i = 0; i < offer->planes; i++) {
        put(writer, offer->plane[i].memory, 4);
        put(writer, offer->plane[i].stride, 4);
        put(writer, offer->plane[i].offset, 8);
    }
    for (int i = 0; i < offer->fences; i++) {
        put(writer, offer->fence[i].kind, 1);
        put(writer, offer->fence[i].usage, 1);
        put(writer, 0, 6);
        put(writer, offer->fence[i].within, 8);
    }
    put_text(writer, offer->name, strlen(offer->name));
}

/* ---- The connection ---- */

static void close_all(struct message *message)
{
    for (int i = 0; i < message->descriptors; i++) close(message->descriptor[i]);
    message->descriptors = 0;
}

/* One attempt without waiting: false with errno set. */
static bool send_now(struct writer *writer, const int *descriptor, int descriptors)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * (MEMORIES + FENCES))];
        struct cmsghdr header;
    } control = {{0}};
    struct iovec part = {.iov_base = writer->bytes, .iov_len = writer->count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    for (int i = 0; i < 4; i++) writer->bytes[4 + i] = (uint8_t)(writer->count >> (8 * i));
    if (descriptors > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)descriptors);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)descriptors);
        memcpy(CMSG_DATA(header), descriptor, sizeof(int) * (size_t)descriptors);
    }
    ssize_t sent;
    do sent = sendmsg(peer.socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

/* Takes the descriptors of every control block; the kernel may send more than one. */
static void take_descriptors(struct msghdr *header, struct message *message)
{
    for (struct cmsghdr *block = CMSG_FIRSTHDR(header); block; block = CMSG_NXTHDR(header, block)) {
        if (block->cmsg_level != SOL_SOCKET || block->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (block->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count && message->descriptors < DESCRIPTOR_LIMIT; i++)
            memcpy(&message->descriptor[message->descriptors++], CMSG_DATA(block) + i * sizeof(int), sizeof(int));
    }
}

/* The next message. Does not return for anything that ends the connection. */
static void receive(struct message *message)
{
    static uint8_t bytes[MESSAGE_LIMIT];
    union {
        char bytes[CMSG_SPACE(sizeof(int) * DESCRIPTOR_LIMIT)];
        struct cmsghdr header;
    } control;
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    memset(message, 0, sizeof *message);
    if (!wait_for(peer.socket, POLLIN, now() + PATIENCE)) end(DEADLINE, 124, "the peer sends nothing");
    ssize_t count = -1;
    for (int attempt = 0; count < 0 && attempt < 2; attempt++) {
        header.msg_control = control.bytes;
        header.msg_controllen = sizeof control.bytes;
        do count = recvmsg(peer.socket, &header, MSG_CMSG_CLOEXEC);
        while (count < 0 && errno == EINTR);
        /* The kernel tells of the reset first and keeps a farewell behind it: hence the second attempt. */
        if (count < 0 && errno != ECONNRESET) fail("receive");
    }
    if (count < 0) end(-1, 1, "the peer closed the connection");
    take_descriptors(&header, message);
    const char *problem = NULL;
    if (header.msg_flags & MSG_CTRUNC) {
        close_all(message);
        end(DESCRIPTORS_LOST, 1, "descriptors were lost");
    }
    if (header.msg_flags & MSG_TRUNC) problem = "the message is too long";
    else if (count > 0) problem = decode(bytes, (size_t)count, message);
    if (problem || count == 0) {
        close_all(message);
        end(problem ? MALFORMED : -1, 1, problem ? problem : "the peer closed the connection");
    }
    if (message->opcode == FAREWELL) {
        char text[REASON + 64];
        snprintf(text, sizeof text, "the peer ended the connection: %s (reason %" PRIu32 ")", message->text,
                 message->reason);
        end(-1, 1, text);
    }
}

static void transmit(struct writer *writer, const int *descriptor, int descriptors)
{
    uint64_t deadline = now() + PATIENCE;
    while (!send_now(writer, descriptor, descriptors)) {
        if (errno == EPIPE || errno == ECONNRESET) {
            struct message left;
            receive(&left); /* the farewell, if there was one: does not return then */
            close_all(&left);
            end(-1, 1, "the peer closed the connection");
        }
        if (errno == ETOOMANYREFS && now() < deadline) {
            nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
            continue;
        }
        if (errno != EAGAIN) fail("send");
        if (!wait_for(peer.socket, POLLOUT, deadline)) end(DEADLINE, 124, "the peer does not read");
    }
}

/* Says farewell, unless `reason` is negative, and exits. */
static void end(int reason, int status, const char *text)
{
    if (peer.socket >= 0 && reason >= 0) {
        static struct writer writer;
        begin(&writer, FAREWELL, 0, ++peer.serial);
        put_reason(&writer, reason, text);
        send_now(&writer, NULL, 0);
        shutdown(peer.socket, SHUT_RDWR);
    }
    if (status != 0 && status != 4) fprintf(stderr, "passing: %s\n", text);
    exit(status);
}

static void greet(void)
{
    static struct writer writer;
    static struct message message;
    begin(&writer, HELLO, 0, ++peer.serial);
    put(&writer, 0x53424d44, 4);
    put(&writer, 1, 2);
    put(&writer, 0, 2);
    put(&writer, 0, 8);
    transmit(&writer, NULL, 0);
    receive(&message);
    close_all(&message);
    if (message.opcode != HELLO) end(UNEXPECTED, 1, "the first message is no hello");
    if (message.version != 1) end(VERSION, 1, "only version 1 is spoken here");
}

/* ---- Meeting ---- */

static int new_socket(void)
{
    int end_of_it = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (end_of_it < 0) fail("socket");
    return end_of_it;
}

/* -1 if nobody listens. */
static int try_to_connect(const struct sockaddr_un *address)
{
    int connected = new_socket();
    if (connect(connected, (const struct sockaddr *)address, sizeof *address) == 0) return connected;
    if (errno != ENOENT && errno != ECONNREFUSED) fail(address->sun_path);
    close(connected);
    return -1;
}

static int lock_folder(const char *path, uint64_t deadline)
{
    char folder[sizeof ((struct sockaddr_un *)0)->sun_path];
    strcpy(folder, path);
    char *slash = strrchr(folder, '/');
    if (!slash) strcpy(folder, ".");
    else slash[slash == folder] = 0;
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) fail(folder);
    while (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) fail(folder);
        if (now() > deadline) end(-1, 124, "the folder stays locked");
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return descriptor;
}

static int inherited(const char *number)
{
    int descriptor = atoi(number), domain = 0, type = 0;
    socklen_t size = sizeof domain;
    if (getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) fail("inherited socket");
    size = sizeof type;
    if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) != 0) fail("inherited socket");
    errno = EINVAL;
    if (domain != AF_UNIX || type != SOCK_SEQPACKET) fail("inherited socket");
    fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    return descriptor;
}

/* A connected socket, by whichever of the two ways. */
static int meet(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint64_t deadline = now() + PATIENCE;
    if (strncmp(path, "fd:", 3) == 0) return inherited(path + 3);
    errno = ENAMETOOLONG;
    if (strlen(path) >= sizeof address.sun_path) fail(path);
    strcpy(address.sun_path, path);
    int connected = try_to_connect(&address);
    if (connected >= 0) return connected;
    int lock = lock_folder(path, deadline);
    /* Someone may have begun to listen before the lock was ours. */
    connected = try_to_connect(&address);
    if (connected >= 0) return connected;
    struct stat status;
    if (lstat(path, &status) == 0) {
        errno = EEXIST;
        if (!S_ISSOCK(status.st_mode) || unlink(path) != 0) fail(path);
    }
    int listener = new_socket();
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 16) != 0) fail(path);
    close(lock);
    if (wait_for(listener, POLLIN, deadline)) connected = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    unlink(path);
    close(listener);
    if (connected < 0) end(-1, 124, "nobody came");
    return connected;
}

/* ---- Checks ---- */

static ssize_t read_all(const char *path, char *text, size_t room)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    size_t count = 0;
    ssize_t part = -1;
    if (file < 0) return -1;
    while (count < room - 1 && (part = read(file, text + count, room - 1 - count)) > 0) count += (size_t)part;
    close(file);
    text[count] = 0;
    return part < 0 ? -1 : (ssize_t)count;
}

/* Whether fdinfo has an exporter's name before the name that a holder gave. */
static bool has_exporter(int descriptor)
{
    char path[64], info[4096];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", descriptor);
    if (read_all(path, info, sizeof info) < 0) return false;
    char *name = strstr(info, "\nname:"), *exporter = strstr(info, "\nexp_name:");
    return exporter && (!name || exporter < name);
}

/* What a descriptor is, found without calling anything on the file behind it. */
static enum kind kind_of(int descriptor)
{
    char path[64], link[256];
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    ssize_t count = readlink(path, link, sizeof link - 1);
    if (count < 0) return OTHER;
    link[count] = 0;
    if (strncmp(link, "/dmabuf:", 8) == 0) {
        struct statfs status;
        return has_exporter(descriptor) && fstatfs(descriptor, &status) == 0
            && status.f_type == DMA_BUF_FILESYSTEM ? A_DMABUF : OTHER;
    }
    if (strncmp(link, "/memfd:", 7) == 0) return fcntl(descriptor, F_GET_SEALS) >= 0 ? A_MEMFD : OTHER;
    if (strcmp(link, "anon_inode:sync_file") == 0) return A_SYNC_FILE;
    if (strcmp(link, "anon_inode:[eventfd]") == 0) return AN_EVENTFD;
    if (strcmp(link, "anon_inode:[pidfd]") == 0) return A_PIDFD;
    return OTHER;
}

struct refusal {
    int reason;
    const char *text;
};

struct shape {
    uint32_t bytes, across, down;
};

struct format {
    char fourcc[5];
    int planes;
    struct shape shape[3];
};

static const struct format *format_of(uint32_t fourcc)
{
    static const struct format formats[] = {
        {"R8  ", 1, {{1, 1, 1}}}, {"RG16", 1, {{2, 1, 1}}}, {"RG24", 1, {{3, 1, 1}}},
        {"XR24", 1, {{4, 1, 1}}}, {"AR24", 1, {{4, 1, 1}}}, {"XB24", 1, {{4, 1, 1}}},
        {"AB24", 1, {{4, 1, 1}}}, {"YUYV", 1, {{4, 2, 1}}}, {"NV12", 2, {{1, 1, 1}, {2, 2, 2}}},
        {"P010", 2, {{2, 1, 1}, {4, 2, 2}}}, {"YU12", 3, {{1, 1, 1}, {1, 2, 2}, {1, 2, 2}}},
    };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const uint8_t *text = (const uint8_t *)formats[i].fourcc;
        if (fourcc == (text[0] | (uint32_t)text[1] << 8 | (uint32_t)text[2] << 16 | (uint32_t)text[3] << 24))
            return &formats[i];
    }
    return NULL;
}

/* Whether a linear plane ends inside `size` bytes; no sum may overflow. */
static bool plane_fits(const struct offer *offer, const struct plane *plane, struct shape shape, uint64_t size)
{
    uint64_t line = ((uint64_t)offer->width + shape.across - 1) / shape.across * shape.bytes;
    uint64_t lines = ((uint64_t)offer->height + shape.down - 1) / shape.down;
    uint64_t last = plane->stride * (lines - 1); /* 32 bits times 32 bits */
    if (plane->stride < line || last > UINT64_MAX - plane->offset) return false;
    uint64_t start = plane->offset + last;
    return start <= size && line <= size - start;
}

static struct refusal check_image(const struct offer *offer)
{
    const struct format *format = format_of(offer->fourcc);
    bool linear = offer->modifier == 0;
    if (offer->width == 0 || offer->height == 0) return (struct refusal){DESCRIPTION, "the image has no pixels"};
    if (!format) return (struct refusal){DESCRIPTION, "the pixel format is not known here"};
    if (linear ? offer->planes != format->planes : offer->planes < 1)
        return (struct refusal){DESCRIPTION, "the number of planes is wrong"};
    for (int i = 0; i < offer->planes; i++) {
        const struct plane *plane = &offer->plane[i];
        if (plane->memory >= offer->memories) return (struct refusal){DESCRIPTION, "a plane lies in no memory"};
        uint64_t size = offer->size[plane->memory];
        if (linear ? !plane_fits(offer, plane, format->shape[i], size) : plane->stride == 0 || plane->offset >= size)
            return (struct refusal){DESCRIPTION, "a plane is not inside its memory"};
    }
    return (struct refusal){0, NULL};
}

static struct refusal check(const struct message *message)
{
    const struct offer *offer = &message->offer;
    const int *memory = message->descriptor, *fence = memory + offer->memories;
    for (int i = 0; i < offer->memories; i++)
        if (kind_of(memory[i]) != (offer->backing == 1 ? A_DMABUF : A_MEMFD))
            return (struct refusal){WRONG_KIND, "a memory is not what it is called"};
    for (int i = 0; i < offer->fences; i++) {
        enum kind wanted = offer->fence[i].kind == 1 ? A_SYNC_FILE : offer->fence[i].kind == 2 ? AN_EVENTFD : A_PIDFD;
        if (kind_of(fence[i]) != wanted) return (struct refusal){WRONG_KIND, "a fence is not what it is called"};
    }
    for (int i = 0; i < offer->memories; i++) {
        if (offer->backing == 2 && !(fcntl(memory[i], F_GET_SEALS) & F_SEAL_SHRINK))
            return (struct refusal){UNSEALED, "a memfd that can shrink"};
        off_t real = lseek(memory[i], 0, SEEK_END);
        if (real < 0 || offer->size[i] == 0 || offer->size[i] > (uint64_t)real)
            return (struct refusal){DESCRIPTION, "a memory has not the size that is described"};
    }
    return offer->image ? check_image(offer) : (struct refusal){0, NULL};
}

static void wait_for_fences(const struct message *message, uint64_t received)
{
    const struct offer *offer = &message->offer;
    for (int i = 0; i < offer->fences; i++) {
        const struct fence *fence = &offer->fence[i];
        int descriptor = message->descriptor[offer->memories + i];
        if (fence->usage > 1) continue; /* a reader waits for kernel and write */
        uint64_t within = fence->within < PROMISE_LIMIT ? fence->within : PROMISE_LIMIT;
        if (!wait_for(descriptor, POLLIN, received + within)) end(DEADLINE, 124, "a fence did not end in time");
        struct sync_file_info info = {0};
        if (fence->kind == 1 && (ioctl(descriptor, SYNC_IOC_FILE_INFO, &info) != 0 || info.status < 0))
            end(DONE, 1, "the work behind a fence failed");
    }
}

static uint64_t add_to_checksum(uint64_t value, const uint8_t *bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) value = (value ^ bytes[i]) * UINT64_C(0x100000001b3);
    return value;
}

static uint64_t checksum_of(const struct message *message)
{
    const struct offer *offer = &message->offer;
    uint64_t value = UINT64_C(0xcbf29ce484222325);
    for (int i = 0; i < offer->memories; i++) {
        int descriptor = message->descriptor[i];
        uint8_t *bytes = mmap(NULL, offer->size[i], PROT_READ, MAP_SHARED, descriptor, 0);
        if (bytes == MAP_FAILED) fail("map");
        struct dma_buf_sync sync = {.flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ};
        if (offer->backing == 1) {
            if (!wait_for(descriptor, POLLIN, now() + 2 * SECOND)) end(DEADLINE, 124, "a dma-buf stays busy");
            if (ioctl(descriptor, DMA_BUF_IOCTL_SYNC, &sync) != 0) fail("begin access");
        }
        value = add_to_checksum(value, bytes, offer->size[i]);
        sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ;
        if (offer->backing == 1 && ioctl(descriptor, DMA_BUF_IOCTL_SYNC, &sync) != 0) fail("end access");
        munmap(bytes, offer->size[i]);
    }
    return value;
}

/* ---- The two commands ---- */

static void answer(uint16_t opcode, uint64_t serial, const struct refusal *refusal)
{
    static struct writer writer;
    begin(&writer, opcode, 0, serial);
    if (refusal) put_reason(&writer, refusal->reason, refusal->text);
    transmit(&writer, NULL, 0);
}

static void print_taken(const struct offer *offer, uint64_t found)
{
    uint64_t total = 0;
    for (int i = 0; i < offer->memories; i++) total += offer->size[i];
    printf("took ");
    if (offer->image) {
        const struct format *format = format_of(offer->fourcc);
        int length = (int)strcspn(format->fourcc, " ");
        printf("%" PRIu32 "x%" PRIu32 ":%.*s in ", offer->width, offer->height, length, format->fourcc);
    }
    printf("%" PRIu64 " bytes of %s \"%s\", checksum %016" PRIx64 " %s\n", total, offer->backing == 1 ? "dmabuf" : "memfd",
           offer->name, found, !offer->has_checksum ? "no checksum" : found == offer->checksum ? "matches" : "DIFFERS");
}

static void take(void)
{
    static struct message message;
    greet();
    receive(&message);
    uint64_t received = now();
    if (message.opcode != OFFER) {
        close_all(&message);
        end(UNEXPECTED, 1, "a message that is no offer");
    }
    struct refusal refusal = check(&message);
    if (refusal.reason) {
        close_all(&message);
        answer(REFUSED, message.serial, &refusal);
        printf("refused the offer: %s (reason %d)\n", refusal.text, refusal.reason);
        end(DONE, 4, "done");
    }
    answer(ACCEPTED, message.serial, NULL);
    wait_for_fences(&message, received);
    uint64_t found = checksum_of(&message);
    print_taken(&message.offer, found);
    if (message.offer.has_checksum && found != message.offer.checksum) end(DONE, 1, "the checksum differs");
    end(DONE, 0, "done");
}

static void fill(uint8_t *bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) bytes[i] = (uint8_t)(i * 31 + 7);
}

/* A process that fills the memory after a while: submitted before it is offered, and it ends by itself. */
static int fill_later(uint8_t *bytes, uint64_t count, long milliseconds)
{
    int fence = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pid_t process = fence < 0 ? -1 : fork();
    if (process < 0) fail("start the work");
    if (process > 0) return fence;
    close(peer.socket);
    nanosleep(&(struct timespec){.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000}, NULL);
    fill(bytes, count);
    eventfd_write(fence, 1);
    _exit(0);
}

static uint64_t pattern_checksum(uint64_t count)
{
    uint64_t value = UINT64_C(0xcbf29ce484222325);
    for (uint64_t i = 0; i < count; i++) {
        uint8_t byte = (uint8_t)(i * 31 + 7);
        value = add_to_checksum(value, &byte, 1);
    }
    return value;
}

static void offer_one(struct offer *offer, long after, bool sealed)
{
    static struct writer writer;
    static struct message message;
    uint64_t size = offer->size[0];
    int descriptor[2] = {memfd_create("passing.c", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (descriptor[0] < 0 || ftruncate(descriptor[0], (off_t)size) != 0) fail("make a memfd");
    if (sealed && fcntl(descriptor[0], F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) fail("seal");
    uint8_t *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor[0], 0);
    if (bytes == MAP_FAILED) fail("map");
    offer->backing = 2;
    offer->access = 3;
    offer->memories = 1;
    offer->has_checksum = true;
    offer->checksum = pattern_checksum(size);
    strcpy(offer->name, "passing.c");
    greet();
    if (after < 0) {
        fill(bytes, size);
    } else {
        descriptor[1] = fill_later(bytes, size, after);
        offer->fences = 1;
        offer->fence[0] = (struct fence){.kind = 2, .usage = 1, .within = (uint64_t)(after + 2000) * 1000000};
    }
    uint64_t serial = ++peer.serial;
    begin(&writer, OFFER, 1 + offer->fences, serial);
    put_offer(&writer, offer);
    transmit(&writer, descriptor, 1 + offer->fences);
    receive(&message);
    close_all(&message);
    if ((message.opcode != ACCEPTED && message.opcode != REFUSED) || message.serial != serial)
        end(UNEXPECTED, 1, "an answer to something else");
    if (message.opcode == REFUSED) {
        printf("refused: %s (reason %" PRIu32 ")\n", message.text, message.reason);
        end(DONE, 4, "done");
    }
    printf("accepted: %" PRIu64 " bytes of memfd \"passing.c\", checksum %016" PRIx64 "\n", size, offer->checksum);
    end(DONE, 0, "done");
}

static void usage(void)
{
    fputs("usage: passing offer SOCKET [--bytes N | --image WxH:XR24] [--after MS] [--unsealed]\n"
          "       passing take SOCKET\n", stderr);
    exit(64);
}

static void describe_image(struct offer *offer, const char *text)
{
    int used = 0;
    if (sscanf(text, "%5" SCNu32 "x%5" SCNu32 ":XR24%n", &offer->width, &offer->height, &used) != 2 || used == 0
        || text[used] || offer->width < 1 || offer->width > 32768 || offer->height < 1 || offer->height > 32768)
        usage();
    offer->image = true;
    offer->fourcc = 0x34325258;
    offer->planes = 1;
    offer->plane[0].stride = (offer->width * 4 + 255) / 256 * 256;
    offer->size[0] = (uint64_t)offer->plane[0].stride * offer->height;
}

int main(int count, char **argument)
{
    struct offer offer = {.size = {4096}};
    long after = -1;
    bool sealed = true;
    if (count < 3) usage();
    bool taking = strcmp(argument[1], "take") == 0;
    if (taking ? count != 3 : strcmp(argument[1], "offer") != 0) usage();
    for (int i = 3; i < count; i++) {
        const char *value = i + 1 < count ? argument[i + 1] : "";
        if (strcmp(argument[i], "--unsealed") == 0) {
            sealed = false;
            continue;
        }
        if (strcmp(argument[i], "--image") == 0) {
            describe_image(&offer, value);
        } else {
            char *rest;
            uint64_t number = strtoull(value, &rest, 10);
            if (!*value || *rest) usage();
            if (strcmp(argument[i], "--bytes") == 0 && number > 0) offer.size[0] = number;
            else if (strcmp(argument[i], "--after") == 0 && number <= 60000) after = (long)number;
            else usage();
        }
        i++;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    peer.socket = meet(argument[2]);
    if (taking) take();
    else offer_one(&offer, after, sealed);
}
