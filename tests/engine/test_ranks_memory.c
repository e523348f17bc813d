/* test_ranks_memory.c - a rank that has no memory for its part, whichever allocation of its opening fails: all ranks
 * end, rank 0 tells what was missing and where, and nothing is left
 *
 * tests/eval/faults_start.sh looks at the same with processes and a limit of the system's. */
#include "xt.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "comm/fake/fake.h"
#include <muster/engine.h>

#define RANKS_MAX   4
#define OPENING_MAX 5000 /* allocations of a rank while it opens, far beyond what there are */
#define DEADLINE_NS 20000000000ll
#define STEP        (XT_ASAN ? 2 : XT_STRIDE)

struct opening {
    const char *model, *layout;
    int ranks, per_node;
    int poor; /* this rank's nth allocation fails */
    uint64_t nth;
    /* told: */
    bool is_open; /* on rank 0, and so on all */
    int rc[RANKS_MAX];
    struct mu_err errs[RANKS_MAX];
};

static int play_rank(struct opening *t, struct mu_comm *world, struct mu_err *e)
{
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    mu_engine *eng = NULL;
    o.world = world;
    o.model = t->model;
    o.threads = 1; /* all allocations are the rank's own */
    o.sequences_max = 4;
    o.rows_max = 16;
    o.kv_tokens_max = 256;
    if (mu_comm_rank(world) > 0)
        return mu_engine_follow(&o, e);
    o.layout = t->layout;
    int rc = mu_engine_open(&eng, &o, e);
    t->is_open = rc == MU_OK;
    mu_engine_close(eng);
    return rc;
}

/* A rank that has failed leaves the world as the program does: in good order, so that nobody hears of it by that. */
static int on_rank(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct opening *t = arg;
    int rank = mu_comm_rank(world);
    (void)e;
    if (rank == t->poor)
        mu_mem_fail_at(t->nth);
    t->rc[rank] = play_rank(t, world, &t->errs[rank]);
    mu_mem_fail_at(0);
    return MU_OK;
}

/* Returns whether the engine came to be open. */
static bool open_poorly(struct opening *t)
{
    struct mu_fake_opts_comm o = {.comm.timeout_ns = DEADLINE_NS, .ranks_per_node = t->per_node};
    struct mu_fake_world *w = NULL;
    struct mu_err err = MU_ERR_INIT;
    size_t before = mu_mem_bytes_used();
    t->is_open = false;
    for (int r = 0; r < t->ranks; r++)
        t->errs[r] = (struct mu_err)MU_ERR_INIT;
    XT_OK(mu_fake_world_open(&w, t->ranks, &o, &err));
    int64_t begin_ns = mu_now_ns(mu_clock_real());
    mu_fake_world_run(w, on_rank, t, NULL, NULL);
    int64_t took_ns = mu_now_ns(mu_clock_real()) - begin_ns;
    mu_fake_world_close(w);
    XT_CHECKF(took_ns < DEADLINE_NS, "%s, rank %d, allocation %d: the others waited for it", t->layout, t->poor,
              (int)t->nth);
    XT_CHECKF(mu_mem_bytes_used() == before, "%s, rank %d, allocation %d: %zu bytes are left", t->layout, t->poor,
              (int)t->nth, mu_mem_bytes_used() - before);
    return t->is_open;
}

/* Rank 0 names the rank, unless it is itself, and says what it was; whoever else speaks names no other. All end soon:
 * not by a deadline. */
static void check_ends(const struct opening *t)
{
    char name[16];
    snprintf(name, sizeof name, "rank %d ", t->poor);
    for (int r = 0; r < t->ranks; r++) {
        const char *said = t->errs[r].text;
        bool is_dismissed = t->poor == 0 && r > 0 && t->rc[r] == MU_OK;
        XT_CHECKF(t->rc[r] == MU_ENOMEM || t->rc[r] == MU_EPEER || is_dismissed,
                  "%s, rank %d, allocation %d: rank %d ends with %s: %s", t->layout, t->poor, (int)t->nth, r,
                  mu_code_name(t->rc[r]), said);
        XT_CHECKF(r == t->poor || (said[0] == '\0' && r > 0) || strstr(said, name),
                  "%s, rank %d, allocation %d: rank %d says %s", t->layout, t->poor, (int)t->nth, r, said);
    }
    XT_CHECKF(strstr(t->errs[0].text, "memory"), "%s, rank %d, allocation %d: %s", t->layout, t->poor, (int)t->nth,
              t->errs[0].text);
}

static void check_poor(const char *model, const char *layout, int ranks, int per_node, int poor)
{
    struct opening t = {.model = model, .layout = layout, .ranks = ranks, .per_node = per_node, .poor = poor};
    for (t.nth = 1; !open_poorly(&t); t.nth += STEP) {
        check_ends(&t);
        XT_CHECK(t.nth < OPENING_MAX);
    }
    XT_CHECKF(t.nth > 20, "only %d allocations", (int)t.nth);
    xt_note("%s, rank %d: fewer than %d allocations", layout, poor, (int)t.nth);
}

XT_TEST(a_rank_without_memory_ends_all_and_is_named)
{
    check_poor("tests/golden/llama2", "tp=2", 2, 0, 1);
    check_poor("tests/golden/llama2", "tp=2", 2, 0, 0);
    check_poor("tests/golden/llama2", "pp=2", 2, 1, 1); /* each on a node of its own */
    check_poor("tests/golden/llama2", "tp=2,dp=2", 4, 2, 2);
    check_poor("tests/golden/mixtral", "dp=3,ep=3", 3, 0, 2);
    check_poor("tests/golden/llama2", "tp=2,dp=2", 4, 2, 0);
}
