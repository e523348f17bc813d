/* tree_sum.c - a sum over the tree in two steps (tree.h)
 *
 * Roots leave as soon as their rank has them, and go to everybody: a sum that is cut into slices would have to come
 * back from ranks that may be late with theirs. */
#include <string.h>

#include "base/check.h"
#include "comm/comm_int.h"

static int n_roots(const struct mu_tree *t, int rank)
{
    return t->first[rank + 1] - t->first[rank];
}

static float *roots_of(const struct mu_tree_sum *s, int rank)
{
    return s->roots + s->t->first[rank] * s->n;
}

static size_t bytes_of(const struct mu_tree_sum *s, int rank)
{
    return (size_t)n_roots(s->t, rank) * (size_t)s->n * sizeof(float);
}

/* What comes is awaited before what goes. */
static int post(struct mu_tree_sum *s, struct mu_err *e)
{
    struct mu_comm *c = s->c;
    for (int i = 1; i < c->size; i++) {
        int from = (c->rank - i + c->size) % c->size;
        if (bytes_of(s, from) == 0)
            continue;
        MU_TRY_RETURN(mu_comm_post_recv(&s->op[s->n_ops], c, from, MU_COMM_TAG_COLLECTIVE, roots_of(s, from),
                                        bytes_of(s, from), e));
        s->n_ops++;
    }
    for (int i = 1; i < c->size && bytes_of(s, c->rank) > 0; i++) {
        MU_TRY_RETURN(mu_comm_post_send(&s->op[s->n_ops], c, (c->rank + i) % c->size, MU_COMM_TAG_COLLECTIVE,
                                        roots_of(s, c->rank), bytes_of(s, c->rank), e));
        s->n_ops++;
    }
    return MU_OK;
}

int mu_tree_start(struct mu_tree_sum *s, struct mu_comm *c, const struct mu_tree *t, float *roots, int64_t n,
                  struct mu_err *e)
{
    *s = (struct mu_tree_sum){.c = c, .t = t, .roots = roots, .n = n};
    if (n < 0 || c->size > MU_TREE_EARLY_RANKS || !mu_comm_is_tree(t, c->size))
        return mu_fail(e, MU_EINVAL, "group %s: a sum in two steps over %d ranks (at most %d) and %d leaves", c->name,
                       c->size, MU_TREE_EARLY_RANKS, t->n);
    MU_TRY_RETURN(mu_comm_begin(c, "tree_start", e));
    int rc = post(s, e);
    if (rc != MU_OK)
        mu_tree_drop(s);
    return mu_comm_end(c, rc);
}

int mu_tree_finish(struct mu_tree_sum *s, float *y, struct mu_err *e)
{
    struct mu_fold f = {.op = MU_REDUCE_SUM_F32, .root = s->t->root, .stride = (size_t)s->n * sizeof(float)};
    int rc = mu_comm_begin(s->c, "tree_finish", e), n = s->n_ops;
    if (rc != MU_OK) {
        mu_tree_drop(s);
        return rc;
    }
    s->n_ops = 0;
    rc = mu_comm_await(s->c, s->op, n, e);
    f.items = (unsigned char *)s->roots;
    if (rc == MU_OK && s->t->n > 0)
        mu_fold(&f, 0, 0, s->t->n, y, s->n);
    else if (rc == MU_OK)
        memset(y, 0, (size_t)s->n * sizeof *y);
    return mu_comm_end(s->c, rc);
}

void mu_tree_drop(struct mu_tree_sum *s)
{
    for (int i = 0; i < s->n_ops; i++)
        mu_comm_put_back(s->c->world, s->op[i]);
    s->n_ops = 0;
}
