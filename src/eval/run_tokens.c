/* run_tokens.c - texts to token ids, as the harness does it
 *
 * Source: lm_eval/api/model.py loglikelihood (through tok/pair.h), huggingface.py loglikelihood_rolling,
 * _loglikelihood_tokens (what is longer than the context loses its beginning) and generate_until (the prompt keeps
 * room for the output).
 *
 * A batch of requests is encoded by several threads, then taken over in order; the ids of a context are kept once for
 * all continuations that follow each other with it. */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/pool.h"
#include "eval/run_int.h"
#include "tensor/ops.h"
#include "tok/pair.h"

#define BATCH 256 /* requests encoded at a time: bounds what lies beside the ids */

/* Room for one more of `size` bytes. */
int mu_run_grow(void *p, int64_t *cap, int64_t n, size_t size, const char *what, struct mu_err *e)
{
    void *old;
    if (n < *cap)
        return MU_OK;
    int64_t want = MU_MAX((int64_t)64, *cap + *cap / 2);
    if (n >= MU_RUN_ITEMS_MAX)
        return mu_fail(e, MU_ELIMIT, "more than %" PRId64 " %s: evaluate fewer tasks at a time", MU_RUN_ITEMS_MAX,
                       what);
    memcpy(&old, p, sizeof old);
    void *more = mu_realloc(old, (size_t)want * size);
    if (!more)
        return mu_fail_nomem(e, (size_t)want * size, what);
    memcpy(p, &more, sizeof more);
    *cap = want;
    return MU_OK;
}

int mu_run_blame(const struct mu_run_state *s, int work, int request, int rc, struct mu_err *e)
{
    const struct mu_work *w = s->works[work];
    struct mu_err why = MU_ERR_INIT;
    if (rc == MU_OK || !e)
        return rc;
    why = *e;
    return mu_fail(e, rc, "task %s, document %" PRId64 ": %s", w->task->name, w->doc[w->request[request].doc].id,
                   why.text);
}

/* ---- encoding, any thread ---- */

struct coded {
    const struct mu_ask_request *r;
    struct mu_pair pair; /* context: also the text of a rolling request behind its prefix token, and a prompt */
    int rc;
    struct mu_err err;
};

struct batch {
    const struct mu_run_state *s;
    struct coded *c;
};

/* Special tokens are added unless the text spells the first of them itself. */
static int encode_whole(const struct mu_run_state *s, const struct mu_text *t, int32_t first, struct mu_ids *out,
                        struct mu_err *e)
{
    size_t n = 0;
    const char *piece = first >= 0 ? mu_tokenizer_piece(s->eng->tok, first, &n) : NULL;
    bool has_it = piece && n > 0 && t->n >= n && memcmp(t->p, piece, n) == 0;
    unsigned flags = has_it ? MU_TOK_PARSE_SPECIAL : MU_TOK_PARSE_SPECIAL | MU_TOK_ADD_SPECIAL;
    return mu_tokenizer_encode(s->eng->tok, t->p, t->n, flags, out, e);
}

static int encode_one(const struct mu_run_state *s, struct coded *c, struct mu_err *e)
{
    const struct mu_ask_request *r = c->r;
    c->pair.context.n = c->pair.continuation.n = 0;
    switch (r->ask) {
    case MU_ASK_LOGLIKELIHOOD:
        return mu_pair_encode(s->eng->tok, (struct mu_str){r->context->p, r->context->n},
                              (struct mu_str){r->continuation->p, r->continuation->n}, &c->pair, e);
    case MU_ASK_ROLLING:
        if (s->prefix < 0)
            return mu_fail(e, MU_EINVAL, "the tokenizer has neither a BOS nor an EOS for a text to begin with");
        MU_TRY_RETURN(mu_ids_add(&c->pair.context, s->prefix, e));
        return encode_whole(s, r->context, s->prefix, &c->pair.context, e);
    case MU_ASK_GENERATE:
        MU_TRY_RETURN(encode_whole(s, r->context, s->tok.bos, &c->pair.context, e));
        if (c->pair.context.n > 0)
            return MU_OK;
        if (s->prefix < 0)
            return mu_fail(e, MU_EINVAL, "the prompt is empty and the tokenizer has neither BOS nor EOS");
        return mu_ids_add(&c->pair.context, s->prefix, e);
    default:
        return mu_fail(e, MU_EINTERNAL, "a request of kind %d", (int)r->ask);
    }
}

static void encode_some(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct batch *b = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++)
        b->c[i].rc = encode_one(b->s, &b->c[i], &b->c[i].err);
}

/* ---- taking over, in order ---- */

/* Where ids lie that equal the last context, or else are added. */
struct keeper {
    struct mu_run_state *s;
    size_t context;
    size_t n_context; /* 0: none yet */
};

static int keep(struct mu_run_state *s, const struct mu_ids *from, size_t *at, struct mu_err *e)
{
    *at = s->ids.n;
    for (size_t i = 0; i < from->n; i++) {
        if (from->v[i] < 0 || from->v[i] >= s->info.vocab)
            return mu_fail(e, MU_EINVAL,
                           "the tokenizer gives token %" PRId32 " and the model knows %" PRId64
                           ": they do not belong together",
                           from->v[i], s->info.vocab);
        MU_TRY_RETURN(mu_ids_add(&s->ids, from->v[i], e));
    }
    return MU_OK;
}

static int keep_context(struct keeper *k, const struct mu_ids *from, size_t *at, struct mu_err *e)
{
    if (k->n_context == from->n && from->n > 0 &&
        memcmp(k->s->ids.v + k->context, from->v, from->n * sizeof *from->v) == 0) {
        *at = k->context;
        return MU_OK;
    }
    MU_TRY_RETURN(keep(k->s, from, &k->context, e));
    k->n_context = from->n;
    *at = k->context;
    return MU_OK;
}

int64_t mu_run_item_tokens(const struct mu_run_state *s, const struct mu_run_item *it)
{
    int64_t rest = it->params < 0 ? it->n_continuation : s->params[it->params]->max_tokens;
    return it->n_context - 1 + rest;
}

static int add_item(struct mu_run_state *s, const struct mu_run_item *it, struct mu_err *e)
{
    MU_TRY_RETURN(mu_run_grow(&s->item, &s->items_cap, s->n_items, sizeof *s->item, "items", e));
    MU_TRY_RETURN(mu_run_grow(&s->part, &s->parts_cap, s->n_parts, sizeof *s->part, "parts", e));
    struct mu_run_item *to = &s->item[s->n_items];
    *to = *it;
    to->first_part = -1;
    MU_TRY_RETURN(mu_run_item_key(s, to, e));
    s->part[s->n_parts++] = (struct mu_run_part){s->n_items++, s->n_slots - 1, -1};
    s->slot[s->n_slots - 1].n_parts++;
    return MU_OK;
}

static int add_slot(struct mu_run_state *s, int work, int request, int repeat, struct mu_err *e)
{
    MU_TRY_RETURN(mu_run_grow(&s->slot, &s->slots_cap, s->n_slots, sizeof *s->slot, "requests", e));
    s->slot[s->n_slots++] =
        (struct mu_run_slot){.work = work, .request = request, .repeat = repeat, .first_part = s->n_parts};
    return MU_OK;
}

/* The cache must be able to hold it alone; of an engine that is not open it is not known. */
static int check_cache(struct mu_run_state *s, int64_t n_tokens, struct mu_err *e)
{
    int64_t room = s->info.kv_pages * MU_KV_PAGE;
    s->longest = MU_MAX(s->longest, n_tokens);
    if (n_tokens <= room || !s->eng->eng)
        return MU_OK;
    return mu_fail(e, MU_ELIMIT,
                   "%" PRId64 " tokens of KV cache are needed and it holds %" PRId64
                   ": open the engine with a larger cache, or with a shorter context",
                   n_tokens, room);
}

static int take_pair(struct keeper *k, struct mu_ask_request *r, const struct coded *c, int work, int request,
                     int repeats, struct mu_err *e)
{
    struct mu_run_state *s = k->s;
    struct mu_run_item it = {.params = -1, .n_continuation = (int32_t)c->pair.continuation.n};
    int64_t n_context = (int64_t)c->pair.context.n, max = s->eng->max_length;
    int64_t n_lost = MU_MAX((int64_t)0, n_context + it.n_continuation - (max + 1));

    if (it.n_continuation > max)
        return mu_fail(e, MU_ELIMIT,
                       "the continuation has %d tokens and the context is %" PRId64
                       ": no model of this length can score it, leave the document out or take a longer context",
                       (int)it.n_continuation, max);
    MU_TRY_RETURN(keep_context(k, &c->pair.context, &it.context, e));
    MU_TRY_RETURN(keep(s, &c->pair.continuation, &it.continuation, e));
    it.context += (size_t)n_lost;
    it.n_context = (int32_t)(n_context - n_lost);
    MU_TRY_RETURN(check_cache(s, mu_run_item_tokens(s, &it), e));
    for (int repeat = 0; repeat < repeats; repeat++) {
        MU_TRY_RETURN(add_slot(s, work, request, repeat, e));
        MU_TRY_RETURN(add_item(s, &it, e));
    }
    r->n_context = it.n_context;
    r->n_continuation = it.n_continuation;
    r->is_truncated = n_lost > 0;
    return MU_OK;
}

static int take_rolling(struct keeper *k, struct mu_ask_request *r, const struct coded *c, int work, int request,
                        int repeats, struct mu_err *e)
{
    struct mu_run_state *s = k->s;
    int64_t n = (int64_t)c->pair.context.n - 1;
    struct mu_run_window win;
    size_t at;

    MU_TRY_RETURN(keep(s, &c->pair.context, &at, e));
    k->n_context = 0;
    for (int repeat = 0; repeat < repeats; repeat++) {
        MU_TRY_RETURN(add_slot(s, work, request, repeat, e));
        for (int64_t i = 0; mu_run_window(n, s->eng->max_length, i, &win); i++) {
            struct mu_run_item it = {.params = -1,
                                     .context = at + (size_t)win.context,
                                     .n_context = (int32_t)win.n_context,
                                     .continuation = at + (size_t)win.continuation,
                                     .n_continuation = (int32_t)win.n_continuation};
            MU_TRY_RETURN(check_cache(s, mu_run_item_tokens(s, &it), e));
            MU_TRY_RETURN(add_item(s, &it, e));
        }
    }
    r->n_context = 1;
    r->n_continuation = (int)n;
    r->is_truncated = false;
    return MU_OK;
}

/* The generator of a draw: of the run's seed (or the task's own), the document and the repeat, whatever the order. */
static uint64_t draw_seed(const struct mu_run_state *s, const struct mu_run_params *p, int64_t doc, int index,
                          int repeat)
{
    const int64_t parts[] = {p->has_seed ? (int64_t)p->sampling.seed : s->o->seed, doc, index, repeat};
    unsigned char bytes[sizeof parts];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)((uint64_t)parts[i / 8] >> 8 * (i % 8));
    return mu_hash64(bytes, sizeof bytes, 0);
}

static int take_prompt(struct keeper *k, struct mu_ask_request *r, const struct coded *c, int work, int request,
                       int repeats, struct mu_err *e)
{
    struct mu_run_state *s = k->s;
    struct mu_run_item it = {.n_continuation = 0};

    MU_TRY_RETURN(mu_run_params_of(s, r->gen_kwargs, &it.params, e));
    const struct mu_run_params *p = s->params[it.params];
    int64_t n_context = (int64_t)c->pair.context.n, room = s->eng->max_length - p->max_tokens;
    int64_t n_lost = MU_MAX((int64_t)0, n_context - room);
    MU_TRY_RETURN(keep_context(k, &c->pair.context, &it.context, e));
    it.context += (size_t)n_lost;
    it.n_context = (int32_t)(n_context - n_lost);
    it.continuation = it.context;
    MU_TRY_RETURN(check_cache(s, mu_run_item_tokens(s, &it), e));
    for (int repeat = 0; repeat < repeats; repeat++) {
        it.seed = p->is_sampled ? draw_seed(s, p, s->works[work]->doc[r->doc].id, r->index, repeat) : 0;
        MU_TRY_RETURN(add_slot(s, work, request, repeat, e));
        MU_TRY_RETURN(add_item(s, &it, e));
        s->audit->n_sampled += p->is_sampled;
    }
    r->n_context = it.n_context;
    r->n_continuation = 0;
    r->is_truncated = n_lost > 0;
    return MU_OK;
}

static int take(struct keeper *k, const struct coded *c, int work, int request, struct mu_err *e)
{
    struct mu_work *w = k->s->works[work];
    struct mu_ask_request *r = &w->request[request];
    int repeats = MU_MAX(1, w->task->repeats);
    int rc = c->rc;

    if (rc != MU_OK && e)
        *e = c->err;
    if (rc == MU_OK && r->ask == MU_ASK_LOGLIKELIHOOD)
        rc = take_pair(k, r, c, work, request, repeats, e);
    else if (rc == MU_OK && r->ask == MU_ASK_ROLLING)
        rc = take_rolling(k, r, c, work, request, repeats, e);
    else if (rc == MU_OK)
        rc = take_prompt(k, r, c, work, request, repeats, e);
    k->s->audit->n_truncated += rc == MU_OK && r->is_truncated ? repeats : 0;
    r->hit_max_tokens = false;
    return mu_run_blame(k->s, work, request, rc, e);
}

static int do_work(struct keeper *k, int work, struct coded *c, struct mu_pool *pool, struct mu_err *e)
{
    struct mu_work *w = k->s->works[work];
    struct batch b = {k->s, c};
    for (int at = 0; at < w->n_requests; at += BATCH) {
        int n = MU_MIN(BATCH, w->n_requests - at);
        for (int i = 0; i < n; i++)
            c[i].r = &w->request[at + i];
        mu_pool_for(pool, n, 1, encode_some, &b);
        for (int i = 0; i < n; i++)
            MU_TRY_RETURN(take(k, &c[i], work, at + i, e));
        MU_TRY_RETURN(mu_run_tell(k->s, false, e));
    }
    return MU_OK;
}

int mu_run_tokens(struct mu_run_state *s, struct mu_err *e)
{
    struct keeper k = {.s = s};
    struct mu_pool_opts po = {.n_threads = MU_MAX(0, s->info.threads)};
    struct mu_pool *pool = NULL;
    struct coded *c = NULL;
    int rc = MU_OK;

    MU_TRY(MU_NEW_ARRAY(&c, BATCH, "requests being encoded", e));
    for (int i = 0; i < BATCH; i++)
        c[i].pair = (struct mu_pair)MU_PAIR_INIT(MU_RUN_IDS_MAX);
    MU_TRY(mu_pool_open(&pool, &po, e));
    for (int i = 0; i < s->n_works; i++)
        MU_TRY(do_work(&k, i, c, pool, e));
out:
    mu_pool_close(pool);
    for (int i = 0; c && i < BATCH; i++)
        mu_pair_fini(&c[i].pair);
    mu_free(c);
    return rc;
}
