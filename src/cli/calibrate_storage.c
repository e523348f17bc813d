/* calibrate_storage.c - reading a file that the page cache was told to forget */
#include "cli/calibrate.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#define FILE_BYTES       ((size_t)256 << 20)
#define FILE_QUICK_BYTES ((size_t)64 << 20)
#define BLOCK_BYTES      ((size_t)8 << 20)

static int write_file(const char *path, char *block, size_t bytes, struct mu_err *e)
{
    struct mu_outfile o = MU_OUTFILE_INIT;
    int rc = MU_OK;
    for (size_t i = 0; i < BLOCK_BYTES; i++)
        block[i] = (char)(i * 2654435761u >> 13);
    MU_TRY(mu_outfile_open(&o, path, e));
    for (size_t at = 0; at < bytes; at += BLOCK_BYTES)
        MU_TRY(mu_outfile_write(&o, block, BLOCK_BYTES, e));
    MU_TRY(mu_outfile_commit(&o, e));
out:
    mu_outfile_discard(&o);
    return rc;
}

static int read_file(const char *path, char *block, double *bytes_per_s, struct mu_err *e)
{
    struct mu_clock *clock = mu_clock_real();
    struct mu_file f = MU_FILE_INIT;
    int rc = MU_OK;
    MU_TRY(mu_file_open(&f, path, e));
    posix_fadvise(f.fd, 0, 0, POSIX_FADV_DONTNEED);
    int64_t t = mu_now_ns(clock);
    for (uint64_t at = 0; at < f.bytes; at += BLOCK_BYTES)
        MU_TRY(mu_file_read_at(&f, block, BLOCK_BYTES, at, e));
    t = mu_now_ns(clock) - t;
    *bytes_per_s = (double)f.bytes * 1e9 / (double)MU_MAX(t, 1);
out:
    mu_file_close(&f);
    return rc;
}

int mu_calibrate_storage(struct mu_calibration *c, const char *folder, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", 4096);
    char name[64], *block = NULL;
    int rc = MU_OK;

    snprintf(name, sizeof name, "calibrate.%ld.tmp", (long)getpid());
    MU_TRY(mu_path_join(&path, folder, name, e));
    MU_TRY(MU_NEW_ARRAY(&block, BLOCK_BYTES, "a calibration", e));
    MU_TRY(write_file(path.p, block, c->is_quick ? FILE_QUICK_BYTES : FILE_BYTES, e));
    MU_TRY(read_file(path.p, block, &c->machine.storage_rate, e));
    c->machine.storage_total = c->machine.storage_rate;
out:
    if (path.p)
        unlink(path.p);
    mu_free(block);
    mu_buf_fini(&path);
    return rc;
}
