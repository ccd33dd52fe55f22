/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "look.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { TMPFS = 0x01021994, DMA_BUF_FILESYSTEM = 0x444d4142 };

static bool has_exporter(int fd) {
    char path[64], info[4096];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    ssize_t size = read(file, info, sizeof info - 1);
    close(file);
    if (size <= 0) return false;
    info[size] = 0;
    char *exporter = strstr(info, "\nexp_name:"), *name = strstr(info, "\nname:");
    return exporter != NULL && (name == NULL || exporter < name);
}

static bool is_called(const char *link, ssize_t length, const char *name) {
    return length >= (ssize_t)strlen(name) && memcmp(link, name, strlen(name)) == 0;
}

enum kind look_at(int fd, int *seals) {
    char path[64], link[512];
    struct statfs filesystem;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, link, sizeof link);
    if (is_called(link, length, "/dmabuf:")) {
        bool is = has_exporter(fd) && fstatfs(fd, &filesystem) == 0 && filesystem.f_type == DMA_BUF_FILESYSTEM;
        return is ? A_DMABUF : SOMETHING_ELSE;
    }
    if (is_called(link, length, "anon_inode:[eventfd]")) return AN_EVENTFD;
    if (!is_called(link, length, "/memfd:") || (*seals = fcntl(fd, F_GET_SEALS)) < 0) return SOMETHING_ELSE;
    return fstatfs(fd, &filesystem) == 0 && filesystem.f_type == TMPFS ? A_MEMFD : SOMETHING_ELSE;
}

bool look_at_memory(int fd, struct looked *memory) {
    int seals = F_SEAL_SHRINK;
    memory->kind = look_at(fd, &seals);
    if ((memory->kind != A_DMABUF && memory->kind != A_MEMFD) || (seals & F_SEAL_SHRINK) == 0) return false;
    struct stat status;
    if (fstat(fd, &status) != 0) return false;
    memory->inode = status.st_ino;
    memory->size = memory->kind == A_MEMFD ? (uint64_t)status.st_size : (uint64_t)lseek(fd, 0, SEEK_END);
    bool is_open_to_write = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR;
    memory->is_writable = is_open_to_write && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) == 0;
    return true;
}
