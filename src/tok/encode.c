/* encode.c - text to ids: the stages in order
 *
 * Added tokens that ignore normalization are cut out first; every part between them is normalized, cut again at the
 * added tokens that are sought in normalized text, pre-tokenized, and given word by word to the model. */
#include "tok/tok_int.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "tok/word_cache.h"

#define CACHE_FROM_BYTES 4096 /* below that, filling a cache costs more than it saves */
#define IDS_CAP_MIN      64

int mu_ids_add(struct mu_ids *ids, int32_t id, struct mu_err *e)
{
    if (ids->n == ids->cap) {
        if (ids->n >= ids->max)
            return mu_fail(e, MU_ELIMIT, "the text is more than %zu tokens long", ids->max);
        size_t cap = MU_MIN(ids->cap ? ids->cap * 2 : IDS_CAP_MIN, ids->max);
        int32_t *v = mu_realloc(ids->v, cap * sizeof *v);
        if (!v)
            return mu_fail_nomem(e, cap * sizeof *v, "token ids");
        ids->v = v;
        ids->cap = cap;
    }
    ids->v[ids->n++] = id;
    return MU_OK;
}

void mu_ids_fini(struct mu_ids *ids)
{
    mu_free(ids->v);
    ids->v = NULL;
    ids->n = ids->cap = 0;
}

int mu_tok_add_lossy(struct mu_buf *out, const char *p, size_t n, struct mu_err *e)
{
    while (n > 0) {
        size_t good = mu_utf8_valid_prefix(p, n);
        MU_TRY_RETURN(mu_buf_add(out, p, good, e));
        p += good;
        n -= good;
        if (n == 0)
            break;
        size_t bad = mu_utf8_invalid_run(p, n);
        MU_TRY_RETURN(mu_buf_puts(out, "\xEF\xBF\xBD", e));
        p += bad;
        n -= bad;
    }
    return MU_OK;
}

/* Normalize one part of the text, append it to w->text and cut it at the normalized added tokens into w->next. */
static int take_part(const struct mu_tokenizer *t, struct mu_tok_work *w, struct mu_buf *part, struct mu_buf *scratch,
                     const char *text, struct mu_span span, bool plain, struct mu_err *e)
{
    bool front_lost;
    struct mu_span whole = {w->text.n, 0, -1, span.is_start};
    if (t->n_norms == 0) {
        MU_TRY_RETURN(mu_buf_add(&w->text, text + span.off, span.n, e));
    } else {
        mu_buf_clear(part);
        MU_TRY_RETURN(mu_buf_add(part, text + span.off, span.n, e));
        MU_TRY_RETURN(mu_tok_normalize(t, &w->matcher, part, scratch, &front_lost, e));
        MU_TRY_RETURN(mu_buf_add(&w->text, mu_buf_str(part).p, part->n, e));
        whole.is_start = span.is_start && !front_lost;
    }
    whole.n = w->text.n - whole.off;
    return mu_added_split(t, &t->added.normal[plain], mu_buf_str(&w->text).p, whole, &w->next, e);
}

/* Fill w->text and w->spans. plain: special tokens in the text are text. */
static int take_text(const struct mu_tokenizer *t, struct mu_tok_work *w, struct mu_str text, bool plain,
                     struct mu_err *e)
{
    struct mu_buf part = MU_BUF_INIT("normalized text", MU_TOK_WORK_MAX),
                  scratch = MU_BUF_INIT("normalized text", MU_TOK_WORK_MAX);
    struct mu_span whole = {0, text.n, -1, true};
    int rc = MU_OK;

    MU_TRY(mu_added_split(t, &t->added.raw[plain], text.p, whole, &w->spans, e));
    MU_TRY(mu_buf_reserve(&w->text, text.n, e));
    for (size_t i = 0; i < w->spans.n; i++) {
        struct mu_span s = w->spans.v[i];
        if (s.id >= 0)
            MU_TRY(mu_spans_add(&w->next, s, e));
        else
            MU_TRY(take_part(t, w, &part, &scratch, text.p, s, plain, e));
    }
    mu_tok_work_flip(w);
out:
    mu_buf_fini(&part);
    mu_buf_fini(&scratch);
    return rc;
}

int mu_tok_model_encode(const struct mu_tokenizer *t, struct mu_tok_work *w, struct mu_str word, struct mu_ids *ids,
                        struct mu_err *e)
{
    switch (t->model) {
    case MU_MODEL_BPE:
        return mu_bpe_encode(t, w, word, ids, e);
    case MU_MODEL_UNIGRAM:
        return mu_unigram_encode(t, w, word, ids, e);
    case MU_MODEL_WORDPIECE:
        return mu_wordpiece_encode(t, word, ids, e);
    case MU_MODEL_WORDLEVEL:
        return mu_wordlevel_encode(t, word, ids, e);
    }
    return mu_fail(e, MU_EINTERNAL, "tokenizer model %d does not exist", (int)t->model);
}

static int word_ids(const struct mu_tokenizer *t, struct mu_tok_work *w, struct mu_str word, struct mu_ids *ids,
                    struct mu_err *e)
{
    size_t n_before = ids->n;
    bool found = false;
    if (w->cache)
        MU_TRY_RETURN(mu_word_cache_get(w->cache, word, ids, &found, e));
    if (found)
        return MU_OK;
    MU_TRY_RETURN(mu_tok_model_encode(t, w, word, ids, e));
    if (w->cache)
        mu_word_cache_put(w->cache, word, ids->v + n_before, ids->n - n_before);
    return MU_OK;
}

/* The ids of a span, cut into words where the model allows it (mu_bpe_cuts_at_marks). */
static int span_ids(const struct mu_tokenizer *t, struct mu_tok_work *w, struct mu_str span, struct mu_ids *ids,
                    struct mu_err *e)
{
    size_t from = 0, seek = 0;
    while (t->cuts_at_marks && seek < span.n) {
        const char *mark = memmem(span.p + seek, span.n - seek, MU_SPACE_MARK, 3);
        size_t at = mark ? (size_t)(mark - span.p) : span.n;
        bool in_run = at >= 3 && memcmp(span.p + at - 3, MU_SPACE_MARK, 3) == 0;
        seek = at + 3;
        if (!mark || in_run || at == from)
            continue;
        MU_TRY_RETURN(word_ids(t, w, (struct mu_str){span.p + from, at - from}, ids, e));
        from = at;
    }
    return from < span.n ? word_ids(t, w, (struct mu_str){span.p + from, span.n - from}, ids, e) : MU_OK;
}

static int encode_valid(const struct mu_tokenizer *t, struct mu_str text, unsigned flags, struct mu_ids *ids,
                        struct mu_err *e)
{
    struct mu_tok_work w;
    int rc = MU_OK;
    bool add = (flags & MU_TOK_ADD_SPECIAL) != 0;

    mu_tok_work_init(&w);
    for (int i = 0; add && i < t->n_before; i++)
        MU_TRY(mu_ids_add(ids, t->before[i], e));
    MU_TRY(take_text(t, &w, text, !(flags & MU_TOK_PARSE_SPECIAL), e));
    MU_TRY(mu_tok_pretokenize(t, &w, e));
    if (w.text.n >= CACHE_FROM_BYTES)
        MU_TRY(mu_word_cache_new(&w.cache, e));
    for (size_t i = 0; i < w.spans.n; i++) {
        struct mu_span s = w.spans.v[i];
        if (s.id >= 0)
            MU_TRY(mu_ids_add(ids, s.id, e));
        else if (s.n > 0)
            MU_TRY(span_ids(t, &w, (struct mu_str){w.text.p + s.off, s.n}, ids, e));
    }
    for (int i = 0; add && i < t->n_after; i++)
        MU_TRY(mu_ids_add(ids, t->after[i], e));
out:
    mu_tok_work_fini(&w);
    return rc;
}

int mu_tokenizer_encode(const mu_tokenizer *t, const char *text, size_t n, unsigned flags, struct mu_ids *ids,
                        struct mu_err *e)
{
    struct mu_buf clean = MU_BUF_INIT("the text", MU_TOK_TEXT_BYTES_MAX * 3);
    int rc = MU_OK;

    if (n > MU_TOK_TEXT_BYTES_MAX)
        return mu_fail(e, MU_ELIMIT, "the text is %zu bytes long, at most %zu can be encoded at once; give it in parts",
                       n, MU_TOK_TEXT_BYTES_MAX);
    if (n == 0)
        text = "";
    if (mu_utf8_valid_prefix(text, n) == n)
        return encode_valid(t, (struct mu_str){text, n}, flags, ids, e);
    MU_TRY(mu_tok_add_lossy(&clean, text, n, e));
    MU_TRY(encode_valid(t, mu_buf_str(&clean), flags, ids, e));
out:
    mu_buf_fini(&clean);
    return rc;
}
