/* SPDX-License-Identifier: Apache-2.0 */
#include "moves.h"

#include "servers.h"
#include "turns.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FEW = 10, MANY = 1000, MOVES = 10, TURNS = 66, TURNS_OF_ALL = 12 };

/* A buffer that is moved, and who has it: the first `holders` are always inside an access. */
struct crowd {
    struct connection owner, *importers;
    uint64_t *attachments, generation;
    struct id buffer;
    unsigned importer_count, holders;
};

static void hold(struct crowd *crowd, unsigned who) {
    begin_access(&crowd->importers[who], crowd->attachments[who], crowd->generation);
}

static void gather(struct crowd *crowd, const char *socket, const char *name, unsigned importers) {
    int memory = make_memory(4096), fd;
    *crowd = (struct crowd){.owner = join_at(socket), .generation = 1, .importer_count = importers, .holders = FEW};
    crowd->buffer = register_buffer(&crowd->owner, memory, BY_OWNER, name);
    close(memory);
    crowd->importers = calloc(importers, sizeof *crowd->importers);
    crowd->attachments = calloc(importers, sizeof *crowd->attachments);
    if (crowd->importers == NULL || crowd->attachments == NULL) fail("memory");
    for (unsigned i = 0; i < importers; i++) {
        crowd->importers[i] = join_with_pages_at(socket);
        crowd->attachments[i] = attach_named(&crowd->importers[i], name, &fd);
        close(fd);
        if (i < crowd->holders) hold(crowd, i);
    }
}

static void disperse(struct crowd *crowd) {
    leave(&crowd->owner);
    for (unsigned i = 0; i < crowd->importer_count; i++) leave(&crowd->importers[i]);
    free(crowd->importers);
    free(crowd->attachments);
}

static void await(struct connection *connection, uint16_t expected) {
    uint16_t notice;
    while ((notice = next_notice(connection)) != expected) {
        if (notice == ATTACHMENT_ENDED) fail("the attachment has ended");
    }
}

/* From the owner's wish until all have let go, which is when it may copy. */
static uint64_t let_go(struct crowd *crowd) {
    uint64_t start = now();
    begin_move(&crowd->owner, crowd->buffer, crowd->generation);
    for (unsigned i = 0; i < crowd->holders; i++) {
        await(&crowd->importers[i], INVALIDATE);
        send_acknowledge(&crowd->importers[i], crowd->attachments[i], crowd->generation);
    }
    await(&crowd->owner, READY_TO_COPY);
    return now() - start;
}

static void map_and_hold(struct crowd *crowd, unsigned who) {
    send_map(&crowd->importers[who], crowd->attachments[who]);
    close(receive_answer(&crowd->importers[who], MAPPED));
    hold(crowd, who);
}

static void go_on(struct crowd *crowd, int memory) {
    for (unsigned i = 0; i < crowd->holders; i++) receive_answer(&crowd->importers[i], DONE);
    commit_move(&crowd->owner, crowd->buffer, crowd->generation++, memory);
    await(&crowd->owner, MOVE_ENDED);
    for (unsigned i = 0; i < crowd->holders; i++) {
        await(&crowd->importers[i], MOVED);
        map_and_hold(crowd, i);
    }
}

static double move_block(void *subject) {
    struct crowd *crowd = subject;
    uint64_t sum = 0;
    for (int i = 0; i < MOVES; i++) {
        int memory = make_memory(4096);
        sum += let_go(crowd);
        go_on(crowd, memory);
        close(memory);
    }
    return (double)sum / MOVES;
}

void measure_moves(char *const command[]) {
    if (!is_wanted("7-move-all-hold")) return;  // the other row's id begins as this one's
    struct server server = start_server(command);
    struct crowd many, few, as_few;
    void *subjects[SUBJECTS] = {&many, &few, &as_few};
    gather(&few, server.socket, "few", FEW);
    gather(&as_few, server.socket, "as few", FEW);
    gather(&many, server.socket, "many", MANY);
    interleave("7-move", subjects, move_block, TURNS);
    for (; many.holders < MANY; many.holders++) map_and_hold(&many, many.holders);
    interleave("7-move-all-hold", subjects, move_block, TURNS_OF_ALL);
    disperse(&many);
    disperse(&few);
    disperse(&as_few);
    stop_server(&server);
}
