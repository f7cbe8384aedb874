/* Fails the n-th write, fsync, rename or git call below a folder, in every process that loads it.
 *
 * FAULTS_PLAN names a file that all processes share: what to fail, and how often each was called.
 * FAULTS_BELOW is the folder. Files elsewhere, pipes and terminals are never counted.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { NONE, WRITE, MAPPED, FSYNC, RENAME, GIT, KINDS };

struct plan {
    int kind, nth, error, lasting, fired;
    int calls[KINDS];
};

static struct plan *plan;
static const char *below;

static int fails(enum kind kind) {
    int call = __sync_add_and_fetch(&plan->calls[kind], 1);
    if (plan->kind != (int)kind || (plan->lasting ? call < plan->nth : call != plan->nth)) return 0;
    __sync_add_and_fetch(&plan->fired, 1);
    errno = plan->error;
    return 1;
}

static int is_below(const char *path) { return strncmp(path, below, strlen(below)) == 0; }

static int file_is_below(int fd, int *mapped) {
    char link[64], path[PATH_MAX];
    *mapped = 0;
    if (plan == NULL) return 0;
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (length < 0) return 0;
    path[length] = 0;
    *mapped = length > 4 && strcmp(path + length - 4, "-shm") == 0;
    return is_below(path);
}

/* A write that makes room in SQLite's index of its log is counted apart: every look at a ledger
 * that nobody else has open makes that file anew, and there are as many as looks. */
static int write_fails(int fd) {
    int mapped;
    return file_is_below(fd, &mapped) && fails(mapped ? MAPPED : WRITE);
}

static int fsync_fails(int fd) {
    int mapped;
    return file_is_below(fd, &mapped) && fails(FSYNC);
}

static int name_is_below(int folder, const char *name) {
    char path[PATH_MAX];
    int mapped;
    if (plan == NULL) return 0;
    if (name[0] == '/') return is_below(name);
    if (folder != AT_FDCWD) return file_is_below(folder, &mapped);
    return getcwd(path, sizeof path) != NULL && is_below(path);
}

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t count) {
    if (write_fails(fd)) return -1;
    return REAL(write)(fd, data, count);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (write_fails(fd)) return -1;
    return REAL(writev)(fd, parts, count);
}
ssize_t pwrite(int fd, const void *data, size_t count, off_t at) {
    if (write_fails(fd)) return -1;
    return REAL(pwrite)(fd, data, count, at);
}
ssize_t pwrite64(int fd, const void *data, size_t count, off64_t at) {
    if (write_fails(fd)) return -1;
    return REAL(pwrite64)(fd, data, count, at);
}
int fsync(int fd) { return fsync_fails(fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fsync_fails(fd) ? -1 : REAL(fdatasync)(fd); }
int rename(const char *from, const char *to) {
    if (name_is_below(AT_FDCWD, to) && fails(RENAME)) return -1;
    return REAL(rename)(from, to);
}
int renameat(int from_folder, const char *from, int folder, const char *to) {
    if (name_is_below(folder, to) && fails(RENAME)) return -1;
    return REAL(renameat)(from_folder, from, folder, to);
}
int link(const char *from, const char *to) {
    if (name_is_below(AT_FDCWD, to) && fails(RENAME)) return -1;
    return REAL(link)(from, to);
}

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("FAULTS_PLAN");
    below = getenv("FAULTS_BELOW");
    if (name == NULL || below == NULL) return;
    int fd = open(name, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *shared = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared == MAP_FAILED) return;
    plan = shared;
    if (strcmp(program_invocation_short_name, "git") == 0 && fails(GIT)) {
        dprintf(STDERR_FILENO, "fatal: injected: %s\n", strerror(errno));
        _exit(128);
    }
}
