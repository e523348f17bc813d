/* comm_checks.h - what every backend's ranks do to check each other: bodies for threads and processes alike
 *
 * Every collective against what it means, computed plainly by every rank for itself: the bytes a rank brings are a
 * function of (call, rank, place), so each rank can work out what any other brought. */
#ifndef TEST_COMM_CHECKS_H
#define TEST_COMM_CHECKS_H

#include "base/mem.h"
#include "comm/comm.h"
#include "ranks.h"

#define RANKS_MAX 9

struct setting {
    struct mu_fake_opts_comm o;
    uint64_t seed;
    int n_calls;
    bool is_large;
};

static inline unsigned char byte_of(uint64_t call, int rank, size_t i)
{
    uint64_t z = call * 1000003u + (uint64_t)rank * 7919u + i * 31u + (i >> 8) * 17u;
    return (unsigned char)(z ^ z >> 11);
}

static inline void fill(unsigned char *p, size_t n, uint64_t call, int rank, size_t from)
{
    for (size_t i = 0; i < n; i++)
        p[i] = byte_of(call, rank, from + i);
}

static inline bool holds(const unsigned char *p, size_t n, uint64_t call, int rank, size_t from)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != byte_of(call, rank, from + i))
            return false;
    return true;
}

/* Sizes: nothing, a few, odd, around what is called short, above the scratch. */
static inline size_t some_size(uint64_t *s, bool is_large)
{
    static const size_t small[] = {0, 0, 1, 2, 7, 64, 333, 2047, 2048, 2049, 5000};
    static const size_t large[] = {0, 1, 30000, 65535, 65537, 200001};
    uint64_t z = xt_rand(s);
    return is_large ? large[z % MU_COUNT(large)] : small[z % MU_COUNT(small)];
}

/* One rank's side of a sequence of calls. s is the same on all ranks and moves alike. */
struct side {
    struct mu_comm *c;
    uint64_t s, call;
    bool is_large;
    unsigned char *a, *b; /* big enough for anything */
};

static inline int try_broadcast(struct side *t, struct mu_err *e)
{
    size_t n = some_size(&t->s, t->is_large);
    int root = (int)(xt_rand(&t->s) % (uint64_t)mu_comm_size(t->c));
    memset(t->a, 0, n);
    if (mu_comm_rank(t->c) == root)
        fill(t->a, n, t->call, root, 0);
    MU_TRY_RETURN(mu_comm_broadcast(t->c, t->a, n, root, e));
    TRUE_OR_FAIL(holds(t->a, n, t->call, root, 0));
    return MU_OK;
}

static inline int check_pieces(const unsigned char *all, const size_t *bytes, int size, uint64_t call, struct mu_err *e)
{
    for (int r = 0; r < size; all += bytes[r++])
        TRUE_OR_FAIL(holds(all, bytes[r], call, r, 0));
    return MU_OK;
}

static inline int try_all_gather(struct side *t, struct mu_err *e)
{
    size_t bytes[RANKS_MAX], at = 0;
    int me = mu_comm_rank(t->c), size = mu_comm_size(t->c);
    bool is_even = xt_rand(&t->s) % 2;
    size_t same = some_size(&t->s, t->is_large);
    for (int r = 0; r < size; r++) {
        bytes[r] = is_even ? same : some_size(&t->s, t->is_large);
        at += r < me ? bytes[r] : 0;
    }
    memset(t->a, 0, at);
    fill(t->a + at, bytes[me], t->call, me, 0);
    MU_TRY_RETURN(mu_comm_all_gather(t->c, t->a, bytes, e));
    return check_pieces(t->a, bytes, size, t->call, e);
}

static inline int try_gather(struct side *t, struct mu_err *e)
{
    size_t bytes[RANKS_MAX], at = 0;
    int me = mu_comm_rank(t->c), size = mu_comm_size(t->c);
    int root = (int)(xt_rand(&t->s) % (uint64_t)size);
    bool is_in_place = xt_rand(&t->s) % 2;
    for (int r = 0; r < size; r++) {
        bytes[r] = some_size(&t->s, t->is_large);
        at += r < me ? bytes[r] : 0;
    }
    unsigned char *own = me == root && is_in_place ? t->a + at : t->b;
    fill(own, bytes[me], t->call, me, 0);
    MU_TRY_RETURN(mu_comm_gather(t->c, me == root ? t->a : NULL, own, bytes, root, e));
    return me == root ? check_pieces(t->a, bytes, size, t->call, e) : MU_OK;
}

/* What rank i sends to j lies at j * 4096 of its stream. */
static inline int try_all_to_all(struct side *t, struct mu_err *e)
{
    size_t count[RANKS_MAX][RANKS_MAX], send[RANKS_MAX], recv[RANKS_MAX], at = 0;
    int me = mu_comm_rank(t->c), size = mu_comm_size(t->c);
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++)
            count[i][j] = some_size(&t->s, t->is_large);
    for (int r = 0; r < size; at += send[r++]) {
        send[r] = count[me][r];
        recv[r] = count[r][me];
        fill(t->a + at, send[r], t->call, me, (size_t)r * 4096);
    }
    MU_TRY_RETURN(mu_comm_all_to_all(t->c, t->a, send, t->b, recv, e));
    at = 0;
    for (int r = 0; r < size; at += recv[r++])
        TRUE_OR_FAIL(holds(t->b + at, recv[r], t->call, r, (size_t)me * 4096));
    return MU_OK;
}

/* ---- reductions ---- */

static inline int64_t int_of(uint64_t call, int rank, int64_t i)
{
    uint64_t z = call * 77 + (uint64_t)rank * 1315423911u + (uint64_t)i * 2654435761u;
    return (int64_t)(xt_rand(&z) >> (rank % 3 * 10));
}

/* Magnitudes far apart, so that any other order of adding shows. */
static inline float float_of(uint64_t call, int rank, int64_t i)
{
    uint64_t z = (uint64_t)int_of(call, rank, i);
    float x = xt_randf(&z);
    return ldexpf(x, (int)(z % 40) - 20);
}

/* The definition: sum(lo, hi) = sum(lo, mid) + sum(mid, hi), mid = lo + ceil of half. */
static inline float tree_of(uint64_t call, int lo, int hi, int64_t i)
{
    if (hi - lo == 1)
        return float_of(call, lo, i);
    int mid = lo + (hi - lo + 1) / 2;
    float left = tree_of(call, lo, mid, i), right = tree_of(call, mid, hi, i);
    return left + right;
}

static inline void put_value(void *p, int64_t i, enum mu_reduce op, uint64_t call, int rank, int64_t from)
{
    if (op == MU_REDUCE_SUM_F32)
        ((float *)p)[i] = float_of(call, rank, from + i);
    else if (op == MU_REDUCE_OR_U32)
        ((uint32_t *)p)[i] = (uint32_t)int_of(call, rank, from + i);
    else
        ((int64_t *)p)[i] = int_of(call, rank, from + i);
}

static inline bool is_reduced(const void *p, int64_t i, enum mu_reduce op, uint64_t call, int size, int64_t from)
{
    uint64_t sum = 0, bits = 0;
    int64_t max = INT64_MIN;
    for (int r = 0; r < size; r++) {
        int64_t v = int_of(call, r, from + i);
        sum += (uint64_t)v;
        bits |= (uint64_t)v;
        max = MU_MAX(max, v);
    }
    if (op == MU_REDUCE_SUM_F32) {
        float want = tree_of(call, 0, size, from + i);
        return memcmp(&want, (const float *)p + i, sizeof want) == 0;
    }
    if (op == MU_REDUCE_OR_U32)
        return ((const uint32_t *)p)[i] == (uint32_t)bits;
    return ((const int64_t *)p)[i] == (op == MU_REDUCE_SUM_I64 ? (int64_t)sum : max);
}

static inline int try_all_reduce(struct side *t, struct mu_err *e)
{
    int64_t n = (int64_t)(some_size(&t->s, t->is_large) / 4);
    enum mu_reduce op = (enum mu_reduce)(xt_rand(&t->s) % 4);
    for (int64_t i = 0; i < n; i++)
        put_value(t->a, i, op, t->call, mu_comm_rank(t->c), 0);
    MU_TRY_RETURN(mu_comm_all_reduce(t->c, t->a, n, op, e));
    for (int64_t i = 0; i < n; i++)
        TRUE_OR_FAIL(is_reduced(t->a, i, op, t->call, mu_comm_size(t->c), 0));
    return MU_OK;
}

static inline int try_reduce_scatter(struct side *t, struct mu_err *e)
{
    int64_t n[RANKS_MAX], sum = 0, mine = 0;
    int me = mu_comm_rank(t->c), size = mu_comm_size(t->c);
    enum mu_reduce op = (enum mu_reduce)(xt_rand(&t->s) % 4);
    for (int r = 0; r < size; r++) {
        n[r] = (int64_t)(some_size(&t->s, t->is_large) / 8);
        mine += r < me ? n[r] : 0;
        sum += n[r];
    }
    for (int64_t i = 0; i < sum; i++)
        put_value(t->a, i, op, t->call, me, 0);
    MU_TRY_RETURN(mu_comm_reduce_scatter(t->c, t->b, t->a, n, op, e));
    for (int64_t i = 0; i < n[me]; i++)
        TRUE_OR_FAIL(is_reduced(t->b, i, op, t->call, size, mine));
    for (int64_t i = 0; i < sum; i++) {
        put_value(t->b, 0, op, t->call, me, i);
        size_t width = op == MU_REDUCE_SUM_F32 || op == MU_REDUCE_OR_U32 ? 4 : 8;
        TRUE_OR_FAIL(memcmp(t->b, t->a + (size_t)i * width, width) == 0); /* in is left as it is */
    }
    return MU_OK;
}

/* Round a ring, several messages of two tags at once, waited for in another order. */
static inline int try_messages(struct side *t, struct mu_err *e)
{
    struct mu_comm_op *ops[8] = {NULL};
    int me = mu_comm_rank(t->c), size = mu_comm_size(t->c), next = (me + 1) % size, last = (me - 1 + size) % size;
    size_t n = some_size(&t->s, t->is_large), room = n + 1;
    int rc = MU_OK;
    for (int i = 0; i < 4; i++) {
        fill(t->a + (size_t)i * room, n, t->call, me, (size_t)i);
        MU_TRY(mu_comm_start_send(&ops[i], t->c, next, i % 2, t->a + (size_t)i * room, n, e));
    }
    for (int i = 3; i >= 0; i--) /* of one tag in order: 1 before 3, 0 before 2 */
        MU_TRY(mu_comm_start_recv(&ops[4 + i], t->c, last, 1 - i % 2, t->b + (size_t)i * room, n, e));
out:
    for (int i = 0; i < 8; i++) {
        int rc_wait = mu_comm_wait(ops[(i * 3 + 1) % 8], rc ? NULL : e);
        rc = rc ? rc : rc_wait;
    }
    static const size_t sent[4] = {3, 2, 1, 0};
    for (int i = 0; i < 4 && rc == MU_OK; i++)
        TRUE_OR_FAIL(holds(t->b + (size_t)i * room, n, t->call, last, sent[i]));
    return rc;
}

static inline int try_barrier(struct side *t, struct mu_err *e)
{
    return mu_comm_barrier(t->c, e);
}

typedef int (*try_fn)(struct side *t, struct mu_err *e);
static const try_fn tries[] = {try_broadcast,  try_all_gather,     try_gather,   try_all_to_all,
                               try_all_reduce, try_reduce_scatter, try_messages, try_barrier};

#define SIDE_BYTES ((size_t)RANKS_MAX * 200001 + 4096)

static inline int play(const struct setting *s, struct mu_comm *c, uint64_t seed, struct mu_err *e)
{
    struct side t = {.c = c, .s = seed, .is_large = s->is_large};
    int rc = MU_OK;
    t.a = mu_alloc(SIDE_BYTES);
    t.b = mu_alloc(SIDE_BYTES);
    for (int i = 0; i < s->n_calls; i++) {
        t.call = xt_rand(&t.s);
        MU_TRY(tries[t.call % MU_COUNT(tries)](&t, e));
    }
out:
    mu_free(t.a);
    mu_free(t.b);
    return rc;
}

static inline int play_world(void *arg, struct mu_comm *world, struct mu_err *e)
{
    const struct setting *s = arg;
    return play(s, world, s->seed, e);
}

/* Sub-groups of sub-groups: in each, members are where key and rank say, and calls work while others run theirs. */
static inline int play_groups(void *arg, struct mu_comm *world, struct mu_err *e)
{
    const struct setting *s = arg;
    struct mu_comm *half = NULL, *third = NULL, *mixed = NULL, *none = world;
    int me = mu_comm_rank(world), rc = MU_OK;
    MU_TRY(mu_comm_split(&half, world, me % 2, -me, "half", e)); /* the other way round */
    SAME(mu_comm_world_rank(half, mu_comm_rank(half)), me);
    for (int r = 1; r < mu_comm_size(half); r++)
        TRUE_OR_FAIL(mu_comm_world_rank(half, r) == mu_comm_world_rank(half, r - 1) - 2);
    MU_TRY(mu_comm_split(&third, half, mu_comm_rank(half) % 3, 0, "third", e));
    TRUE_OR_FAIL(strcmp(mu_comm_name(third), "third") == 0);
    MU_TRY(mu_comm_split(&none, world, me == 0 ? 0 : -1, 0, "none", e));
    TRUE_OR_FAIL((none != NULL) == (me == 0));
    MU_TRY(mu_comm_split(&mixed, world, 7, me % 3, "mixed", e)); /* nodes' ranks are no neighbours */
    MU_TRY(play(s, mixed, s->seed, e));
    MU_TRY(play(s, third, s->seed + (uint64_t)mu_comm_world_rank(third, 0), e));
    MU_TRY(play(s, half, s->seed + (uint64_t)(me % 2), e));
    MU_TRY(play(s, world, s->seed, e));
out:
    mu_comm_close(none == world ? NULL : none);
    mu_comm_close(mixed);
    mu_comm_close(third);
    mu_comm_close(half);
    return rc;
}

/* A group that is closed makes room for the next: more than MU_COMM_GROUPS_MAX one after the other, not at once. */
static inline int many_groups(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct mu_comm *open[MU_COMM_GROUPS_MAX] = {NULL};
    int n = 0, rc = MU_OK;
    (void)arg;
    for (int i = 0; i < 2 * MU_COMM_GROUPS_MAX; i++) {
        MU_TRY(mu_comm_split(&open[0], world, i % 2, 0, "short-lived", e));
        MU_TRY(mu_comm_barrier(open[0], e));
        mu_comm_close(open[0]);
        open[0] = NULL;
    }
    for (n = 0; n < MU_COMM_GROUPS_MAX - 1; n++)
        MU_TRY(mu_comm_split(&open[n], world, 0, 0, "lasting", e));
    rc = mu_comm_split(&open[n], world, 0, 0, "too many", e);
    rc = rc == MU_ELIMIT && strstr(e->text, "too many") ? MU_OK : mu_fail(e, MU_EINTERNAL, "no limit: %s", e->text);
    MU_TRY(rc);
    MU_TRY(mu_comm_barrier(world, e)); /* refused, not dead */
out:
    for (int i = 0; i < MU_COMM_GROUPS_MAX; i++)
        mu_comm_close(open[i]);
    return rc;
}

/* One block that all see. */
static inline int share(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct mu_comm_shared *s = NULL;
    void *p = NULL;
    int me = mu_comm_rank(world), size = mu_comm_size(world), rc = MU_OK;
    (void)arg;
    MU_TRY(mu_comm_shared_open(&s, world, 100 * sizeof(int), &p, e));
    TRUE_OR_FAIL((uintptr_t)p % 64 == 0 && ((int *)p)[99] == 0);
    MU_TRY(mu_comm_barrier(world, e));
    ((int *)p)[me] = me + 1;
    MU_TRY(mu_comm_barrier(world, e));
    for (int r = 0; r < size; r++)
        SAME(((int *)p)[r], r + 1);
out:
    mu_comm_shared_close(s);
    return rc;
}

#endif
