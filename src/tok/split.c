/* split.c - cutting a span at what a pattern or a class of characters matches, with the five behaviours
 *
 * Pieces alternate between matches and what lies between them; a behaviour decides which are kept, dropped or joined.
 */
#include "tok/tok_int.h"

#include "base/check.h"
#include "base/utf8.h"

static uint32_t char_at(const char *p, size_t n, size_t *len)
{
    uint32_t cp = MU_UTF8_REPLACEMENT;
    int got = mu_utf8_decode(p, n, &cp);
    *len = got > 0 ? (size_t)got : 1;
    return cp;
}

static bool class_has(const struct mu_pre *p, uint32_t cp, const char *at, size_t len)
{
    switch (p->kind) {
    case MU_PRE_WHITESPACE_SPLIT:
        return mu_char_is_space(cp);
    case MU_PRE_PUNCTUATION:
        return mu_char_is_punctuation(cp);
    case MU_PRE_DIGITS:
        return mu_char_is_numeric(cp);
    case MU_PRE_DELIMITER:
    case MU_PRE_METASPACE:
        return len == p->mark.n && memcmp(at, p->mark.p, len) == 0;
    default:
        return false;
    }
}

/* The next match at or after from in text[0..n). Classes match one character. */
static int next_match(const struct mu_pre *p, struct mu_matcher *m, const char *text, size_t n, size_t from,
                      bool *found, size_t *begin, size_t *end, struct mu_err *e)
{
    if (p->kind == MU_PRE_SPLIT || p->kind == MU_PRE_BYTE_LEVEL || p->kind == MU_PRE_SCRIPTS)
        return mu_tok_pattern_find(&p->pattern, m, text, n, from, found, begin, end, e);
    *found = false;
    for (size_t at = from, len; at < n; at += len) {
        uint32_t cp = char_at(text + at, n - at, &len);
        if (!class_has(p, cp, text + at, len))
            continue;
        *found = true;
        *begin = at;
        *end = at + len;
        break;
    }
    return MU_OK;
}

/* What has been seen and not yet given out. */
struct cutter {
    const struct mu_pre *p;
    struct mu_tok_work *w;
    struct mu_span span;
    size_t held; /* the held piece is [held, held_end), relative to the span */
    size_t held_end;
    bool held_matches, has_held;
};

static int give(struct cutter *c, size_t begin, size_t end, struct mu_err *e)
{
    struct mu_span s = {c->span.off + begin, end - begin, -1, c->span.is_start && begin == 0};
    return mu_spans_add(&c->w->next, s, e);
}

static int give_held(struct cutter *c, struct mu_err *e)
{
    if (!c->has_held)
        return MU_OK;
    c->has_held = false;
    return give(c, c->held, c->held_end, e);
}

/* One piece, in order. Merging behaviours look at the piece before. */
static int piece(struct cutter *c, size_t begin, size_t end, bool matches, struct mu_err *e)
{
    bool joins = false;
    switch (c->p->behaviour) {
    case MU_REMOVED:
        return matches ? MU_OK : give(c, begin, end, e);
    case MU_ISOLATED:
        return give(c, begin, end, e);
    case MU_MERGED_PREVIOUS: /* a match joins the text before it */
        joins = c->has_held && matches && !c->held_matches;
        break;
    case MU_MERGED_NEXT: /* a match waits for the text after it */
        joins = c->has_held && !matches && c->held_matches;
        break;
    case MU_CONTIGUOUS: /* neighbours of a kind join */
        joins = c->has_held && matches == c->held_matches;
        break;
    }
    if (!joins)
        MU_TRY_RETURN(give_held(c, e));
    c->held = joins ? c->held : begin;
    c->held_end = end;
    c->held_matches = matches;
    c->has_held = true;
    return MU_OK;
}

int mu_tok_split_span(const struct mu_pre *p, struct mu_tok_work *w, struct mu_span span, struct mu_err *e)
{
    struct cutter c = {.p = p, .w = w, .span = span};
    const char *text = w->text.p + span.off;
    size_t done = 0, from = 0, begin, end, len;
    bool found;
    for (;;) {
        if (from > span.n)
            break;
        MU_TRY_RETURN(next_match(p, &w->matcher, text, span.n, from, &found, &begin, &end, e));
        if (!found)
            break;
        if (begin > done)
            MU_TRY_RETURN(piece(&c, done, begin, p->invert, e));
        MU_TRY_RETURN(piece(&c, begin, end, !p->invert, e));
        done = end;
        from = end;
        if (begin == end) {
            if (end < span.n)
                char_at(text + end, span.n - end, &len);
            else
                len = 1;
            from = end + len;
        }
    }
    if (done < span.n)
        MU_TRY_RETURN(piece(&c, done, span.n, p->invert, e));
    return give_held(&c, e);
}
