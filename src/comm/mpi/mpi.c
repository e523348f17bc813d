/* mpi.c - the transport over MPI: messages, waiting, who is lost, the way in and out
 *
 * Groups need no communicators: a message's context and tag together are its MPI tag. Waiting is ours, in three steps:
 * looking again and again, then giving the core away between looks, then short sleeps, so that more ranks than cores
 * stay usable and a rank that waits for a slow step leaves the machine to it.
 *
 * MPI takes no started call back: it may read or write the buffer whenever it comes to it, for one when a stopped peer
 * goes on. So messages between parts of the world, which may lose each other and live, go through blocks of our own,
 * which stay until their call is done or the world ends. */
#include "comm/mpi/mpi.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/pool.h"
#include "comm/mpi/mpi_int.h"

#define START_NS    60000000000ll /* for all ranks to come through the first messages */
#define LOOKS       8
#define SPIN_LOOKS  2000 /* some 0.2 ms */
#define YIELD_LOOKS 2000 /* as long, and longer when others want the core */
#define NAP_NS      50000
#define LEAVE_NS    1000000

/* A message to or from another part. */
struct block {
    struct block *next; /* of those that MPI may still touch */
    unsigned char bytes[];
};

struct mpi_world {
    struct mu_comm_world w; /* first: the transport's calls get this */
    const struct mu_mpi_table *mpi;
    struct mu_live *live; /* NULL: one rank */
    bool is_crowded;      /* more ranks on this node than cores */
    int idle;             /* looks in vain since something happened */
    struct mu_comm_op *op[MU_MPI_SLOTS];
    struct block *block[MU_MPI_SLOTS], *orphans;
    struct mu_mpi_done done[MU_MPI_SLOTS];
};

static struct mpi_world *mpi_of(struct mu_comm_world *w)
{
    return (struct mpi_world *)w;
}

static int fail_mpi(const struct mpi_world *m, const char *what, struct mu_err *e)
{
    return mu_fail(e, MU_EPEER, "rank %d: MPI failed to %s: %s", m->w.rank, what, m->mpi->fault());
}

static int64_t now_ns(void)
{
    return mu_now_ns(mu_clock_real());
}

static void nap(long ns)
{
    const struct timespec pause = {0, ns};
    (void)nanosleep(&pause, NULL);
}

/* ---- messages ---- */

_Static_assert(MU_COMM_TAGS <= 8192, "contexts lie 8192 tags apart");

static int mpi_tag(int context, int tag)
{
    return context * 8192 + tag;
}

/* *p: what MPI gets as the buffer of op. */
static int find_buffer(struct mpi_world *m, struct mu_comm_op *op, void **p, struct mu_err *e)
{
    *p = op->p;
    m->op[op->index] = op;
    m->block[op->index] = NULL;
    if (!mu_comm_is_apart(&m->w, op->peer) || op->bytes == 0)
        return MU_OK;
    struct block *b = mu_alloc(sizeof *b + op->bytes);
    if (!b)
        return mu_fail_nomem(e, op->bytes, "a message between parts of the world");
    *p = b->bytes;
    m->block[op->index] = b;
    return MU_OK;
}

static int start_send(struct mu_comm_world *w, struct mu_comm_op *op, struct mu_err *e)
{
    struct mpi_world *m = mpi_of(w);
    void *p;
    MU_TRY_RETURN(find_buffer(m, op, &p, e));
    if (p != op->p)
        memcpy(p, op->p, op->bytes);
    if (m->mpi->start_send(op->index, p, op->bytes, op->peer, mpi_tag(op->context, op->tag)) != 0)
        return fail_mpi(m, "send", e);
    return MU_OK;
}

static int start_recv(struct mu_comm_world *w, struct mu_comm_op *op, struct mu_err *e)
{
    struct mpi_world *m = mpi_of(w);
    void *p;
    MU_TRY_RETURN(find_buffer(m, op, &p, e));
    if (m->mpi->start_recv(op->index, p, op->bytes, op->peer, mpi_tag(op->context, op->tag)) != 0)
        return fail_mpi(m, "receive", e);
    return MU_OK;
}

/* op is done. */
static void leave_block(struct mpi_world *m, const struct mu_comm_op *op)
{
    struct block *b = m->block[op->index];
    if (b && !op->is_send)
        memcpy(op->p, b->bytes, MU_MIN(op->got, op->bytes));
    m->block[op->index] = NULL;
    mu_free(b);
}

static int collect(struct mpi_world *m, int *n_done, struct mu_err *e)
{
    if (m->mpi->progress(m->done, n_done) != 0)
        return fail_mpi(m, "move messages", e);
    for (int i = 0; i < *n_done; i++) {
        struct mu_comm_op *op = m->op[m->done[i].slot];
        op->got = op->is_send ? op->bytes : m->done[i].bytes;
        op->is_done = true;
        leave_block(m, op);
        m->idle = 0;
    }
    return MU_OK;
}

static void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Between two looks: m->idle counts those since something last happened. */
static void wait_a_little(struct mpi_world *m)
{
    int yields = m->is_crowded ? m->idle : m->idle - SPIN_LOOKS;
    if (yields < 0)
        cpu_relax();
    else if (yields < YIELD_LOOKS)
        sched_yield();
    else
        nap(NAP_NS);
    if (m->idle < SPIN_LOOKS + YIELD_LOOKS)
        m->idle++;
}

/* A few looks, then back to the caller: what it waits for may be a message nobody has started to receive. */
static int progress(struct mu_comm_world *w, int64_t wait_ns, struct mu_err *e)
{
    struct mpi_world *m = mpi_of(w);
    for (int i = 0; i < LOOKS; i++) {
        int n_done = 0;
        MU_TRY_RETURN(collect(m, &n_done, e));
        if (n_done > 0 || wait_ns <= 0)
            break;
        wait_a_little(m);
    }
    return MU_OK;
}

static void cancel(struct mu_comm_world *w, struct mu_comm_op *op)
{
    struct mpi_world *m = mpi_of(w);
    struct block *b = m->block[op->index];
    m->mpi->forget(op->index);
    m->block[op->index] = NULL;
    if (!b)
        return;
    b->next = m->orphans;
    m->orphans = b;
}

static int probe(struct mu_comm_world *w, int from, int context, int tag, bool *found, int *sender, size_t *bytes,
                 struct mu_err *e)
{
    struct mpi_world *m = mpi_of(w);
    if (m->mpi->probe(from, mpi_tag(context, tag), found, sender, bytes) != 0)
        return fail_mpi(m, "look for a message", e);
    if (*found)
        m->idle = 0;
    return MU_OK;
}

/* ---- who is there ---- */

static int lost(struct mu_comm_world *w, int nth, const char **clause)
{
    struct mpi_world *m = mpi_of(w);
    return m->live ? mu_live_loss(m->live, nth, clause) : -1;
}

static void set_parts(struct mu_comm_world *w)
{
    struct mpi_world *m = mpi_of(w);
    if (m->live)
        mu_live_set_parts(m->live, w->part);
}

static void abort_world(struct mu_comm_world *w, const char *sentence)
{
    struct mpi_world *m = mpi_of(w);
    if (m->live)
        mu_live_abort(m->live, sentence);
}

/* false: a rank was lost, now or before: MPI_Finalize() would wait for it. All who leave together come to the same
 * answer. Messages that MPI still holds need its attention while we wait. */
static bool leave_together(struct mpi_world *m)
{
    bool found;
    int sender;
    size_t bytes;
    if (m->w.death.code)
        return false;
    if (!m->live)
        return true;
    mu_live_leave(m->live);
    while (!mu_live_have_all_left(m->live)) {
        if (mu_live_lost(m->live, NULL) >= 0 ||
            m->mpi->probe(-1, mpi_tag(0, MU_COMM_TAG_GROUP), &found, &sender, &bytes) != 0)
            return false;
        nap(LEAVE_NS);
    }
    return mu_live_loss(m->live, 0, NULL) < 0;
}

static void close_world(struct mu_comm_world *w)
{
    struct mpi_world *m = mpi_of(w);
    bool is_whole = leave_together(m);
    mu_live_close(m->live);
    if (is_whole)
        (void)m->mpi->finalize();
    for (struct block *b; (b = m->orphans) != NULL;) {
        m->orphans = b->next;
        mu_free(b);
    }
    mu_free(m);
}

static const struct mu_comm_transport mpi_transport = {
    .name = "mpi",
    .start_send = start_send,
    .start_recv = start_recv,
    .progress = progress,
    .cancel = cancel,
    .probe = probe,
    .lost = lost,
    .abort = abort_world,
    .set_parts = set_parts,
    .close = close_world,
    .shared_open = mu_mpi_shared_open,
    .shared_close = mu_mpi_shared_close,
    .shared_seal = mu_mpi_shared_seal,
};

/* ---- the way in ---- */

/* What each rank tells all others first. */
struct note {
    uint64_t machine; /* equal for those that share memory */
    int32_t pid;
    char host[MU_COMM_HOST_MAX];
    char pad[4];
};

/* One kernel, seen from the same namespaces under one name: there /proc/PID/fd of one rank is another's to open. */
static uint64_t machine_id(const char *host)
{
    static const char *const spaces[] = {"/proc/self/ns/pid", "/proc/self/ns/net", "/proc/self/ns/ipc"};
    char text[512] = "";
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (f) {
        if (!fgets(text, 64, f))
            text[0] = '\0';
        fclose(f);
    }
    size_t n = strlen(text);
    for (size_t i = 0; i < MU_COUNT(spaces); i++) {
        ssize_t got = readlink(spaces[i], text + n, 64);
        n += got > 0 ? (size_t)got : 0;
    }
    n += (size_t)snprintf(text + n, sizeof text - n, " %s", host);
    return mu_hash64(text, n, 0);
}

/* The start's own calls, one at a time, before anybody watches who is there. */
static int await_start(struct mpi_world *m, int started, const char *what, struct mu_err *e)
{
    int64_t deadline = now_ns() + START_NS;
    if (started != 0)
        return fail_mpi(m, what, e);
    for (int n = 0; n == 0;) {
        if (m->mpi->progress(m->done, &n) != 0)
            return fail_mpi(m, what, e);
        if (n == 0 && now_ns() > deadline)
            return mu_fail(e, MU_ETIMEDOUT, "rank %d: not all ranks came to %s within %lld s", m->w.rank, what,
                           START_NS / 1000000000);
        if (n == 0)
            sched_yield();
    }
    return MU_OK;
}

static void place_ranks(struct mpi_world *m, const struct note *notes)
{
    int here = 0;
    for (int r = 0; r < m->w.size; r++) {
        struct mu_comm_place *p = &m->w.place[r];
        p->pid = notes[r].pid;
        (void)snprintf(p->host, sizeof p->host, "%s", notes[r].host);
        p->node = 0;
        while (notes[p->node].machine != notes[r].machine)
            p->node++;
        here += notes[r].machine == notes[m->w.rank].machine;
    }
    m->is_crowded = here > mu_cores_allowed();
}

static int find_places(struct mpi_world *m, struct mu_err *e)
{
    struct note *notes = NULL;
    int rc = MU_OK;
    MU_TRY(MU_NEW_ARRAY(&notes, m->w.size, "the ranks' places", e));
    MU_TRY(MU_NEW_ARRAY(&m->w.place, m->w.size, "the ranks' places", e));
    struct note *own = &notes[m->w.rank];
    own->pid = getpid();
    if (gethostname(own->host, sizeof own->host - 1) != 0 || !own->host[0])
        (void)snprintf(own->host, sizeof own->host, "localhost");
    own->machine = machine_id(own->host);
    MU_TRY(await_start(m, m->mpi->start_all_gather(0, notes, (int)sizeof *notes), "tell where they run", e));
    place_ranks(m, notes);
out:
    mu_free(notes);
    return rc;
}

static bool is_one_node(const struct mpi_world *m)
{
    for (int r = 1; r < m->w.size; r++)
        if (m->w.place[r].node != m->w.place[0].node)
            return false;
    return true;
}

static int open_live(struct mpi_world *m, struct mu_err *e)
{
    char where[MU_LIVE_WHERE_MAX] = "";
    const char *host = m->w.place[m->w.rank].host;
    int rc = MU_OK;
    if (m->w.rank == 0)
        rc = mu_live_open_hub(&m->live, m->w.size, host, is_one_node(m), where, e);
    /* Also after a failure: the others wait for it, and an empty place tells them. */
    MU_TRY_RETURN(await_start(m, m->mpi->start_broadcast(0, where, (int)sizeof where), "hear of the liveness watch",
                              rc == MU_OK ? e : NULL));
    if (rc != MU_OK)
        return rc;
    if (m->w.rank == 0)
        return mu_live_await_all(m->live, MU_LIVE_JOIN_NS, e);
    return mu_live_open_rank(&m->live, m->w.rank, m->w.size, host, where, e);
}

static int open_world(struct mpi_world *m, struct mu_err *e)
{
    if (m->mpi->init(&m->w.rank, &m->w.size) != 0)
        return fail_mpi(m, "start", e);
    if (m->w.size > MU_COMM_RANKS_MAX)
        return mu_fail(e, MU_ELIMIT, "%d ranks: a world has 1 to %d", m->w.size, MU_COMM_RANKS_MAX);
    MU_TRY_RETURN(find_places(m, e));
    return m->w.size > 1 ? open_live(m, e) : MU_OK;
}

int mu_comm_open_mpi(struct mu_comm **out, const struct mu_comm_opts *o, struct mu_err *e)
{
    static bool was_opened;
    struct mpi_world *m = NULL;
    int rc = MU_OK;
    *out = NULL;
    if (was_opened)
        return mu_fail(e, MU_EINVAL, "the ranks of a job can be joined once a process");
    MU_TRY(MU_NEW(&m, "the world of ranks", e));
    MU_TRY(mu_mpi_load(&m->mpi, e));
    was_opened = true;
    m->w.ops = &mpi_transport;
    m->w.clock = mu_clock_real();
    MU_TRY(open_world(m, e));
    MU_TRY(mu_comm_world_open(out, &m->w, o, e));
    return MU_OK;
out:
    if (m) {
        if (m->live)
            mu_live_abort(m->live, e ? e->text : "it could not join the ranks");
        mu_live_close(m->live);
        mu_free(m->w.place);
    }
    mu_free(m);
    return rc;
}
