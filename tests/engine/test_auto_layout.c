/* test_auto_layout.c - a layout that is left open is the planner's first that fits every rank, and says why; what an
 * engine predicts for the steps it ran
 *
 * Machines and clocks are made up: numbers by hand, none of this computer's. */
#include "xt.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "comm/ranks.h"
#include "plan/bill.h"
#include "plan/machine.h"
#include <muster/engine.h>

#define MODEL     "tests/golden/qwen3"
#define RANKS_MAX 8

static struct mu_engine_opts small_opts(void)
{
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    o.model = MODEL;
    o.threads = 1;
    o.sequences_max = 8;
    o.rows_max = 96;
    o.context_max = 256;
    o.request_bytes = 1 << 20;
    return o;
}

/* A host whose cores read slowly and whose ranks reach each other in latency_s. */
static struct mu_machine host_of(double latency_s)
{
    struct mu_machine m;
    mu_machine_host(&m, 64e9, 1e9, 1e10, 1);
    m.device.launch_s = 0;
    m.inside.rate = 1e12;
    m.inside.latency_s = latency_s;
    return m;
}

/* ---- choosing ---- */

struct asked {
    struct mu_engine_opts opts; /* rank 0's; the others take its numbers */
    char layout[128], told[128], why[4096], error[MU_ERR_TEXT_MAX];
    size_t peak; /* of the bill */
    int64_t pages;
    int rc, n_told;
};

static void on_layout(void *arg, const char *layout, const char *reasons)
{
    struct asked *a = arg;
    a->n_told++;
    snprintf(a->told, sizeof a->told, "%s", layout);
    snprintf(a->why, sizeof a->why, "%s", reasons);
}

static int on_bill(void *arg, const struct mu_bill *bill)
{
    struct asked *a = arg;
    a->peak = bill->bytes_peak;
    return 0;
}

static int open_on_rank_0(struct asked *a, struct mu_comm *world, struct mu_err *e)
{
    struct mu_engine_opts o = a->opts;
    struct mu_engine_info info;
    mu_engine *eng = NULL;
    o.world = world;
    o.on_layout = on_layout;
    o.on_bill = on_bill;
    o.arg = a;
    MU_TRY_RETURN(mu_engine_open(&eng, &o, e));
    mu_engine_info(eng, &info);
    snprintf(a->layout, sizeof a->layout, "%s", info.layout);
    a->pages = info.kv_pages;
    mu_engine_close(eng);
    return MU_OK;
}

static int on_rank(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct asked *a = arg;
    struct mu_engine_opts o = small_opts();
    struct mu_err own = MU_ERR_INIT;
    (void)e;
    o.world = world;
    if (mu_comm_rank(world) > 0) {
        mu_engine_follow(&o, &own);
        return MU_OK;
    }
    a->rc = open_on_rank_0(a, world, &own);
    snprintf(a->error, sizeof a->error, "%s", own.text);
    return MU_OK;
}

static void ask(struct asked *a, int ranks)
{
    struct mu_fake_opts_comm o = {.comm = {.timeout_ns = 60000000000ll}, .ranks_per_node = ranks};
    run_ranks(ranks, &o, on_rank, a);
}

static struct asked asked_of(const struct mu_machine *m, const char *layout)
{
    struct asked a = {.opts = small_opts()};
    a.opts.machine = m;
    a.opts.layout = layout;
    return a;
}

/* One request at a time: two ranks share it where they meet for nothing, and stay apart where a meeting takes long. */
XT_TEST(the_machine_decides_what_a_layout_is_worth)
{
    struct mu_machine near = host_of(0), far = host_of(0.5);
    struct asked a = asked_of(&near, "auto"), b = asked_of(&far, NULL);
    a.opts.work = b.opts.work = (struct mu_engine_work){.requests = 1, .prompt = 32, .output = 16};
    ask(&a, 2);
    XT_EQ(a.rc, MU_OK);
    XT_STREQ(a.layout, "tp=2");
    ask(&b, 2);
    XT_EQ(b.rc, MU_OK);
    XT_CHECKF(strstr(b.layout, "tp=1") != NULL && strstr(b.layout, "dp=2") != NULL, "%s", b.layout);
    XT_EQ(a.n_told, 1);
    XT_STREQ(a.told, a.layout);
    XT_CHECKF(strstr(a.why, "tp=2 is predicted to be the fastest") != NULL, "%s", a.why);
}

XT_TEST(a_layout_that_was_asked_for_is_taken_as_it_is)
{
    struct mu_machine far = host_of(0.5);
    struct asked a = asked_of(&far, "tp=2");
    ask(&a, 2);
    XT_EQ(a.rc, MU_OK);
    XT_STREQ(a.layout, "tp=2");
    XT_EQ(a.n_told, 0);
}

/* What the planner likes best does not fit with the cache that is asked for, which it does not know of: the real bill
 * decides, and that is said. */
XT_TEST(the_bill_of_every_rank_has_the_last_word)
{
    struct mu_machine far = host_of(0.5);
    struct asked whole = asked_of(&far, "tp=1,dp=2"), half = asked_of(&far, "tp=2"), open = asked_of(&far, "auto");
    whole.opts.kv_tokens_max = half.opts.kv_tokens_max = open.opts.kv_tokens_max = 1 << 18; /* tens of MiB */
    ask(&whole, 2);
    ask(&half, 2);
    XT_EQ(whole.rc, MU_OK);
    XT_EQ(half.rc, MU_OK);
    XT_CHECKF(whole.peak > half.peak + (32 << 20), "%zu and %zu", whole.peak, half.peak);
    open.opts.memory_bytes_max = (whole.peak + half.peak) / 2;
    ask(&open, 2);
    XT_EQ(open.rc, MU_OK);
    XT_CHECKF(strstr(open.layout, "dp=") == NULL, "%s", open.layout);
    XT_CHECKF(strstr(open.why, "dp=2 was passed over: rank 0 needs") != NULL, "%s", open.why);
    XT_CHECK(open.peak <= open.opts.memory_bytes_max);
}

/* Rank 0 alone knows the work; every rank has the cache that it fills, in whatever parts. */
XT_TEST(ranks_reserve_no_more_cache_than_the_work_fills)
{
    static const char *const layouts[] = {"tp=2", "pp=2", "tp=1,dp=2"};
    for (size_t i = 0; i < MU_COUNT(layouts); i++) {
        struct mu_machine near = host_of(0);
        struct asked usual = asked_of(&near, layouts[i]), known = asked_of(&near, layouts[i]);
        int replicas = strstr(layouts[i], "dp=2") ? 2 : 1;
        known.opts.work = (struct mu_engine_work){.requests = 3, .prompt = 20, .longest = 30, .tokens = 60};
        ask(&usual, 2);
        ask(&known, 2);
        XT_CHECKF(usual.rc == MU_OK && known.rc == MU_OK, "%s: %s%s", layouts[i], usual.error, known.error);
        XT_EQ(known.pages, replicas * 6); /* 2 each */
        XT_CHECK(known.pages < usual.pages && known.peak < usual.peak);
    }
}

/* Numbers are never changed to make it fit; the sentence names what would. */
XT_TEST(what_does_not_fit_is_refused_with_the_ways_out)
{
    struct mu_machine far = host_of(0.5);
    struct asked a = asked_of(&far, "auto");
    a.opts.kv_tokens_max = 1 << 18;
    a.opts.memory_bytes_max = 48 << 20;
    ask(&a, 2);
    XT_EQ(a.rc, MU_ENOMEM);
    XT_CHECKF(strstr(a.error, "are needed and") != NULL && strstr(a.error, "KV cache") != NULL, "%s", a.error);
}

XT_TEST(odd_numbers_of_ranks_get_a_layout_too)
{
    struct mu_machine near = host_of(0);
    static const int ranks[] = {3, 5};
    for (size_t i = 0; i < MU_COUNT(ranks); i++) {
        struct asked a = asked_of(&near, "auto");
        ask(&a, ranks[i]);
        XT_CHECKF(a.rc == MU_OK && a.layout[0], "%d ranks: %s", ranks[i], a.error);
    }
}

/* ---- predicted against measured ---- */

static int advance(void *arg, const struct mu_token_event *ev)
{
    if (ev->id >= 0)
        mu_clock_fake_advance(arg, 2000000); /* inside the step that drew the token */
    return 0;
}

static struct mu_engine_seen see(const struct mu_machine *m, int n_tokens, double *one_step)
{
    struct mu_engine_opts o = small_opts();
    struct mu_engine_seen seen;
    struct mu_clock clock;
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    struct mu_result *result = NULL;
    const int32_t ids[] = {5, 6, 7, 8, 9, 10, 11, 12};
    struct mu_request r = MU_REQUEST_INIT;
    mu_clock_fake_init(&clock, 0);
    o.machine = m;
    o.clock = &clock;
    XT_OK(mu_engine_open(&eng, &o, &err));
    mu_engine_seen(eng, &seen);
    XT_CHECK(seen.steps == 0 && seen.predicted_s <= 0 && seen.measured_s <= 0);
    r.kind = MU_REQUEST_GENERATE;
    r.ids = ids, r.n_ids = (int)MU_COUNT(ids), r.max_tokens = n_tokens;
    r.ignore_eos = true;
    r.on_token = advance, r.on_token_arg = &clock;
    XT_OK(mu_engine_run(eng, &r, 1, &result, &err));
    mu_engine_seen(eng, &seen);
    *one_step = mu_engine_predict(eng, 1, 1, 8, 1);
    mu_result_free(result);
    mu_engine_close(eng);
    return seen;
}

/* The clock moves 2 ms a token and one token is drawn a step. */
XT_TEST(an_engine_holds_its_steps_against_the_machine)
{
    struct mu_machine slow = host_of(0), slower = slow;
    double step, step_slower, guessed;
    slower.device.memory_rate /= 1000;
    for (int r = 0; r < MU_RATE_N; r++)
        slower.device.flops[r] /= 1000;
    struct mu_engine_seen a = see(&slow, 10, &step), b = see(&slower, 10, &step_slower), c = see(NULL, 10, &guessed);
    XT_EQ(a.steps, 10);
    XT_EQ(a.rows, 8 + 9);
    XT_NEAR(a.measured_s, 0.020, 1e-9);
    XT_NEAR(b.predicted_s, 1000 * a.predicted_s, 1e-6 * b.predicted_s);
    XT_NEAR(step_slower, 1000 * step, 1e-6 * step_slower);
    XT_CHECKF(step > 0 && a.predicted_s > 9.9 * step && a.predicted_s < 30 * step, "%g of %g", a.predicted_s, step);
    XT_CHECK(a.is_calibrated && b.is_calibrated && !c.is_calibrated);
    XT_CHECK(c.predicted_s > 0 && guessed > 0);
}

/* ---- the selector's numbers ---- */

static void keep_table(void *arg, const char *table)
{
    snprintf(arg, 4096, "%s", table);
}

/* 128 requests of which 8 run at a time; a small model in much memory. */
XT_TEST(the_selector_is_told_sizes_and_requests)
{
    struct mu_engine_opts o = small_opts();
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    char table[4096] = "";
    o.work.requests = 128;
    o.on_choice = keep_table;
    o.arg = table;
    XT_OK(mu_engine_open(&eng, &o, &err));
    mu_engine_close(eng);
    const char *row = strstr(table, "> light");
    XT_CHECKF(row != NULL, "%s", table);
    double memory = 0, context = 0, batch = 0;
    XT_EQ(sscanf(row, "> light yes %lf %lf %lf", &memory, &context, &batch), 3);
    XT_NEAR(memory, 1, 0.01);
    XT_NEAR(context, 1, 0);
    XT_NEAR(batch, 8.0 / 128, 0.005);
}

/* Too little memory is the bill's to refuse, with its ways out, whether the table is looked at or not. */
XT_TEST(the_selector_leaves_refusing_to_the_bill)
{
    struct mu_engine_opts o = small_opts();
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    char table[4096] = "";
    o.on_choice = keep_table;
    o.arg = table;
    o.memory_bytes_max = 4096;
    XT_FAILS(mu_engine_open(&eng, &o, &err), MU_ENOMEM, "are needed and");
    XT_CHECK(table[0] != '\0');
}
