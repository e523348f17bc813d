/* stop.c - see stop.h. Pieces and stop strings are short, so plain comparison is enough. */
#include "engine/stop.h"

static bool begins_at(struct mu_str text, size_t at, struct mu_str s)
{
    return text.n - at >= s.n && memcmp(text.p + at, s.p, s.n) == 0;
}

/* The stop string that begins at this byte; -1: none. */
static int found_at(const struct mu_stop *s, struct mu_str text, size_t at)
{
    for (int i = 0; i < s->n; i++) {
        if (begins_at(text, at, s->strings[i]))
            return i;
    }
    return -1;
}

/* Whether text from `at` on is the beginning of a stop string that is not finished yet. */
static bool could_begin_at(const struct mu_stop *s, struct mu_str text, size_t at)
{
    size_t n = text.n - at;
    for (int i = 0; i < s->n; i++) {
        if (n < s->strings[i].n && memcmp(text.p + at, s->strings[i].p, n) == 0)
            return true;
    }
    return false;
}

static void cut(struct mu_buf *out, size_t at)
{
    out->n = at;
    out->p[at] = 0;
}

int mu_stop_add(struct mu_stop *s, struct mu_str piece, struct mu_buf *out)
{
    mu_buf_clear(out);
    if (mu_buf_add(out, s->held, (size_t)s->n_held, NULL) != MU_OK || mu_buf_add(out, piece.p, piece.n, NULL) != MU_OK)
        return MU_STOP_NO_ROOM;
    struct mu_str text = mu_buf_str(out);
    s->n_held = 0;
    for (size_t at = 0; at < text.n; at++) {
        int found = found_at(s, text, at);
        if (found >= 0) {
            cut(out, at);
            return found;
        }
        if (could_begin_at(s, text, at)) {
            s->n_held = (int)(text.n - at);
            memcpy(s->held, text.p + at, text.n - at);
            cut(out, at);
            return MU_STOP_NONE;
        }
    }
    return MU_STOP_NONE;
}

int mu_stop_end(struct mu_stop *s, struct mu_buf *out)
{
    struct mu_str held = {s->held, (size_t)s->n_held};
    s->n_held = 0;
    mu_buf_clear(out);
    if (mu_buf_add(out, held.p, held.n, NULL) != MU_OK)
        return MU_STOP_NO_ROOM;
    for (size_t at = 0; at < held.n; at++) {
        int found = found_at(s, held, at);
        if (found >= 0) {
            cut(out, at);
            return found;
        }
    }
    return MU_STOP_NONE;
}
