/* here.c - see here.h */
#include "sched/slurm/here.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "sched/slurm/duration.h"
#include "sched/slurm/jobs.h"
#include "sched/slurm/words.h"

/* Leaves *out when the variable is not set. */
static int read_number(char *(*get)(const char *), const char *name, int64_t hi, int64_t *out, struct mu_err *e)
{
    const char *text = get(name);
    char *end;
    if (!text || !*text)
        return MU_OK;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno != 0 || *end || text[0] < '0' || text[0] > '9' || v > hi)
        return mu_fail(e, MU_EFORMAT, "%s is \"%.40s\"; a number up to %" PRId64 " is needed", name, text, hi);
    *out = v;
    return MU_OK;
}

int mu_slurm_here_read(struct mu_slurm_here *out, char *(*get)(const char *name), struct mu_err *e)
{
    int64_t restarts = 0;
    MU_TRY_RETURN(read_number(get, "SLURM_JOB_ID", UINT32_MAX, &out->job, e));
    if (out->job == 0)
        return MU_OK;
    MU_TRY_RETURN(read_number(get, "SLURM_ARRAY_TASK_ID", UINT32_MAX, &out->array, e));
    MU_TRY_RETURN(read_number(get, "SLURM_RESTART_COUNT", INT32_MAX, &restarts, e));
    MU_TRY_RETURN(read_number(get, "SLURM_JOB_END_TIME", INT64_MAX / 2, &out->end_unix, e));
    out->restarts = (int)restarts;
    const char *nodes = get("SLURM_JOB_NODELIST");
    return nodes && *nodes ? mu_slurm_hosts_expand(&out->nodes, mu_str(nodes), e) : MU_OK;
}

void mu_slurm_here_fini(struct mu_slurm_here *h)
{
    mu_slurm_hosts_fini(&h->nodes);
}

int mu_slurm_time_left_parse(int64_t *seconds, struct mu_str text, struct mu_err *e)
{
    text = mu_slurm_trim(text);
    if (text.n == 0 || mu_str_eq(text, MU_STR("NOT_SET")) || mu_str_eq(text, MU_STR("INVALID")))
        return mu_fail(e, MU_ENOENT, "Slurm says no time that the job has left");
    return mu_slurm_duration_parse(seconds, text, e);
}

int mu_slurm_time_left(int64_t *seconds, const struct mu_slurm_here *h, struct mu_err *e)
{
    struct mu_command_end end = MU_COMMAND_END_INIT;
    char id[24];
    snprintf(id, sizeof id, "%" PRId64, h->job);
    const char *argv[] = {"squeue", "--noheader", "--jobs", id, "--format=%L", NULL};
    int rc = mu_slurm_command_within(&end, argv, MU_SLURM_ANSWER_NS, e);
    if (rc == MU_OK)
        rc = mu_slurm_time_left_parse(seconds, mu_buf_str(&end.out), e);
    if (rc != MU_OK && h->end_unix > 0) {
        *seconds = MU_MAX(h->end_unix - (int64_t)time(NULL), 0);
        rc = MU_OK;
    }
    mu_command_end_fini(&end);
    return rc;
}
