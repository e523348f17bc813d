/* drill_ranks.c - messages and sums between ranks: right, and as fast as calibrated (drill.h)
 *
 * Sums are timed by the code that calibrates them, so both figures mean the same. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/calibrate.h"
#include "cli/drill.h"
#include "comm/comm.h"

#define RING_BYTES ((size_t)1 << 20)
#define RING_TURNS 8

/* ---- one of the ranks ---- */

static void fill(unsigned char *p, int rank, int turn)
{
    for (size_t i = 0; i < RING_BYTES; i++)
        p[i] = (unsigned char)(i * 31 + (size_t)rank * 7 + (size_t)turn);
}

/* To the next, from the one before; every byte is looked at. */
static int run_ring(struct mu_comm *c, unsigned char *out, unsigned char *in, int turn, struct mu_err *e)
{
    int rank = mu_comm_rank(c), size = mu_comm_size(c), before = (rank + size - 1) % size;
    struct mu_comm_op *op = NULL;
    fill(out, rank, turn);
    MU_TRY_RETURN(mu_comm_start_send(&op, c, (rank + 1) % size, 1, out, RING_BYTES, e));
    int rc = mu_comm_recv(c, before, 1, in, RING_BYTES, e);
    int sent = mu_comm_wait(op, rc == MU_OK ? e : NULL);
    MU_TRY_RETURN(rc == MU_OK ? sent : rc);
    fill(out, before, turn);
    if (memcmp(in, out, RING_BYTES) != 0)
        return mu_fail(e, MU_EIO, "a message from rank %d on %s to rank %d on %s came with other bytes", before,
                       mu_comm_host(c, before), rank, mu_comm_host(c, rank));
    return MU_OK;
}

static int check_messages(struct mu_comm *c, struct mu_err *e)
{
    unsigned char *out = NULL, *in = NULL;
    int64_t sum = mu_comm_rank(c) + 1, n = mu_comm_size(c);
    int rc = MU_OK;
    MU_TRY(MU_NEW_ARRAY(&out, RING_BYTES, "a drill", e));
    MU_TRY(MU_NEW_ARRAY(&in, RING_BYTES, "a drill", e));
    for (int turn = 0; n > 1 && turn < RING_TURNS; turn++)
        MU_TRY(run_ring(c, out, in, turn, e));
    MU_TRY(mu_comm_all_reduce(c, &sum, 1, MU_REDUCE_SUM_I64, e));
    if (sum != n * (n + 1) / 2)
        rc = mu_fail(e, MU_EIO, "a sum over %d ranks is %lld, not %lld", (int)n, (long long)sum,
                     (long long)(n * (n + 1) / 2));
out:
    mu_free(out);
    mu_free(in);
    return rc;
}

/* A link of several nodes is the one between them; ranks that outnumber the cores have a latency of their own. */
static void compare(const struct mu_drill_args *a, const struct mu_machine *m, struct mu_comm *c,
                    struct mu_drill_result *r)
{
    const struct mu_machine *base = a->machine;
    const struct mu_link_spec *l = !base ? NULL : mu_comm_nodes(c) > 1 ? &base->between : &base->inside;
    bool is_crowd = base && base->host_cores > 0 && mu_comm_size(c) > base->host_cores;
    double rounds = MU_MAX(ceil(log2(mu_comm_size(c))), 1), latency = l ? l->latency_s : 0;
    char what[200];
    if (is_crowd && l->crowded_s > 0)
        latency = l->crowded_s * rounds;
    snprintf(what, sizeof what, "%d ranks on %d node%s: messages are right, a sum takes %.1f us, then", mu_comm_size(c),
             mu_comm_nodes(c), mu_comm_nodes(c) > 1 ? "s" : "", m->inside.latency_s * 1e6);
    mu_drill_rate(r, m->inside.rate, l && !is_crowd ? l->rate : 0, 1e9, "GB/s", what);
    if (r->verdict != MU_DRILL_PASS || latency <= 0 || m->inside.latency_s <= MU_DRILL_SLOW_TIME * latency)
        return;
    mu_drill_say(r, MU_DRILL_SLOW, "a sum over %d ranks takes %.1f us, calibrated were %.1f", mu_comm_size(c),
                 m->inside.latency_s * 1e6, latency * 1e6);
    r->value = m->inside.latency_s;
    r->baseline = latency;
    snprintf(r->unit, sizeof r->unit, "s");
}

static int rank_part(const struct mu_drill_args *a, struct mu_comm *world, struct mu_err *e)
{
    struct mu_machine m = {.nodes = 1, .devices = a->machine ? MU_MAX(a->machine->devices, 1) : 1};
    struct mu_drill_result r = {0};
    char text[sizeof r.text + 128];
    if (!world)
        return mu_fail(e, MU_EUSAGE, "one rank alone has nobody to talk to");
    MU_TRY_RETURN(check_messages(world, e));
    MU_TRY_RETURN(mu_calibrate_sums(&m, world, true, e));
    if (mu_comm_rank(world) > 0)
        return MU_OK;
    compare(a, &m, world, &r);
    if (!a->scratch) {
        printf("ranks %s %s\n", r.verdict == MU_DRILL_SLOW ? "slow" : "pass", r.text);
        return r.verdict == MU_DRILL_SLOW ? mu_fail(e, MU_ELIMIT, "slow: %s", r.text) : MU_OK;
    }
    snprintf(text, sizeof text, "%d %.9g %.9g %s\n%s", (int)r.verdict, r.value, r.baseline, r.unit, r.text);
    return mu_drill_write(a, "ranks", text, e);
}

/* ---- the drill ---- */

static int run(const struct mu_drill_args *a, struct mu_drill_result *r, struct mu_err *e)
{
    char text[sizeof r->text + 128];
    int status = 0, verdict, at = 0;
    if (!mu_drill_start_ranks(a, "ranks", (int)MU_MAX(a->ranks, 2), r, &status))
        return MU_OK;
    if (status != 0 || !mu_drill_read(a, "ranks", text, sizeof text))
        return mu_fail(e, MU_EPEER, "the ranks ended with status %d: `muster bench` and mpirun by hand tell more",
                       status);
    if (sscanf(text, "%d %lf %lf %15s%n", &verdict, &r->value, &r->baseline, r->unit, &at) != 4 || text[at] != '\n')
        return mu_fail(e, MU_EINTERNAL, "what rank 0 wrote cannot be read");
    return mu_drill_say(r, (enum mu_drill_verdict)verdict, "%s", text + at + 1);
}

const struct mu_drill mu_drill_ranks = {.name = "ranks", .deadline_s = 120, .run = run, .rank = rank_part};
