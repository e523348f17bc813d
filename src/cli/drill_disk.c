/* drill_disk.c - a disk fills up under a journal: nothing that was committed is lost, and it goes on (drill.h)
 *
 * As root the disk is a small one in memory, in a mount namespace of this process alone; otherwise a limit on the size
 * of files stands for it. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/drill.h"
#include "eval/journal.h"

#define DISK_BYTES   (1 << 20)
#define ANSWER_BYTES 8000
#define ANSWERS_MAX  1000

struct disk {
    char folder[4096 - 32], path[4096];
    bool is_mount;
};

static void limit_files(rlim_t bytes)
{
    struct rlimit l;
    getrlimit(RLIMIT_FSIZE, &l);
    l.rlim_cur = MU_MIN(bytes, l.rlim_max);
    setrlimit(RLIMIT_FSIZE, &l);
}

static int open_disk(struct disk *d, const char *scratch, struct mu_err *e)
{
    char size[32];
    snprintf(d->folder, sizeof d->folder, "%s/disk", scratch);
    snprintf(d->path, sizeof d->path, "%s/journal", d->folder);
    snprintf(size, sizeof size, "size=%d", DISK_BYTES);
    if (mkdir(d->folder, 0700) != 0)
        return mu_fail(e, MU_EIO, "%s: %s", d->folder, strerror(errno));
    d->is_mount = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
                  mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                  mount("muster-drill", d->folder, "tmpfs", 0, size) == 0;
    if (!d->is_mount)
        limit_files(DISK_BYTES);
    return MU_OK;
}

static void make_room(const struct disk *d)
{
    char size[32];
    snprintf(size, sizeof size, "size=%d", 16 * DISK_BYTES);
    if (d->is_mount)
        mount("muster-drill", d->folder, "tmpfs", MS_REMOUNT, size);
    else
        limit_files(RLIM_INFINITY);
}

/* ---- answers ---- */

static void key_of(struct mu_key *k, int i)
{
    memset(k, 0, sizeof *k);
    memcpy(k->b, &i, sizeof i);
}

static json_t *answer_of(int i)
{
    char text[ANSWER_BYTES + 1];
    for (int c = 0; c < ANSWER_BYTES; c++)
        text[c] = (char)('a' + (i * 131 + c * 7 + c * c / 5) % 26);
    text[ANSWER_BYTES] = 0;
    return json_string(text);
}

static int put(struct mu_journal *j, int i, struct mu_err *e)
{
    struct mu_key k;
    json_t *v = answer_of(i);
    key_of(&k, i);
    int rc = v ? mu_journal_put(j, &k, v, e) : mu_fail_nomem(e, ANSWER_BYTES, "an answer");
    json_decref(v);
    return rc == MU_OK ? mu_journal_commit(j, e) : rc;
}

static int check(struct mu_journal *j, int i, struct mu_err *e)
{
    struct mu_key k;
    json_t *got = NULL, *want = answer_of(i);
    key_of(&k, i);
    int rc = mu_journal_get(j, &k, &got, e);
    if (rc == MU_OK && (!got || !json_equal(got, want)))
        rc = mu_fail(e, MU_EIO, "answer %d was committed before the disk was full, and is %s", i,
                     got ? "another one now" : "lost");
    json_decref(got);
    json_decref(want);
    return rc;
}

/* *n: how many were committed before it was full. */
static int fill(const struct disk *d, int *n, struct mu_err *e)
{
    struct mu_journal *j = NULL;
    struct mu_err full = MU_ERR_INIT;
    int rc;
    MU_TRY_RETURN(mu_journal_open(&j, d->path, MU_JOURNAL_FRESH, e));
    for (*n = 0; *n < ANSWERS_MAX && (rc = put(j, *n, &full)) == MU_OK; ++*n)
        ;
    mu_journal_close(j);
    if (*n == ANSWERS_MAX)
        return mu_fail(e, MU_EINTERNAL, "a disk of %d bytes took %d answers of %d", DISK_BYTES, *n, ANSWER_BYTES);
    if (rc != MU_ENOSPC && rc != MU_EIO)
        return mu_fail(e, MU_EINTERNAL, "a full disk was told as \"%.300s\"", full.text);
    return MU_OK;
}

static int look(const struct disk *d, int n, struct mu_err *e)
{
    struct mu_journal *j = NULL;
    int rc = MU_OK;
    MU_TRY_RETURN(mu_journal_open(&j, d->path, MU_JOURNAL_RESUME, e));
    for (int i = 0; i < n; i++)
        MU_TRY(check(j, i, e));
    MU_TRY(put(j, ANSWERS_MAX, e));
    MU_TRY(check(j, ANSWERS_MAX, e));
out:
    mu_journal_close(j);
    return rc;
}

static int run(const struct mu_drill_args *a, struct mu_drill_result *r, struct mu_err *e)
{
    struct disk d;
    int n = 0;
    MU_TRY_RETURN(open_disk(&d, a->scratch, e));
    MU_TRY_RETURN(fill(&d, &n, e));
    make_room(&d);
    MU_TRY_RETURN(look(&d, n, e));
    if (d.is_mount)
        umount2(d.folder, MNT_DETACH);
    return mu_drill_say(r, MU_DRILL_PASS, "%s was full after %d answers: all are there, and with room it goes on",
                        d.is_mount ? "a disk of 1 MiB" : "a file that may grow to 1 MiB", n);
}

const struct mu_drill mu_drill_disk = {.name = "disk", .deadline_s = 60, .run = run};
