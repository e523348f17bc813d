/* fake_shared.c - memory of a node: threads see all of it anyway */
#include <stdatomic.h>

#include "base/check.h"
#include "base/mem.h"
#include "comm/fake/fake_int.h"

struct block {
    atomic_int users;
};

/* The head takes a cache line, so that what follows keeps the heap's alignment. */
static void *start_of(struct block *b)
{
    return (unsigned char *)b + MU_MEM_ALIGN;
}

int mu_fake_shared_open(struct mu_comm *c, size_t bytes, void **p, void **own, struct mu_err *e)
{
    struct block *b = NULL;
    if (c->rank == 0) {
        b = bytes <= SIZE_MAX - MU_MEM_ALIGN ? mu_calloc(1, bytes + MU_MEM_ALIGN) : NULL;
        if (b)
            atomic_init(&b->users, c->size);
    }
    int rc = mu_comm_in_broadcast(c, &b, sizeof b, 0, e);
    if (rc != MU_OK) {
        if (c->rank == 0)
            mu_free(b); /* a world that died while it began: nobody else uses the block */
        return rc;
    }
    if (!b)
        return mu_fail_nomem(e, bytes, "shared memory");
    *own = b;
    *p = start_of(b);
    return MU_OK;
}

void mu_fake_shared_close(struct mu_comm_world *w, void *p, size_t bytes, void *own)
{
    struct block *b = own;
    (void)w, (void)p, (void)bytes;
    if (atomic_fetch_sub(&b->users, 1) == 1)
        mu_free(b);
}
