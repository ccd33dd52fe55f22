/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "servers.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void become(char *const command[], char *socket) {
    char *arguments[16];
    int count = 0;
    for (; command[count] != NULL && count < 14; count++) arguments[count] = command[count];
    arguments[count] = socket;
    arguments[count + 1] = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int nowhere = open("/dev/null", O_RDWR);
    dup2(nowhere, 0);
    dup2(nowhere, 1);
    dup2(nowhere, 2);
    close_range(3, ~0u, 0);
    execv(arguments[0], arguments);
    _exit(127);
}

struct server start_server(char *const command[]) {
    static int number;
    struct server server;
    const char *folder = getenv("TMPDIR");
    snprintf(server.socket, sizeof server.socket, "%s/bench-%d-%d", folder ? folder : "/tmp", getpid(), ++number);
    server.pid = fork();
    if (server.pid < 0) fail("fork");
    if (server.pid == 0) become(command, server.socket);
    struct connection connection;
    for (int tries = 0; !try_join(server.socket, &connection); tries++) {
        if (tries == 50000 || waitpid(server.pid, NULL, WNOHANG) != 0) fail("%s does not serve", command[0]);
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    leave(&connection);
    return server;
}

void stop_server(struct server *server) {
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    unlink(server->socket);
}

uint64_t cpu_time(const struct server *server) {
    clockid_t clock;
    struct timespec time;
    if (clock_getcpuclockid(server->pid, &clock) != 0 || clock_gettime(clock, &time) != 0) fail("CPU time");
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int count_descriptors(pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *folder = opendir(path);
    if (folder == NULL) fail("%s", path);
    int count = -2;  // . and ..
    while (readdir(folder) != NULL) count++;
    closedir(folder);
    return count;
}

struct memory memory_of(const struct server *server) {
    char path[64], line[256];
    struct memory memory = {.descriptors = count_descriptors(server->pid)};
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", server->pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) fail("%s", path);
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long size;
        if (sscanf(line, "Rss: %lu", &size) == 1) memory.resident = size * 1024;
        if (sscanf(line, "Private_Clean: %lu", &size) == 1) memory.private += size * 1024;
        if (sscanf(line, "Private_Dirty: %lu", &size) == 1) memory.private += size * 1024;
    }
    fclose(file);
    return memory;
}
