/* test_alike.c - replicas of a node hold one copy of their weights, and copies of their own where that cannot be
 *
 * That the numbers are the same bits on every layout is test_ranks_golden.c's; here it is how much memory is taken,
 * what the bill says of it, and what happens when the block cannot be had or a rank dies while it is packed. */
#include "xt.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "comm/fake/fake.h"
#include "plan/bill.h"
#include "tensor/device.h"
#include <muster/engine.h>

#define TINY      "models/muster-llama-tiny"
#define RANKS_MAX 8

struct asked {
    const char *model, *layout;
    int ranks, per_node;     /* per_node 0: all on one */
    size_t shared_max;       /* bytes of a block of shared memory; 0: any */
    bool has_foreign_device; /* one that reads memory of its own only */
    struct mu_fake_order order;
    /* told: */
    int rc[RANKS_MAX];
    struct mu_err errs[RANKS_MAX];
    bool is_open;        /* it was, on rank 0 */
    struct mu_bill bill; /* of the fullest rank */
    size_t used;         /* heap of all ranks with the engine open */
    double logprob;      /* of one request */
};

static const struct mu_bill_line *weights_line(const struct asked *a)
{
    XT_STREQ(a->bill.lines[0].name, "weights");
    return &a->bill.lines[0];
}

static int on_bill(void *arg, const struct mu_bill *bill)
{
    ((struct asked *)arg)->bill = *bill;
    return 0;
}

static struct mu_engine_opts opts_of(const char *model)
{
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    o.model = model;
    o.threads = 1;
    o.weights = "f32"; /* a copy is larger than the loader's windows */
    o.sequences_max = 4;
    o.rows_max = 16;
    o.context_max = 64;
    o.kv_tokens_max = 256;
    o.request_bytes = 1 << 20;
    o.queue_max = 16;
    return o;
}

static int ask_one(mu_engine *eng, double *logprob, struct mu_err *e)
{
    static const int32_t ids[] = {5, 36, 17, 48}, more[] = {9, 12};
    struct mu_request r = MU_REQUEST_INIT;
    struct mu_result *out = NULL;
    r.ids = ids;
    r.n_ids = 4;
    r.continuation = more;
    r.n_continuation = 2;
    MU_TRY_RETURN(mu_engine_run(eng, &r, 1, &out, e));
    int rc = out->code;
    if (rc != MU_OK && e)
        *e = out->err;
    *logprob = out->logprob_sum;
    mu_result_free(out);
    return rc;
}

static int drive(struct asked *a, struct mu_engine_opts *o, struct mu_err *e)
{
    mu_engine *eng = NULL;
    o->layout = a->layout;
    o->on_bill = on_bill;
    o->arg = a;
    MU_TRY_RETURN(mu_engine_open(&eng, o, e));
    a->is_open = true;
    a->used = mu_mem_bytes_used();
    int rc = ask_one(eng, &a->logprob, e);
    mu_engine_close(eng);
    return rc;
}

static int play_rank(struct asked *a, struct mu_comm *world, struct mu_err *e)
{
    struct mu_engine_opts o = opts_of(a->model);
    struct mu_device *d = NULL;
    struct mu_device_ops foreign;
    int rc = MU_OK;
    o.world = world;
    if (a->has_foreign_device) {
        MU_TRY(mu_device_open_default(&d, NULL, 1, e));
        foreign = *d->dev;
        foreign.adopt = NULL;
        d->dev = &foreign;
        o.device = d;
    }
    rc = mu_comm_rank(world) == 0 ? drive(a, &o, e) : mu_engine_follow(&o, e);
out:
    mu_device_close(d);
    return rc;
}

static int on_rank(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct asked *a = arg;
    int rank = mu_comm_rank(world);
    (void)e;
    a->errs[rank] = (struct mu_err)MU_ERR_INIT;
    a->rc[rank] = play_rank(a, world, &a->errs[rank]);
    return MU_OK;
}

static void ask(struct asked *a)
{
    struct mu_fake_opts_comm o = {.comm.timeout_ns = 60000000000ll,
                                  .ranks_per_node = a->per_node,
                                  .shared_bytes_max = a->shared_max,
                                  .orders = &a->order,
                                  .n_orders = a->order.fault != MU_FAKE_NONE};
    struct mu_fake_world *w = NULL;
    struct mu_err err = MU_ERR_INIT;
    size_t before = mu_mem_bytes_used();
    XT_OK(mu_fake_world_open(&w, a->ranks, &o, &err));
    mu_fake_world_run(w, on_rank, a, NULL, NULL);
    mu_fake_world_close(w);
    XT_EQ(mu_mem_bytes_used(), before);
}

static void ask_well(struct asked *a)
{
    ask(a);
    for (int r = 0; r < a->ranks; r++)
        XT_CHECKF(a->rc[r] == MU_OK, "%s, rank %d: %s", a->layout, r, a->errs[r].text);
}

static double one_rank(const char *model)
{
    struct mu_engine_opts o = opts_of(model);
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    double logprob = 0;
    XT_OK(mu_engine_open(&eng, &o, &err));
    XT_OK(ask_one(eng, &logprob, &err));
    mu_engine_close(eng);
    return logprob;
}

/* ---- one copy ---- */

/* The same layout with each replica on a node of its own, and all of them on one: all copies of the weights but one
 * are spared. The fullest rank's line tells of replicas of one rank what a copy takes. */
static void check_sharing(const char *model, const char *layout, int replicas, int each)
{
    struct asked apart = {.model = model, .layout = layout, .ranks = replicas * each, .per_node = each};
    struct asked together = apart;
    char want[40];
    together.per_node = 0;
    ask_well(&apart);
    ask_well(&together);
    const struct mu_bill_line *whole = weights_line(&apart), *share = weights_line(&together);
    XT_CHECKF(share->bytes == (whole->bytes + (size_t)replicas - 1) / (size_t)replicas, "%s: %zu of %zu", layout,
              share->bytes, whole->bytes);
    snprintf(want, sizeof want, "one copy for %d ranks", replicas);
    XT_CHECKF(strstr(share->note, want) && !strstr(whole->note, "copy"), "%s: %s", layout, share->note);
    size_t spared = apart.used > together.used ? apart.used - together.used : 0;
    size_t least = whole->bytes * (size_t)(replicas - 1) / 10 * 9;
    XT_CHECKF(spared >= least, "%s: %zu bytes spared, at least %zu expected", layout, spared, least);
    double calm = one_rank(model);
    XT_CHECKF(memcmp(&together.logprob, &calm, sizeof calm) == 0, "%s: %a, not %a", layout, together.logprob, calm);
}

XT_TEST(replicas_of_a_node_hold_one_copy)
{
    check_sharing(TINY, "dp=2", 2, 1);
    check_sharing(TINY, "dp=3", 3, 1);
    check_sharing(TINY, "tp=2,dp=2", 2, 2);
    check_sharing(TINY, "pp=2,dp=2", 2, 2);
    check_sharing("models/muster-dsv3-tiny", "dp=2", 2, 1);
    check_sharing("models/muster-dsv3-tiny", "dp=4,ep=2", 2, 2);
}

/* Two replicas on the first node, one on the second: that one has its own, and is the fullest. */
XT_TEST(a_replica_alone_on_its_node_has_its_own_copy)
{
    struct asked a = {.model = TINY, .layout = "dp=3", .ranks = 3, .per_node = 2}, own = a;
    double calm = one_rank(TINY);
    own.per_node = 1;
    ask_well(&a);
    ask_well(&own);
    XT_EQ(weights_line(&a)->bytes, weights_line(&own)->bytes);
    XT_CHECK(own.used > a.used + weights_line(&own)->bytes / 10 * 9);
    XT_CHECK(memcmp(&a.logprob, &calm, sizeof calm) == 0);
}

/* ---- copies of their own ---- */

static struct {
    char line[400];
    int n;
} warned;

static void on_log(void *arg, enum mu_log_level level, const char *line)
{
    (void)arg;
    if (level != MU_LOG_WARN)
        return;
    warned.n++;
    snprintf(warned.line, sizeof warned.line, "%s", line);
}

static void ask_listening(struct asked *a)
{
    warned.n = 0;
    warned.line[0] = '\0';
    mu_log_sink_set(on_log, NULL);
    ask(a);
    mu_log_sink_set(NULL, NULL);
    for (int r = 0; r < a->ranks; r++)
        XT_CHECKF(a->rc[r] == MU_OK, "%s, rank %d: %s", a->layout, r, a->errs[r].text);
}

XT_TEST(a_node_without_room_for_the_block_says_so_and_goes_on)
{
    struct asked own = {.model = TINY, .layout = "tp=2,dp=2", .ranks = 4, .per_node = 2};
    double calm = one_rank(TINY);
    ask_well(&own);
    struct asked a = own;
    a.per_node = 0;
    a.shared_max = weights_line(&own)->bytes - 1; /* windows of the loader are smaller */
    ask_listening(&a);
    XT_EQ(warned.n, 1);
    XT_CHECKF(strstr(warned.line, "copy of the weights of its own") && strstr(warned.line, "bytes of shared memory"),
              "%s", warned.line);
    XT_EQ(weights_line(&a)->bytes, weights_line(&own)->bytes);
    XT_STREQ(weights_line(&a)->note, weights_line(&own)->note);
    XT_CHECK(memcmp(&a.logprob, &calm, sizeof calm) == 0);
}

XT_TEST(a_device_with_memory_of_its_own_keeps_its_copy)
{
    struct asked a = {.model = TINY, .layout = "dp=2", .ranks = 2, .has_foreign_device = true};
    double calm = one_rank(TINY);
    ask_listening(&a);
    XT_EQ(warned.n, 0);
    XT_CHECKF(!strstr(weights_line(&a)->note, "copy"), "%s", weights_line(&a)->note);
    XT_CHECK(memcmp(&a.logprob, &calm, sizeof calm) == 0);
}

/* ---- ranks that die ---- */

/* Whenever a rank dies while the engine opens, all others end and name it; once it is open, the other replica goes on
 * with the weights. Nothing is left either way (ask). Returns whether the fault came about before the end. */
static bool check_death(const char *layout, int ranks, int rank, uint64_t at, double calm, int *n_after)
{
    struct asked a = {.model = "tests/golden/llama2", .layout = layout, .ranks = ranks};
    char name[16];
    a.order = (struct mu_fake_order){.fault = MU_FAKE_KILL, .rank = rank, .at_call = at};
    warned.n = 0;
    mu_log_sink_set(on_log, NULL); /* a lost replica is told, which is not what is looked at */
    ask(&a);
    mu_log_sink_set(NULL, NULL);
    if (a.rc[rank] == MU_OK)
        return false;
    snprintf(name, sizeof name, "rank %d", rank);
    for (int r = 0; r < ranks && !a.is_open; r++) {
        XT_CHECKF(a.rc[r] != MU_OK, "%s, rank %d killed at call %d: rank %d ends well", layout, rank, (int)at, r);
        XT_CHECKF(r == rank || strstr(a.errs[r].text, name), "%s, rank %d killed at call %d: rank %d says %s", layout,
                  rank, (int)at, r, a.errs[r].text);
    }
    if (a.is_open && rank >= ranks / 2) {
        XT_CHECKF(a.rc[0] == MU_OK, "%s, rank %d killed at call %d: %s", layout, rank, (int)at, a.errs[0].text);
        XT_CHECKF(memcmp(&a.logprob, &calm, sizeof calm) == 0, "%s: %a, not %a", layout, a.logprob, calm);
        ++*n_after;
    }
    return true;
}

XT_TEST(a_rank_that_dies_takes_no_weights_with_it)
{
    double calm = one_rank("tests/golden/llama2");
    static const struct {
        const char *layout;
        int ranks;
    } cases[] = {{"dp=2", 2}, {"tp=2,dp=2", 4}};
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        int n = 0, n_after = 0;
        for (int rank = 0; rank < cases[i].ranks; rank++)
            for (uint64_t at = 1; check_death(cases[i].layout, cases[i].ranks, rank, at, calm, &n_after) && at < 2000;
                 at += (uint64_t)cases[i].ranks / 2 * XT_STRIDE)
                n++;
        xt_note("%s: %d deaths, %d of them with the engine open", cases[i].layout, n, n_after);
        XT_CHECK(n > 20 / XT_STRIDE);
    }
}
