/* collective_all_reduce.c - one value of all ranks' values: the tree in which every rank is a leaf */
#include "base/check.h"
#include "comm/comm_int.h"

int mu_comm_in_all_reduce(struct mu_comm *c, void *p, int64_t n, enum mu_reduce op, struct mu_err *e)
{
    if (c->size == 1)
        return MU_OK;
    return mu_comm_in_tree(c, &c->by_rank, op, p, p, n, e);
}

int mu_comm_all_reduce(struct mu_comm *c, void *p, int64_t n, enum mu_reduce op, struct mu_err *e)
{
    if (n < 0)
        return mu_fail(e, MU_EINVAL, "group %s: all_reduce of %lld elements", c->name, (long long)n);
    MU_TRY_RETURN(mu_comm_begin(c, "all_reduce", e));
    return mu_comm_end(c, mu_comm_in_all_reduce(c, p, n, op, e));
}
