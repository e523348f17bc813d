/* text.c - see text.h */
#include "engine/text.h"

#include "base/check.h"
#include "base/mem.h"

#define TEXT_BYTES_MAX ((size_t)1 << 30) /* of one output; far above any context */

size_t mu_text_scratch_bytes(void)
{
    return 3 * (MU_PIECE_BYTES_MAX + 1);
}

int mu_text_scratch_open(struct mu_text_scratch *s, const struct mu_detok *detok, struct mu_err *e)
{
    s->detok = detok;
    MU_TRY_RETURN(mu_buf_reserve(&s->piece, MU_PIECE_BYTES_MAX, e));
    return mu_buf_reserve(&s->out, 2 * MU_PIECE_BYTES_MAX, e);
}

void mu_text_scratch_close(struct mu_text_scratch *s)
{
    mu_buf_fini(&s->piece);
    mu_buf_fini(&s->out);
}

/* Decode the prompt's end into `to`, which is cleared after. */
static int lead_in(const struct mu_detok *d, void *state, const int32_t *prompt, int n, struct mu_buf *to,
                   struct mu_err *e)
{
    d->ops->begin(d, state);
    for (int i = MU_MAX(0, n - MU_DETOK_LEAD); i < n; i++)
        MU_TRY_RETURN(d->ops->add(d, state, prompt[i], to, e));
    mu_buf_clear(to);
    return MU_OK;
}

int mu_text_begin(struct mu_text *t, struct mu_text_scratch *s, const int32_t *prompt, int n_prompt,
                  const struct mu_str *stops, int n_stops, struct mu_err *e)
{
    t->stop.strings = stops;
    t->stop.n = n_stops;
    t->stop.n_held = 0;
    t->bytes = 0;
    if (!s->detok)
        return MU_OK;
    mu_buf_clear(&s->piece);
    return lead_in(s->detok, t->state, prompt, n_prompt, &s->piece, e);
}

static int pass_on(struct mu_text *t, struct mu_text_scratch *s, int *stop, struct mu_err *e)
{
    *stop = mu_stop_add(&t->stop, mu_buf_str(&s->piece), &s->out);
    if (*stop == MU_STOP_NO_ROOM)
        return mu_fail(e, MU_EINTERNAL, "the text of a token has no room beside a held-back stop string");
    t->bytes += s->out.n;
    return MU_OK;
}

int mu_text_add(struct mu_text *t, struct mu_text_scratch *s, int32_t id, int *stop, struct mu_err *e)
{
    *stop = -1;
    mu_buf_clear(&s->piece);
    mu_buf_clear(&s->out);
    if (!s->detok)
        return MU_OK;
    MU_TRY_RETURN(s->detok->ops->add(s->detok, t->state, id, &s->piece, e));
    return pass_on(t, s, stop, e);
}

int mu_text_end(struct mu_text *t, struct mu_text_scratch *s, int *stop, struct mu_err *e)
{
    *stop = -1;
    mu_buf_clear(&s->piece);
    mu_buf_clear(&s->out);
    if (!s->detok)
        return MU_OK;
    MU_TRY_RETURN(s->detok->ops->end(s->detok, t->state, &s->piece, e));
    MU_TRY_RETURN(pass_on(t, s, stop, e));
    if (*stop >= 0)
        return MU_OK;
    /* Held bytes follow what was just passed; the piece buffer is free to take them. */
    *stop = mu_stop_end(&t->stop, &s->piece);
    t->bytes += s->piece.n;
    return mu_buf_add(&s->out, s->piece.p, s->piece.n, e);
}

int mu_text_whole(const struct mu_detok *d, const int32_t *ids, int n_prompt, int n, size_t bytes, char **out,
                  struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("the text of an output", TEXT_BYTES_MAX);
    _Alignas(16) char state[MU_DETOK_STATE_BYTES];
    int rc = MU_OK;

    MU_TRY(mu_buf_reserve(&text, bytes, e));
    MU_TRY(lead_in(d, state, ids, n_prompt, &text, e));
    for (int i = n_prompt; i < n; i++)
        MU_TRY(d->ops->add(d, state, ids[i], &text, e));
    MU_TRY(d->ops->end(d, state, &text, e));
    if (text.n < bytes) {
        rc = mu_fail(e, MU_EINTERNAL, "the whole text has %zu bytes, %zu were shown", text.n, bytes);
        goto out;
    }
    text.p[bytes] = 0;
    *out = mu_buf_take(&text);
out:
    mu_buf_fini(&text);
    return rc;
}
