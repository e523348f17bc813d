/* state_log.c - see state_log.h */
#include "sched/state_log.h"

#include "base/check.h"

static int apply(void *arg, const struct mu_event *ev, struct mu_err *e)
{
    return mu_state_apply(arg, ev, e);
}

int mu_state_log_follow(struct mu_state_log *l, struct mu_err *e)
{
    int rc = mu_event_log_replay(l->log, l->state.seq, apply, &l->state, e);
    return rc == MU_EINVAL ? mu_err_while(e, rc, "replaying %s", mu_event_log_path(l->log)) : rc;
}

int mu_state_log_open(struct mu_state_log *l, const char *path, const struct mu_event_log_opts *o, bool owns,
                      int64_t wait_ns, struct mu_err *e)
{
    int rc = MU_OK;
    l->log = NULL;
    mu_state_init(&l->state);
    MU_TRY(mu_event_log_open(&l->log, path, o, e));
    if (owns)
        MU_TRY(mu_event_log_own(l->log, wait_ns, e));
    MU_TRY(mu_state_log_follow(l, e));
    return MU_OK;
out:
    mu_state_log_close(l);
    return rc;
}

void mu_state_log_close(struct mu_state_log *l)
{
    mu_event_log_close(l->log);
    l->log = NULL;
    mu_state_fini(&l->state);
}

/* The state has gone ahead of the log. */
static void fold_anew(struct mu_state_log *l)
{
    mu_state_fini(&l->state);
    if (mu_state_log_follow(l, NULL) != MU_OK)
        mu_state_fini(&l->state);
}

int mu_state_log_append(struct mu_state_log *l, const struct mu_event *ev, int n, struct mu_err *e)
{
    int rc = mu_event_log_append(l->log, ev, n, apply, &l->state, e);
    if (rc != MU_OK && l->state.seq != mu_event_log_last(l->log))
        fold_anew(l);
    return rc;
}
