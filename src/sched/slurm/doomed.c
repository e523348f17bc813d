/* doomed.c - see doomed.h */
#include "sched/slurm/doomed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/process.h"

#define PREFIX_BYTES sizeof(((struct mu_doomed *)0)->prefix)
#define SWEEP_NS     ((int64_t)1000000000) /* between two looks */
#define CLEAR_NS     ((int64_t)8000000000) /* the longest wait for all to go */

static int64_t now_ns(void)
{
    return mu_now_ns(mu_clock_real());
}

/* ---- names ---- */

static void make_prefix(char prefix[PREFIX_BYTES], const char *host, int64_t pid, int64_t start)
{
    snprintf(prefix, PREFIX_BYTES, "muster:%.64s:%" PRId64 ":%" PRId64 ":", host, pid, start);
}

static void host_name(char host[65])
{
    if (gethostname(host, 65) != 0)
        host[0] = 0;
    host[64] = 0;
}

int mu_doomed_open(struct mu_doomed *d, struct mu_err *e)
{
    char host[65];
    *d = (struct mu_doomed){.n = 0};
    host_name(host);
    make_prefix(d->prefix, host, getpid(), mu_process_start(getpid()));
    return MU_NEW_ARRAY(&d->number, MU_DOOMED_MAX, "steps to end", e);
}

void mu_doomed_close(struct mu_doomed *d)
{
    mu_free(d->number);
    *d = (struct mu_doomed){.n = 0};
}

void mu_doomed_name(const struct mu_doomed *d, int64_t number, char name[MU_STEP_NAME_BYTES])
{
    snprintf(name, MU_STEP_NAME_BYTES, "%s%" PRId64, d->prefix, number);
}

bool mu_doomed_is_left_behind(const struct mu_doomed *d, struct mu_str name)
{
    char text[MU_STEP_NAME_BYTES], host[65], is[PREFIX_BYTES];
    int64_t pid, start;
    if (name.n >= sizeof text)
        return false;
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    host_name(host);
    size_t before = strlen("muster:") + strlen(host);
    if (name.n < before || sscanf(text + before, ":%" SCNd64 ":%" SCNd64 ":", &pid, &start) != 2)
        return false;
    make_prefix(is, host, pid, start);
    return strncmp(text, is, strlen(is)) == 0 && strcmp(is, d->prefix) != 0 && mu_process_start(pid) != start;
}

/* ---- ending ---- */

void mu_doomed_add(struct mu_doomed *d, int64_t number)
{
    for (int i = 0; i < d->n; i++)
        if (d->number[i] == number)
            return;
    if (d->n == MU_DOOMED_MAX) /* the oldest has been asked for often enough */
        memmove(d->number, d->number + 1, sizeof *d->number * (size_t)--d->n);
    d->number[d->n++] = number;
    d->sweep_ns = MU_MIN(d->sweep_ns, now_ns());
}

/* Which of them has the name; -1: none. */
static int index_of(const struct mu_doomed *d, struct mu_str name)
{
    char own[MU_STEP_NAME_BYTES];
    for (int i = 0; i < d->n; i++) {
        mu_doomed_name(d, d->number[i], own);
        if (mu_str_eq(name, mu_str(own)))
            return i;
    }
    return -1;
}

/* The ids of those listed that are to end, each with a NUL behind it; keeps of the doomed those that were listed. */
static int list_ids(struct mu_doomed *d, struct mu_str listed, struct mu_buf *ids, int *n, struct mu_err *e)
{
    struct mu_str id, name;
    int n_kept = 0;
    *n = 0;
    while (*n < MU_DOOMED_MAX && mu_slurm_step_next(&listed, &id, &name)) {
        int at = index_of(d, name);
        if (at < 0 && !mu_doomed_is_left_behind(d, name))
            continue;
        if (at >= n_kept) {
            int64_t number = d->number[at];
            d->number[at] = d->number[n_kept];
            d->number[n_kept++] = number;
        }
        MU_TRY_RETURN(mu_buf_add(ids, id.p, id.n, e));
        MU_TRY_RETURN(mu_buf_putc(ids, 0, e));
        (*n)++;
    }
    d->n = n_kept;
    return MU_OK;
}

static int end_listed(struct mu_doomed *d, struct mu_slurm_allocation *a, struct mu_str listed, int *n_found,
                      struct mu_err *e)
{
    struct mu_buf ids = MU_BUF_INIT("steps to end", MU_DOOMED_MAX * 64);
    const char **argv = NULL;
    int rc = MU_OK, n;
    MU_TRY(list_ids(d, listed, &ids, &n, e));
    *n_found = n;
    if (n == 0)
        goto out;
    MU_TRY(MU_NEW_ARRAY(&argv, n + 2, "steps to end", e));
    argv[0] = "scancel";
    for (int i = 0; i < n; i++)
        argv[i + 1] = i == 0 ? ids.p : argv[i] + strlen(argv[i]) + 1;
    MU_TRY(mu_slurm_steps_end(a, argv, e));
out:
    mu_free(argv);
    mu_buf_fini(&ids);
    return rc;
}

void mu_doomed_sweep(struct mu_doomed *d, struct mu_slurm_allocation *a, int *n_found)
{
    struct mu_command_end end = MU_COMMAND_END_INIT;
    if (mu_slurm_steps_list(a, &end, NULL) == MU_OK)
        (void)end_listed(d, a, mu_buf_str(&end.out), n_found, NULL);
    mu_command_end_fini(&end);
    d->sweep_ns = now_ns() + SWEEP_NS;
}

/* One on a node that hangs stays listed until Slurm gives the node up. */
void mu_doomed_sweep_all(struct mu_doomed *d, struct mu_slurm_allocation *a)
{
    int64_t until = now_ns() + CLEAR_NS;
    for (int n = 1; n > 0 && now_ns() < until;) {
        struct timespec pause = {.tv_nsec = 100000000};
        mu_doomed_sweep(d, a, &n);
        if (n > 0)
            (void)nanosleep(&pause, NULL);
        if (now_ns() < a->alone_until_ns)
            return;
    }
}
