/* fake_shared.c - memory of a node: threads see all of it anyway
 *
 * The last user frees a block. In a world that dies while a block is handed round nobody knows who has it: such a one
 * is freed with the world. */
#include "base/check.h"
#include "base/mem.h"
#include "comm/fake/fake_int.h"

_Static_assert(sizeof(struct mu_fake_block) <= MU_MEM_ALIGN, "what follows keeps the heap's alignment");

static struct mu_fake_world *world_of(struct mu_comm_world *w)
{
    return ((struct mu_fake_rank *)w)->world;
}

/* NULL: no memory. */
static struct mu_fake_block *make(struct mu_comm *c, size_t bytes)
{
    struct mu_fake_world *w = world_of(c->world);
    struct mu_fake_block *b = bytes <= SIZE_MAX - MU_MEM_ALIGN ? mu_calloc(1, bytes + MU_MEM_ALIGN) : NULL;
    if (!b)
        return NULL;
    pthread_mutex_lock(&w->lock);
    b->users = c->size;
    b->next = w->blocks;
    w->blocks = b;
    pthread_mutex_unlock(&w->lock);
    return b;
}

int mu_fake_shared_open(struct mu_comm *c, size_t bytes, void **p, void **own, struct mu_err *e)
{
    size_t most = world_of(c->world)->o.shared_bytes_max;
    struct mu_fake_block *b = NULL;
    if (most > 0 && bytes > most)
        return mu_fail(e, MU_ENOMEM, "%zu bytes of shared memory: a fake node has %zu for a block", bytes, most);
    if (c->rank == 0)
        b = make(c, bytes);
    MU_TRY_RETURN(mu_comm_in_broadcast(c, &b, sizeof b, 0, e));
    if (!b)
        return mu_fail_nomem(e, bytes, "shared memory");
    *own = b;
    *p = (unsigned char *)b + MU_MEM_ALIGN;
    return MU_OK;
}

void mu_fake_shared_close(struct mu_comm_world *w, void *p, size_t bytes, void *own)
{
    struct mu_fake_world *world = world_of(w);
    struct mu_fake_block *b = own, **at = &world->blocks;
    (void)p, (void)bytes;
    pthread_mutex_lock(&world->lock);
    bool is_last = --b->users == 0;
    while (is_last && *at != b)
        at = &(*at)->next;
    if (is_last)
        *at = b->next;
    pthread_mutex_unlock(&world->lock);
    if (is_last)
        mu_free(b);
}

void mu_fake_shared_free_all(struct mu_fake_world *w)
{
    for (struct mu_fake_block *b = w->blocks, *next; b; b = next) {
        next = b->next;
        mu_free(b);
    }
}
