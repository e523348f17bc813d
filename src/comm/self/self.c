/* self.c - a world of one rank: everything is immediate
 *
 * Messages to oneself and collectives of one rank are done above the transport (op.c, collective_*.c), so nothing is
 * ever asked of this one but who is lost: nobody. */
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "comm/comm_int.h"

static int no_messages(struct mu_comm_world *w, struct mu_comm_op *op, struct mu_err *e)
{
    (void)w;
    return mu_fail(e, MU_EINTERNAL, "a message to rank %d of a world of one rank", op->peer);
}

static int self_progress(struct mu_comm_world *w, int64_t wait_ns, struct mu_err *e)
{
    (void)w, (void)e;
    if (wait_ns > 0)
        usleep((useconds_t)MU_MIN(wait_ns / 1000, 1000)); /* a probe that waits for its deadline */
    return MU_OK;
}

static void self_cancel(struct mu_comm_world *w, struct mu_comm_op *op)
{
    (void)w, (void)op;
}

static int self_probe(struct mu_comm_world *w, int from, int context, int tag, bool *found, int *sender, size_t *bytes,
                      struct mu_err *e)
{
    (void)w, (void)from, (void)context, (void)tag, (void)sender, (void)bytes, (void)e;
    *found = false;
    return MU_OK;
}

static int self_lost(struct mu_comm_world *w, int nth, const char **clause)
{
    (void)w, (void)nth, (void)clause;
    return -1;
}

static void self_abort(struct mu_comm_world *w, const char *sentence)
{
    (void)w, (void)sentence;
}

static void self_close(struct mu_comm_world *w)
{
    mu_free(w);
}

static const struct mu_comm_transport self_ops = {.name = "self",
                                                  .start_send = no_messages,
                                                  .start_recv = no_messages,
                                                  .progress = self_progress,
                                                  .cancel = self_cancel,
                                                  .probe = self_probe,
                                                  .lost = self_lost,
                                                  .abort = self_abort,
                                                  .close = self_close};

int mu_comm_open_self(struct mu_comm **out, struct mu_err *e)
{
    struct mu_comm_world *w = NULL;
    int rc = MU_OK;
    *out = NULL;
    MU_TRY(MU_NEW(&w, "a world of one rank", e));
    MU_TRY(MU_NEW(&w->place, "a world of one rank", e));
    *w = (struct mu_comm_world){.ops = &self_ops, .clock = mu_clock_real(), .size = 1, .place = w->place};
    w->place->pid = (int)getpid();
    if (gethostname(w->place->host, sizeof w->place->host - 1) != 0)
        strcpy(w->place->host, "localhost");
    MU_TRY(mu_comm_world_open(out, w, NULL, e));
    return MU_OK;
out:
    if (w)
        mu_free(w->place);
    mu_free(w);
    return rc;
}
