/* work.c - what one call of encode works in: growable arrays, freed at its end */
#include "tok/tok_int.h"

#include "base/check.h"
#include "base/mem.h"
#include "tok/word_cache.h"

int mu_spans_add(struct mu_spans *s, struct mu_span span, struct mu_err *e)
{
    if (span.n == 0 && span.id < 0)
        return MU_OK;
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        struct mu_span *v = mu_realloc(s->v, cap * sizeof *v);
        if (!v)
            return mu_fail_nomem(e, cap * sizeof *v, "the parts of a text");
        s->v = v;
        s->cap = cap;
    }
    s->v[s->n++] = span;
    return MU_OK;
}

void mu_spans_fini(struct mu_spans *s)
{
    mu_free(s->v);
    *s = (struct mu_spans){NULL, 0, 0};
}

void mu_tok_work_init(struct mu_tok_work *w)
{
    *w = (struct mu_tok_work){
        .text = MU_BUF_INIT("normalized text", MU_TOK_WORK_MAX),
        .spare = MU_BUF_INIT("normalized text", MU_TOK_WORK_MAX),
        .matcher = MU_MATCHER_INIT,
    };
}

void mu_tok_work_fini(struct mu_tok_work *w)
{
    mu_buf_fini(&w->text);
    mu_buf_fini(&w->spare);
    mu_spans_fini(&w->spans);
    mu_spans_fini(&w->next);
    mu_matcher_fini(&w->matcher);
    mu_free(w->symbols);
    mu_free(w->heap);
    mu_free(w->viterbi);
    mu_word_cache_free(w->cache);
}

void mu_tok_work_flip(struct mu_tok_work *w)
{
    struct mu_spans old = w->spans;
    w->spans = w->next;
    w->next = old;
    w->next.n = 0;
}
