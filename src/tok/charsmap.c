/* charsmap.c - SentencePiece's precompiled character map: a double-array trie and the strings it leads to
 *
 * The blob: u32 length of the trie in bytes, the trie's units (u32 each, little-endian), then replacement texts, each
 * ended by NUL. A unit (Darts-clone): label in bits 0-7 with bit 31 set for values, "has leaf" in bit 8, offset in bits
 * 10-30, shifted left by 8 when bit 9 is set; a leaf holds its value in bits 0-30. Every index is checked. */
#include "tok/tok_int.h"

#include <inttypes.h>
#include <utf8proc.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"

#define GRAPHEME_BYTES 6 /* Hugging Face looks whole graphemes up when they are shorter */

struct mu_charsmap {
    uint32_t *units;
    size_t n_units;
    char *texts; /* NUL-terminated strings, one more NUL at the end */
    size_t n_texts;
};

int mu_charsmap_new(struct mu_charsmap **out, struct mu_str blob, const char *where, struct mu_err *e)
{
    struct mu_charsmap *m = NULL;
    uint32_t bytes = 0;
    int rc = MU_OK;

    if (blob.n >= 4)
        memcpy(&bytes, blob.p, 4);
    if (blob.n < 4 || bytes > blob.n - 4 || bytes % 4 != 0 || bytes == 0)
        return mu_fail(e, MU_EFORMAT, "%s: the character map says its trie has %" PRIu32 " of its %zu bytes", where,
                       bytes, blob.n);
    MU_TRY(MU_NEW(&m, "a character map", e));
    m->n_units = bytes / 4;
    m->n_texts = blob.n - 4 - bytes;
    MU_TRY(MU_NEW_ARRAY(&m->units, m->n_units, "a character map", e));
    memcpy(m->units, blob.p + 4, bytes);
    MU_TRY(MU_NEW_ARRAY(&m->texts, m->n_texts + 1, "a character map", e));
    memcpy(m->texts, blob.p + 4 + bytes, m->n_texts);
    *out = m;
    m = NULL;
out:
    mu_charsmap_free(m);
    return rc;
}

void mu_charsmap_free(struct mu_charsmap *m)
{
    if (!m)
        return;
    mu_free(m->units);
    mu_free(m->texts);
    mu_free(m);
}

static size_t unit_offset(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 0x200u) >> 6);
}

struct mu_str mu_charsmap_find(const struct mu_charsmap *m, const char *p, size_t n, bool longest, size_t *len)
{
    size_t pos = unit_offset(m->units[0]);
    struct mu_str found = {NULL, 0};
    *len = 0;
    for (size_t i = 0; i < n && p[i] != 0; i++) {
        pos ^= (unsigned char)p[i];
        if (pos >= m->n_units || (m->units[pos] & 0x800000FFu) != (unsigned char)p[i])
            break;
        uint32_t unit = m->units[pos];
        pos ^= unit_offset(unit);
        if (pos >= m->n_units)
            break;
        if (!(unit >> 8 & 1))
            continue;
        size_t at = m->units[pos] & 0x7FFFFFFFu;
        if (at >= m->n_texts)
            break;
        found = (struct mu_str){m->texts + at, strlen(m->texts + at)};
        *len = i + 1;
        if (!longest)
            break;
    }
    return found;
}

/* ---- Hugging Face's use of it ---- */

/* The replacement may be any bytes of a hostile file. */
static int add_text(struct mu_buf *out, struct mu_str s, struct mu_err *e)
{
    return mu_tok_add_lossy(out, s.p, s.n, e);
}

static int precompiled_grapheme(const struct mu_charsmap *m, struct mu_str g, struct mu_buf *out, struct mu_err *e)
{
    size_t len;
    uint32_t cp;
    struct mu_str to;
    if (g.n < GRAPHEME_BYTES) {
        to = mu_charsmap_find(m, g.p, g.n, false, &len);
        if (len > 0)
            return add_text(out, to, e);
    }
    for (size_t at = 0; at < g.n;) {
        int n = mu_utf8_decode(g.p + at, g.n - at, &cp);
        struct mu_str one = {g.p + at, n > 0 ? (size_t)n : 1};
        to = mu_charsmap_find(m, one.p, one.n, false, &len);
        MU_TRY_RETURN(len > 0 ? add_text(out, to, e) : mu_buf_add(out, one.p, one.n, e));
        at += one.n;
    }
    return MU_OK;
}

int mu_tok_norm_precompiled(const struct mu_charsmap *m, struct mu_str in, struct mu_buf *out, struct mu_err *e)
{
    utf8proc_int32_t state = 0;
    uint32_t before = 0, cp;
    size_t from = 0;
    for (size_t at = 0; at < in.n;) {
        int n = mu_utf8_decode(in.p + at, in.n - at, &cp);
        bool is_break =
            at > 0 && utf8proc_grapheme_break_stateful((utf8proc_int32_t)before, (utf8proc_int32_t)cp, &state);
        if (is_break) {
            MU_TRY_RETURN(precompiled_grapheme(m, (struct mu_str){in.p + from, at - from}, out, e));
            from = at;
        }
        before = cp;
        at += n > 0 ? (size_t)n : 1;
    }
    return from < in.n ? precompiled_grapheme(m, (struct mu_str){in.p + from, in.n - from}, out, e) : MU_OK;
}
