/* spm_file.c - SentencePiece tokenizer.model: unigram and BPE
 *
 * A ModelProto: pieces (field 1: piece, score, type), trainer_spec (2), normalizer_spec (3). Control pieces are never
 * found in a text; user-defined ones always are, before anything else. Source: sentencepiece_model.proto and the
 * behaviour of SentencePiece 0.2. */
#include "tok/tok_int.h"

#include <float.h>
#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "tok/protobuf.h"

#define UNK_PENALTY 10.0f

enum piece_type { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, BYTE = 6 };

struct piece {
    struct mu_str text;
    float score;
    int type;
};

/* What is read before the parts of the tokenizer are made. */
struct model {
    struct piece *pieces;
    int32_t n;
    int type; /* 1 unigram, 2 BPE */
    bool byte_fallback, as_suffix;
    int64_t unk_id, bos_id, eos_id, pad_id;
    struct mu_str unk_surface;
    struct mu_str charsmap;
    bool dummy_prefix, extra_spaces, escape_spaces;
};

/* ---- reading ---- */

static int read_piece(struct model *m, struct mu_str s, const char *where, struct mu_err *e)
{
    struct piece *p = &m->pieces[m->n++];
    struct mu_pb pb = {s, where};
    struct mu_pb_field f;
    bool more;
    p->type = NORMAL;
    for (;;) {
        MU_TRY_RETURN(mu_pb_next(&pb, &f, &more, e));
        if (!more)
            break;
        if (f.number == 1 && f.wire == 2)
            p->text = f.bytes;
        else if (f.number == 2 && f.wire == 5)
            p->score = mu_pb_float(&f);
        else if (f.number == 3 && f.wire == 0)
            p->type = (int)f.value;
    }
    if (p->text.n == 0)
        return mu_fail(e, MU_EFORMAT, "%s: piece %d is empty", where, m->n - 1);
    if (!isfinite(p->score))
        return mu_fail(e, MU_EFORMAT, "%s: the score of piece %d is no finite number", where, m->n - 1);
    if (p->type < NORMAL || p->type > BYTE)
        return mu_fail(e, MU_EFORMAT, "%s: piece %d has type %d, 1..6 are known", where, m->n - 1, p->type);
    if (p->type == BYTE && mu_byte_token(p->text) < 0)
        return mu_fail(e, MU_EFORMAT, "%s: byte piece %d is spelled \"%.*s\", not <0xHH>", where, m->n - 1,
                       (int)MU_MIN(p->text.n, 60), p->text.p);
    return MU_OK;
}

static int read_trainer(struct model *m, struct mu_str s, const char *where, struct mu_err *e)
{
    struct mu_pb pb = {s, where};
    struct mu_pb_field f;
    bool more;
    for (;;) {
        MU_TRY_RETURN(mu_pb_next(&pb, &f, &more, e));
        if (!more)
            return MU_OK;
        int64_t v = (int32_t)f.value; /* int32 on the wire is sign-extended */
        switch (f.number) {
        case 3:
            m->type = (int)v;
            break;
        case 24:
            m->as_suffix = v != 0;
            break;
        case 35:
            m->byte_fallback = v != 0;
            break;
        case 40:
            m->unk_id = v;
            break;
        case 41:
            m->bos_id = v;
            break;
        case 42:
            m->eos_id = v;
            break;
        case 43:
            m->pad_id = v;
            break;
        case 44:
            m->unk_surface = f.bytes;
            break;
        default:
            break;
        }
    }
}

static int read_normalizer(struct model *m, struct mu_str s, const char *where, struct mu_err *e)
{
    struct mu_pb pb = {s, where};
    struct mu_pb_field f;
    bool more;
    for (;;) {
        MU_TRY_RETURN(mu_pb_next(&pb, &f, &more, e));
        if (!more)
            return MU_OK;
        switch (f.number) {
        case 2:
            m->charsmap = f.bytes;
            break;
        case 3:
            m->dummy_prefix = f.value != 0;
            break;
        case 4:
            m->extra_spaces = f.value != 0;
            break;
        case 5:
            m->escape_spaces = f.value != 0;
            break;
        default:
            break;
        }
    }
}

/* One pass over the top level; count: number the pieces only. */
static int read_model(struct model *m, struct mu_str blob, bool count, const char *where, struct mu_err *e)
{
    struct mu_pb pb = {blob, where};
    struct mu_pb_field f;
    bool more;
    for (;;) {
        MU_TRY_RETURN(mu_pb_next(&pb, &f, &more, e));
        if (!more)
            return MU_OK;
        if (f.wire != 2)
            continue;
        if (f.number == 1 && count && ++m->n > MU_TOK_VOCAB_MAX)
            return mu_fail(e, MU_ELIMIT, "%s: more than %d pieces", where, MU_TOK_VOCAB_MAX);
        if (count)
            continue;
        if (f.number == 1)
            MU_TRY_RETURN(read_piece(m, f.bytes, where, e));
        else if (f.number == 2)
            MU_TRY_RETURN(read_trainer(m, f.bytes, where, e));
        else if (f.number == 3)
            MU_TRY_RETURN(read_normalizer(m, f.bytes, where, e));
    }
}

/* ---- the tokenizer's parts ---- */

static bool is_searched(int type)
{
    return type == NORMAL || type == USER_DEFINED || type == UNUSED;
}

static int add_pieces(struct mu_tokenizer *t, const struct model *m, const char *where, struct mu_err *e)
{
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->raw_kinds, m->n, "byte tokens", e));
    for (int32_t i = 0; i < m->n; i++) {
        const struct piece *p = &m->pieces[i];
        if (is_searched(p->type) || p->type == BYTE)
            MU_TRY_RETURN(mu_vocab_add(&t->vocab, i, p->text, where, e));
        else
            MU_TRY_RETURN(mu_vocab_add_hidden(&t->vocab, i, p->text, where, e));
        t->raw_kinds[i] = p->type == BYTE ? MU_RAW_BYTE : MU_RAW_TEXT;
        if (p->type == CONTROL)
            MU_TRY_RETURN(mu_added_add(t, (struct mu_added){i, p->text, .is_special = true}, e));
        if (p->type == UNKNOWN) {
            if (t->unk >= 0)
                return mu_fail(e, MU_EFORMAT, "%s: pieces %d and %d are both the unknown one", where, t->unk, i);
            t->unk = i;
            MU_TRY_RETURN(mu_tok_special_set(t, i, e));
        }
        if (p->type == USER_DEFINED)
            MU_TRY_RETURN(mu_trie_add(&t->keep, p->text, i, e));
    }
    if (t->unk < 0)
        return mu_fail(e, MU_EFORMAT, "%s: no piece is the unknown one", where);
    return MU_OK;
}

static int make_bpe(struct mu_tokenizer *t, const struct model *m, struct mu_err *e)
{
    struct mu_bpe *b = &t->bpe;
    float *scores = NULL;
    int rc = MU_OK;
    t->model = MU_MODEL_BPE;
    b->by_text = true;
    b->has_byte_fallback = m->byte_fallback;
    b->fuse_unk = true;
    b->unk = t->unk;
    b->keep = t->keep.n_nodes ? &t->keep : NULL;
    mu_vocab_byte_ids(&t->vocab, b->byte_ids);
    MU_TRY(MU_NEW_ARRAY(&scores, m->n, "token scores", e));
    MU_TRY(MU_NEW_ARRAY(&b->is_unused, m->n, "unused tokens", e));
    for (int32_t i = 0; i < m->n; i++) {
        scores[i] = m->pieces[i].score;
        b->is_unused[i] = m->pieces[i].type == UNUSED;
    }
    MU_TRY(mu_bpe_ranks_by_score(b, scores, m->n, e));
    for (int32_t i = 0; i < m->n; i++)
        if (!is_searched(m->pieces[i].type))
            b->ranks[i] = UINT32_MAX;
out:
    mu_free(scores);
    return rc;
}

static int make_unigram(struct mu_tokenizer *t, const struct model *m, struct mu_err *e)
{
    struct mu_unigram *u = &t->unigram;
    float lo = FLT_MAX, hi = -FLT_MAX;
    t->model = MU_MODEL_UNIGRAM;
    u->is_f32 = true;
    u->unk = t->unk;
    u->has_byte_fallback = m->byte_fallback;
    mu_vocab_byte_ids(&t->vocab, u->byte_ids);
    MU_TRY_RETURN(MU_NEW_ARRAY(&u->scores, m->n, "token scores", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&u->is_user, m->n, "token scores", e));
    for (int32_t i = 0; i < m->n; i++) {
        const struct piece *p = &m->pieces[i];
        u->scores[i] = p->score;
        u->is_user[i] = p->type == USER_DEFINED;
        if (p->type == NORMAL) {
            lo = MU_MIN(lo, p->score);
            hi = MU_MAX(hi, p->score);
        }
        if (p->type == NORMAL || p->type == USER_DEFINED)
            MU_TRY_RETURN(mu_trie_add(&u->trie, p->text, i, e));
    }
    u->score_max = hi;
    u->unk_score = lo - UNK_PENALTY;
    return MU_OK;
}

static int make_normalizer(struct mu_tokenizer *t, const struct model *m, const char *where, struct mu_err *e)
{
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->norms, 1, "the normalizer", e));
    struct mu_norm *s = &t->norms[t->n_norms++];
    s->kind = MU_NORM_SENTENCEPIECE;
    s->dummy_prefix = m->dummy_prefix;
    s->extra_spaces = m->extra_spaces;
    s->escape_spaces = m->escape_spaces;
    s->as_suffix = m->as_suffix;
    s->keep = t->keep.n_nodes ? &t->keep : NULL;
    return m->charsmap.n ? mu_charsmap_new(&s->map, m->charsmap, where, e) : MU_OK;
}

/* An id the trainer names, if it is a piece. */
static int32_t named(const struct mu_tokenizer *t, int64_t id)
{
    return id >= 0 && id < t->vocab.n && mu_vocab_has(&t->vocab, (int32_t)id) ? (int32_t)id : -1;
}

int mu_tok_load_spm(struct mu_tokenizer *t, struct mu_str blob, const char *where, struct mu_err *e)
{
    struct model m = {.type = 1,
                      .unk_id = 0,
                      .bos_id = 1,
                      .eos_id = 2,
                      .pad_id = -1,
                      .dummy_prefix = true,
                      .extra_spaces = true,
                      .escape_spaces = true,
                      .unk_surface = {" \xE2\x81\x87 ", 5}};
    int rc = MU_OK;

    t->source = "sentencepiece";
    MU_TRY(read_model(&m, blob, true, where, e));
    if (m.n == 0) {
        rc =
            mu_fail(e, MU_EFORMAT, "%s holds no pieces; it is neither a SentencePiece model nor tiktoken ranks", where);
        goto out;
    }
    MU_TRY(MU_NEW_ARRAY(&m.pieces, m.n, "SentencePiece pieces", e));
    m.n = 0;
    MU_TRY(read_model(&m, blob, false, where, e));
    if (m.type != 1 && m.type != 2) {
        rc = mu_fail(e, MU_EUNSUPPORTED, "%s: SentencePiece model type %d; unigram (1) and BPE (2) are supported",
                     where, m.type);
        goto out;
    }
    MU_TRY(mu_vocab_reserve(&t->vocab, (size_t)m.n, (size_t)m.n * 8, e));
    MU_TRY(add_pieces(t, &m, where, e));
    MU_TRY(m.type == 1 ? make_unigram(t, &m, e) : make_bpe(t, &m, e));
    MU_TRY(make_normalizer(t, &m, where, e));
    t->bos = named(t, m.bos_id);
    t->eos = named(t, m.eos_id);
    t->pad = named(t, m.pad_id);
    if (t->bos >= 0)
        t->before[t->n_before++] = t->bos; /* as Llama's and Mistral's tokenizers do with these files */
    t->decoder.is_raw = t->decoder.raw_spaces = true;
    t->decoder.raw_strip = m.dummy_prefix || m.extra_spaces;
    t->decoder.raw_strip_all = m.extra_spaces;
    MU_TRY(mu_tok_string(t, m.unk_surface, &t->decoder.unk_text, e));
    mu_tok_hash(t, blob.p, blob.n);
out:
    mu_free(m.pieces);
    return rc;
}
