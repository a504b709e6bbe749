/* Records what a process does to some files, so that a power cut can be played afterwards (tools/power_cut.py).
 *
 * Loaded with LD_PRELOAD. Every write, truncation and sync of a file whose path begins with POWER_CUT_FILES goes
 * into POWER_CUT_LOG before it is carried out, as one record:
 *
 *     op (1 byte: W write, T truncate, S sync, U unlink) | path length u32 | offset u64 | length u64 | path | data
 *
 * One lock keeps the records in the order of the calls. Numbers are in the machine's own byte order.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define FILES_MAX 4096
static char *paths[FILES_MAX];
static int log_fd = -1;
static const char *prefix;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static int (*real_open)(const char *, int, ...);
static int (*real_close)(int);
static int (*real_ftruncate)(int, off64_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_unlink)(const char *);

__attribute__((constructor)) static void start(void)
{
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_open = dlsym(RTLD_NEXT, "open64");
    real_close = dlsym(RTLD_NEXT, "close");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    prefix = getenv("POWER_CUT_FILES");
    const char *log = getenv("POWER_CUT_LOG");
    if (log != NULL && prefix != NULL)
        log_fd = real_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void put(const void *data, size_t length)
{
    const char *at = data;
    while (length > 0) {
        ssize_t done = real_write(log_fd, at, length);
        if (done <= 0) {
            fprintf(stderr, "power_cut_shim: the log cannot be written\n");
            abort();
        }
        at += done;
        length -= (size_t)done;
    }
}

static void record(char op, const char *path, uint64_t offset, const void *data, uint64_t length)
{
    uint32_t path_length = (uint32_t)strlen(path);
    put(&op, 1);
    put(&path_length, sizeof path_length);
    put(&offset, sizeof offset);
    put(&length, sizeof length);
    put(path, path_length);
    if (data != NULL)
        put(data, length);
}

static const char *known(int fd)
{
    return log_fd >= 0 && fd >= 0 && fd < FILES_MAX ? paths[fd] : NULL;
}

static int opened(int fd, const char *path)
{
    if (log_fd < 0 || fd < 0 || fd >= FILES_MAX)
        return fd;
    free(paths[fd]);
    paths[fd] = strncmp(path, prefix, strlen(prefix)) == 0 ? strdup(path) : NULL;
    return fd;
}

int open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if (flags & (O_CREAT | O_TMPFILE)) {
        __builtin_va_list list;
        __builtin_va_start(list, flags);
        mode = __builtin_va_arg(list, mode_t);
        __builtin_va_end(list);
    }
    int fd = real_open(path, flags, mode);
    if (fd >= 0 && known(fd) == NULL && (flags & O_TRUNC) && log_fd >= 0 &&
        strncmp(path, prefix, strlen(prefix)) == 0) {
        pthread_mutex_lock(&lock);
        record('T', path, 0, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return opened(fd, path);
}

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if (flags & (O_CREAT | O_TMPFILE)) {
        __builtin_va_list list;
        __builtin_va_start(list, flags);
        mode = __builtin_va_arg(list, mode_t);
        __builtin_va_end(list);
    }
    return open64(path, flags, mode);
}

int close(int fd)
{
    if (fd >= 0 && fd < FILES_MAX && paths[fd] != NULL) {
        free(paths[fd]);
        paths[fd] = NULL;
    }
    return real_close(fd);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset)
{
    const char *path = known(fd);
    if (path == NULL)
        return real_pwrite(fd, data, length, offset);
    pthread_mutex_lock(&lock);
    record('W', path, (uint64_t)offset, data, length);
    ssize_t done = real_pwrite(fd, data, length, offset);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    return pwrite64(fd, data, length, offset);
}

ssize_t write(int fd, const void *data, size_t length)
{
    const char *path = known(fd);
    if (path == NULL)
        return real_write(fd, data, length);
    pthread_mutex_lock(&lock);
    record('W', path, (uint64_t)lseek(fd, 0, SEEK_CUR), data, length);
    ssize_t done = real_write(fd, data, length);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate64(int fd, off64_t length)
{
    const char *path = known(fd);
    if (path == NULL)
        return real_ftruncate(fd, length);
    pthread_mutex_lock(&lock);
    record('T', path, (uint64_t)length, NULL, 0);
    int done = real_ftruncate(fd, length);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int fd, off_t length)
{
    return ftruncate64(fd, length);
}

static int synced(int fd, int (*real)(int))
{
    const char *path = known(fd);
    if (path == NULL)
        return real(fd);
    pthread_mutex_lock(&lock);
    int done = real(fd);
    if (done == 0)
        record('S', path, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int fsync(int fd)
{
    return synced(fd, real_fsync);
}

int fdatasync(int fd)
{
    return synced(fd, real_fdatasync);
}

int unlink(const char *path)
{
    if (log_fd >= 0 && strncmp(path, prefix, strlen(prefix)) == 0) {
        pthread_mutex_lock(&lock);
        record('U', path, 0, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return real_unlink(path);
}
