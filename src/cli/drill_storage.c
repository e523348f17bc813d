/* drill_storage.c - a file written, synced, read back and compared (drill.h)
 *
 * It has no name from its first byte on, so nothing of it can stay. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/drill.h"
#include "cli/plan_inputs.h"

#define FILE_BYTES  ((int64_t)256 << 20)
#define BLOCK_BYTES ((int64_t)4 << 20)
#define LEAST_FREE  ((int64_t)16 << 20) /* below it the room is for others */

static int open_nameless(const char *folder, struct mu_err *e)
{
    char path[4096];
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    snprintf(path, sizeof path, "%s/muster-drill-XXXXXX", folder);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        mu_fail_errno(e, errno, "write", folder);
    else
        unlink(path);
    return fd;
}

static void fill_block(uint64_t *p, uint64_t number)
{
    for (int64_t i = 0; i < BLOCK_BYTES / 8; i++)
        p[i] = (number << 32 | (uint64_t)i) * 0x9e3779b97f4a7c15u;
}

/* A quarter of what is free, where that is little; 0: too little. */
static int64_t bytes_for(int fd)
{
    struct statvfs v;
    if (fstatvfs(fd, &v) != 0)
        return BLOCK_BYTES;
    int64_t free_bytes = (int64_t)MU_MIN(v.f_bavail, (1ull << 40)) * (int64_t)v.f_frsize;
    return free_bytes < LEAST_FREE ? 0 : MU_MIN(FILE_BYTES, free_bytes / 4) / BLOCK_BYTES * BLOCK_BYTES;
}

/* Whole, or an errno: of a block that comes short the rest has no room. */
static int write_block(int fd, const uint64_t *block, int64_t at)
{
    ssize_t n = pwrite(fd, block, (size_t)BLOCK_BYTES, at);
    return n == BLOCK_BYTES ? 0 : n < 0 ? errno : ENOSPC;
}

static int write_all(int fd, uint64_t *block, int64_t bytes, const char *folder, double *rate, struct mu_err *e)
{
    int64_t ns = 0;
    for (int64_t at = 0; at < bytes; at += BLOCK_BYTES) {
        fill_block(block, (uint64_t)(at / BLOCK_BYTES));
        int64_t t = mu_now_ns(mu_clock_real());
        int error = write_block(fd, block, at);
        if (error != 0)
            return mu_fail_errno(e, error, "write", folder);
        ns += mu_now_ns(mu_clock_real()) - t;
    }
    int64_t t = mu_now_ns(mu_clock_real());
    if (fsync(fd) != 0)
        return mu_fail_errno(e, errno, "sync a file in", folder);
    ns += mu_now_ns(mu_clock_real()) - t;
    *rate = (double)bytes * 1e9 / (double)MU_MAX(ns, 1);
    return MU_OK;
}

static int read_all(int fd, uint64_t *block, uint64_t *want, int64_t bytes, const char *folder, double *rate,
                    struct mu_err *e)
{
    int64_t ns = 0;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    for (int64_t at = 0; at < bytes; at += BLOCK_BYTES) {
        int64_t t = mu_now_ns(mu_clock_real());
        ssize_t n = pread(fd, block, (size_t)BLOCK_BYTES, at);
        if (n != BLOCK_BYTES)
            return mu_fail_errno(e, n < 0 ? errno : EIO, "read", folder);
        ns += mu_now_ns(mu_clock_real()) - t;
        fill_block(want, (uint64_t)(at / BLOCK_BYTES));
        if (memcmp(block, want, (size_t)BLOCK_BYTES) != 0)
            return mu_fail(e, MU_EIO, "%s: a file reads back otherwise than written, between bytes %lld and %lld",
                           folder, (long long)at, (long long)(at + BLOCK_BYTES));
    }
    *rate = (double)bytes * 1e9 / (double)MU_MAX(ns, 1);
    return MU_OK;
}

static int run_in(const struct mu_drill_args *a, const char *folder, struct mu_drill_result *r, struct mu_err *e)
{
    uint64_t *block = NULL, *want = NULL;
    double written = 0, read = 0;
    char what[512];
    int rc = MU_OK, fd = open_nameless(folder, e);
    if (fd < 0)
        return e->code;
    int64_t bytes = bytes_for(fd);
    if (bytes == 0) {
        close(fd);
        return mu_drill_say(r, MU_DRILL_SKIPPED, "%.300s: less than %lld MiB are free", folder,
                            (long long)(LEAST_FREE >> 20));
    }
    MU_TRY(MU_NEW_ARRAY(&block, BLOCK_BYTES / 8, "a drill", e));
    MU_TRY(MU_NEW_ARRAY(&want, BLOCK_BYTES / 8, "a drill", e));
    MU_TRY(write_all(fd, block, bytes, folder, &written, e));
    MU_TRY(read_all(fd, block, want, bytes, folder, &read, e));
    snprintf(what, sizeof what, "%.300s: %lld MiB written and synced at %.2f GB/s, read at", folder,
             (long long)(bytes >> 20), written * 1e-9);
    mu_drill_rate(r, read, a->machine ? a->machine->storage_rate : 0, 1e9, "GB/s", what);
out:
    close(fd);
    mu_free(block);
    mu_free(want);
    return rc;
}

/* Without --storage, where calibration measured; where it never did, the scratch folder. */
static int run(const struct mu_drill_args *a, struct mu_drill_result *r, struct mu_err *e)
{
    struct mu_buf file = MU_BUF_INIT("a path", 4096), folder = MU_BUF_INIT("a path", 4096);
    bool has_kept = mu_machine_kept_path(&file, &folder, NULL) == MU_OK && mu_path_is_dir(folder.p);
    int rc = run_in(a, a->storage ? a->storage : has_kept ? folder.p : a->scratch, r, e);
    mu_buf_fini(&file);
    mu_buf_fini(&folder);
    return rc;
}

const struct mu_drill mu_drill_storage = {.name = "storage", .deadline_s = 300, .run = run};
