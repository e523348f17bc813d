/* local.c - workers as processes of this machine (sched/launcher.h) */
#include "sched/launcher.h"

#include <signal.h>

#include "base/check.h"
#include "base/mem.h"
#include "sched/local/children.h"

struct local {
    struct mu_launcher l; /* first */
    struct mu_children children;
};

static struct mu_children *children_of(struct mu_launcher *l)
{
    return &((struct local *)l)->children;
}

static int start(struct mu_launcher *l, const struct mu_worker_order *o, int64_t *worker, struct mu_err *e)
{
    pid_t pid;
    MU_TRY_RETURN(mu_children_start(children_of(l), o->argv, o->log, o->ranks > 1, &pid, e));
    *worker = pid;
    return MU_OK;
}

static void say(struct mu_launcher *l, int64_t worker, const char *line)
{
    mu_children_say(children_of(l), (pid_t)worker, line);
}

static bool wait_for_news(struct mu_launcher *l, int64_t timeout_ns, struct mu_worker_told *out)
{
    return mu_children_wait(children_of(l), timeout_ns, out);
}

static void stop(struct mu_launcher *l, int64_t worker, bool at_once)
{
    if (at_once)
        mu_children_end(children_of(l), (pid_t)worker);
    else
        mu_children_signal(children_of(l), (pid_t)worker, SIGTERM, false);
}

static void close_local(struct mu_launcher *l)
{
    mu_children_close(children_of(l));
    mu_free(l);
}

static const struct mu_launcher_ops local_ops = {
    .name = "local", .start = start, .say = say, .wait = wait_for_news, .stop = stop, .close = close_local};

int mu_launcher_open_local(struct mu_launcher **out, struct mu_err *e)
{
    struct local *m = NULL;
    *out = NULL;
    MU_TRY_RETURN(MU_NEW(&m, "a launcher", e));
    int rc = mu_children_open(&m->children, e);
    if (rc != MU_OK) {
        mu_free(m);
        return rc;
    }
    m->l.ops = &local_ops;
    *out = &m->l;
    return MU_OK;
}
