/* vocab.c - the token table: open addressing over XXH3, linear probing */
#include "tok/vocab.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

#define VOCAB_CAP_MIN 256

static uint32_t tag_of(uint64_t h)
{
    return (uint32_t)(h >> 32);
}

static int grow_pieces(struct mu_vocab *v, int32_t need, struct mu_err *e)
{
    int32_t cap = MU_MAX(v->cap, VOCAB_CAP_MIN);
    while (cap < need)
        cap *= 2;
    if (cap == v->cap)
        return MU_OK;
    struct mu_vocab_piece *p = mu_realloc(v->pieces, (size_t)cap * sizeof *p);
    if (!p)
        return mu_fail_nomem(e, (size_t)cap * sizeof *p, "the vocabulary");
    for (int32_t i = v->cap; i < cap; i++)
        p[i] = (struct mu_vocab_piece){0, MU_VOCAB_HOLE};
    v->pieces = p;
    v->cap = cap;
    return MU_OK;
}

static struct mu_vocab_slot *slot_for(struct mu_vocab_slot *slots, size_t n_slots, uint64_t h)
{
    size_t i = (size_t)h & (n_slots - 1);
    while (slots[i].id >= 0)
        i = (i + 1) & (n_slots - 1);
    return &slots[i];
}

static int grow_slots(struct mu_vocab *v, size_t n_tokens, struct mu_err *e)
{
    size_t n = MU_MAX(v->n_slots, (size_t)VOCAB_CAP_MIN);
    while (n < n_tokens * 2)
        n *= 2;
    if (n == v->n_slots)
        return MU_OK;
    struct mu_vocab_slot *slots = mu_alloc(n * sizeof *slots);
    if (!slots)
        return mu_fail_nomem(e, n * sizeof *slots, "the vocabulary's table");
    for (size_t i = 0; i < n; i++)
        slots[i].id = -1;
    for (size_t i = 0; i < v->n_slots; i++) {
        if (v->slots[i].id < 0)
            continue;
        struct mu_str s = mu_vocab_piece(v, v->slots[i].id);
        *slot_for(slots, n, mu_hash64(s.p, s.n, 0)) = v->slots[i];
    }
    mu_free(v->slots);
    v->slots = slots;
    v->n_slots = n;
    return MU_OK;
}

int mu_vocab_reserve(struct mu_vocab *v, size_t n_tokens, size_t text_bytes, struct mu_err *e)
{
    if (n_tokens > MU_TOK_VOCAB_MAX)
        return mu_fail(e, MU_ELIMIT, "a vocabulary of %zu tokens, at most %d are supported", n_tokens,
                       MU_TOK_VOCAB_MAX);
    MU_TRY_RETURN(mu_buf_reserve(&v->text, text_bytes, e));
    MU_TRY_RETURN(grow_pieces(v, (int32_t)n_tokens, e));
    return grow_slots(v, n_tokens, e);
}

/* The slot that holds p[0..n) or the free one where it would go. */
static struct mu_vocab_slot *probe(const struct mu_vocab *v, struct mu_str s, uint64_t h)
{
    size_t i = (size_t)h & (v->n_slots - 1);
    uint32_t tag = tag_of(h);
    for (; v->slots[i].id >= 0; i = (i + 1) & (v->n_slots - 1)) {
        if (v->slots[i].tag == tag && mu_str_eq(mu_vocab_piece(v, v->slots[i].id), s))
            break;
    }
    return &v->slots[i];
}

/* The piece in its place, without an entry in the table. */
int mu_vocab_add_hidden(struct mu_vocab *v, int64_t id, struct mu_str piece, const char *where, struct mu_err *e)
{
    if (id < 0 || id >= MU_TOK_VOCAB_MAX)
        return mu_fail(e, MU_EFORMAT, "%s: token \"%.*s\" has id %" PRId64 ", ids lie in 0..%d", where,
                       (int)MU_MIN(piece.n, 60), piece.p, id, MU_TOK_VOCAB_MAX - 1);
    if (piece.n > MU_TOK_PIECE_BYTES_MAX)
        return mu_fail(e, MU_EFORMAT, "%s: token %" PRId64 " is %zu bytes long, at most %d are supported", where, id,
                       piece.n, MU_TOK_PIECE_BYTES_MAX);
    if (mu_vocab_has(v, (int32_t)id))
        return mu_fail(e, MU_EFORMAT, "%s: tokens \"%.*s\" and \"%.*s\" both have id %" PRId64, where,
                       (int)MU_MIN(mu_vocab_piece(v, (int32_t)id).n, 60), mu_vocab_piece(v, (int32_t)id).p,
                       (int)MU_MIN(piece.n, 60), piece.p, id);
    MU_TRY_RETURN(grow_pieces(v, (int32_t)id + 1, e));
    uint32_t off = (uint32_t)v->text.n;
    MU_TRY_RETURN(mu_buf_add(&v->text, piece.p, piece.n, e));
    v->pieces[id] = (struct mu_vocab_piece){off, (uint32_t)piece.n};
    v->n = MU_MAX(v->n, (int32_t)id + 1);
    return MU_OK;
}

int mu_vocab_add(struct mu_vocab *v, int64_t id, struct mu_str piece, const char *where, struct mu_err *e)
{
    MU_TRY_RETURN(grow_slots(v, v->n_used + 1, e));
    MU_TRY_RETURN(mu_vocab_add_hidden(v, id, piece, where, e));
    uint64_t h = mu_hash64(piece.p, piece.n, 0);
    struct mu_vocab_slot *slot = probe(v, piece, h);
    v->n_used += slot->id < 0;
    *slot = (struct mu_vocab_slot){tag_of(h), (int32_t)id};
    v->piece_bytes_max = MU_MAX(v->piece_bytes_max, (uint32_t)piece.n);
    return MU_OK;
}

void mu_vocab_fini(struct mu_vocab *v)
{
    mu_buf_fini(&v->text);
    mu_free(v->pieces);
    mu_free(v->slots);
    *v = (struct mu_vocab)MU_VOCAB_INIT;
}

int32_t mu_vocab_find(const struct mu_vocab *v, const char *p, size_t n)
{
    if (v->n_slots == 0 || n > v->piece_bytes_max)
        return -1;
    return probe(v, (struct mu_str){p, n}, mu_hash64(p, n, 0))->id;
}

int32_t mu_vocab_find2(const struct mu_vocab *v, struct mu_str a, struct mu_str b)
{
    char small[256], *p = small;
    if (a.n + b.n > v->piece_bytes_max)
        return -1;
    if (a.n + b.n > sizeof small) {
        p = mu_alloc(a.n + b.n);
        if (!p)
            return -1;
    }
    memcpy(p, a.p, a.n);
    memcpy(p + a.n, b.p, b.n);
    int32_t id = mu_vocab_find(v, p, a.n + b.n);
    if (p != small)
        mu_free(p);
    return id;
}

bool mu_vocab_has(const struct mu_vocab *v, int32_t id)
{
    return id >= 0 && id < v->cap && v->pieces[id].n != MU_VOCAB_HOLE;
}

struct mu_str mu_vocab_piece(const struct mu_vocab *v, int32_t id)
{
    return (struct mu_str){v->text.p + v->pieces[id].off, v->pieces[id].n};
}

void mu_vocab_byte_ids(const struct mu_vocab *v, int32_t ids[256])
{
    for (int b = 0; b < 256; b++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", b);
        ids[b] = mu_vocab_find(v, name, 6);
    }
}
