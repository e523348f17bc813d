/* json_post.c - the "post_processor" and "decoder" sections of tokenizer.json
 *
 * Only single texts are encoded here, so a post-processor comes to ids before and ids after. */
#include "tok/tok_int.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"

#define SEQUENCE_DEPTH_MAX 16

static int fail_too_many(const char *where, struct mu_err *e)
{
    return mu_fail(e, MU_ELIMIT, "%s: the post-processor adds more than %d tokens", where, MU_TOK_SPECIAL_MAX);
}

static int add_before(struct mu_tokenizer *t, int32_t id, int at, const char *where, struct mu_err *e)
{
    if (t->n_before == MU_TOK_SPECIAL_MAX)
        return fail_too_many(where, e);
    memmove(t->before + at + 1, t->before + at, (size_t)(t->n_before - at) * sizeof *t->before);
    t->before[at] = id;
    t->n_before++;
    return MU_OK;
}

static int add_after(struct mu_tokenizer *t, int32_t id, const char *where, struct mu_err *e)
{
    if (t->n_after == MU_TOK_SPECIAL_MAX)
        return fail_too_many(where, e);
    t->after[t->n_after++] = id;
    return MU_OK;
}

/* ---- templates ---- */

static int template_special(struct mu_tokenizer *t, json_t *root, const char *name, bool after_text, int *n_before,
                            const char *where, struct mu_err *e)
{
    json_t *special = json_object_get(json_object_get(root, "special_tokens"), name);
    json_t *ids = json_object_get(special, "ids"), *v;
    size_t i;
    if (!json_is_array(ids))
        return mu_fail(e, MU_EFORMAT, "%s: the template names \"%.60s\", which its \"special_tokens\" lack", where,
                       name);
    json_array_foreach(ids, i, v)
    {
        json_int_t id = json_is_integer(v) ? json_integer_value(v) : -1;
        if (id < 0 || id >= MU_TOK_VOCAB_MAX)
            return mu_fail(e, MU_EFORMAT, "%s: the template's \"%.60s\" has an id outside 0..%d", where, name,
                           MU_TOK_VOCAB_MAX - 1);
        if (after_text)
            MU_TRY_RETURN(add_after(t, (int32_t)id, where, e));
        else
            MU_TRY_RETURN(add_before(t, (int32_t)id, (*n_before)++, where, e));
    }
    return MU_OK;
}

static int post_template(struct mu_tokenizer *t, json_t *v, const char *where, struct mu_err *e)
{
    json_t *single, *item;
    size_t i;
    int n_before = 0, n_texts = 0;
    MU_TRY_RETURN(mu_json_array(v, "single", &single, where, e));
    json_array_foreach(single, i, item)
    {
        json_t *special = json_object_get(item, "SpecialToken");
        const char *name = json_string_value(json_object_get(special, "id"));
        if (json_object_get(item, "Sequence")) {
            n_texts++;
            continue;
        }
        if (!name)
            return mu_fail(e, MU_EFORMAT, "%s: item %zu of the template is neither Sequence nor SpecialToken", where,
                           i);
        MU_TRY_RETURN(template_special(t, v, name, n_texts > 0, &n_before, where, e));
    }
    if (n_texts != 1)
        return mu_fail(e, MU_EUNSUPPORTED, "%s: the template holds the text %d times, once is supported", where,
                       n_texts);
    return MU_OK;
}

/* ["[SEP]", 102] */
static int post_pair(json_t *v, const char *key, int32_t *out, const char *where, struct mu_err *e)
{
    json_t *id = json_array_get(json_object_get(v, key), 1);
    json_int_t n = json_is_integer(id) ? json_integer_value(id) : -1;
    if (n < 0 || n >= MU_TOK_VOCAB_MAX)
        return mu_fail(e, MU_EFORMAT, "%s: \"%s\" of the post-processor is not [\"token\", id]", where, key);
    *out = (int32_t)n;
    return MU_OK;
}

static int post_bert(struct mu_tokenizer *t, json_t *v, const char *where, struct mu_err *e)
{
    int32_t sep = -1, cls = -1;
    MU_TRY_RETURN(post_pair(v, "sep", &sep, where, e));
    MU_TRY_RETURN(post_pair(v, "cls", &cls, where, e));
    MU_TRY_RETURN(add_before(t, cls, 0, where, e));
    return add_after(t, sep, where, e);
}

static int post_step(struct mu_tokenizer *t, json_t *v, int depth, const char *where, struct mu_err *e)
{
    const char *type;
    json_t *list, *child;
    size_t i;
    if (!json_is_object(v))
        return mu_fail(e, MU_EFORMAT, "%s: \"post_processor\" is no object", where);
    MU_TRY_RETURN(mu_json_string(v, "type", &type, where, e));
    if (strcmp(type, "Sequence") == 0) {
        if (depth == SEQUENCE_DEPTH_MAX)
            return mu_fail(e, MU_ELIMIT, "%s: sequences of the post-processor nest deeper than %d", where, depth);
        MU_TRY_RETURN(mu_json_array(v, "processors", &list, where, e));
        json_array_foreach(list, i, child) MU_TRY_RETURN(post_step(t, child, depth + 1, where, e));
        return MU_OK;
    }
    if (strcmp(type, "TemplateProcessing") == 0)
        return post_template(t, v, where, e);
    if (strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0)
        return post_bert(t, v, where, e);
    if (strcmp(type, "ByteLevel") == 0) /* trims offsets only */
        return MU_OK;
    return mu_fail(e, MU_EUNSUPPORTED, "%s: post-processor \"%.60s\" is not known", where, type);
}

int mu_tok_json_postprocessor(struct mu_tokenizer *t, json_t *v, const char *where, struct mu_err *e)
{
    return !v || json_is_null(v) ? MU_OK : post_step(t, v, 0, where, e);
}

/* ---- decoder ---- */

static int dec_metaspace(struct mu_tokenizer *t, struct mu_dec *d, json_t *v, const char *where, struct mu_err *e)
{
    bool prefix;
    const char *scheme = json_string_value(json_object_get(v, "prepend_scheme"));
    MU_TRY_RETURN(mu_tok_json_str(t, v, "replacement", "\xE2\x96\x81", &d->content, where, e));
    MU_TRY_RETURN(mu_tok_json_flag(v, "add_prefix_space", true, &prefix, where, e));
    d->keep_first = scheme ? strcmp(scheme, "never") == 0 : !prefix;
    if (d->content.n == 0)
        return mu_fail(e, MU_EFORMAT, "%s: the decoder's \"replacement\" is empty", where);
    return MU_OK;
}

static int dec_strip(struct mu_tokenizer *t, struct mu_dec *d, json_t *v, const char *where, struct mu_err *e)
{
    MU_TRY_RETURN(mu_tok_json_str(t, v, "content", " ", &d->content, where, e));
    if (d->content.n == 0)
        return mu_fail(e, MU_EFORMAT, "%s: the decoder strips an empty \"content\"", where);
    if (mu_json_has(v, "start"))
        MU_TRY_RETURN(mu_json_int(v, "start", 0, INT32_MAX, &d->start, where, e));
    return mu_json_has(v, "stop") ? mu_json_int(v, "stop", 0, INT32_MAX, &d->stop, where, e) : MU_OK;
}

static int dec_fields(struct mu_tokenizer *t, struct mu_dec *d, json_t *v, const char *where, struct mu_err *e)
{
    switch (d->kind) {
    case MU_DEC_METASPACE:
        return dec_metaspace(t, d, v, where, e);
    case MU_DEC_WORDPIECE:
        MU_TRY_RETURN(mu_tok_json_str(t, v, "prefix", "##", &d->content, where, e));
        return mu_tok_json_flag(v, "cleanup", true, &d->cleanup, where, e);
    case MU_DEC_STRIP:
        return dec_strip(t, d, v, where, e);
    case MU_DEC_REPLACE:
        MU_TRY_RETURN(mu_tok_json_str(t, v, "content", NULL, &d->content, where, e));
        return mu_tok_json_pattern(t, v, &d->pattern, where, e);
    case MU_DEC_BPE:
        return mu_tok_json_str(t, v, "suffix", "</w>", &d->content, where, e);
    case MU_DEC_CTC:
        MU_TRY_RETURN(mu_tok_json_str(t, v, "pad_token", "<pad>", &d->content, where, e));
        MU_TRY_RETURN(mu_tok_json_str(t, v, "word_delimiter_token", "|", &d->delimiter, where, e));
        return mu_tok_json_flag(v, "cleanup", true, &d->cleanup, where, e);
    case MU_DEC_BYTE_LEVEL:
    case MU_DEC_BYTE_FALLBACK:
    case MU_DEC_FUSE:
        break;
    }
    return MU_OK;
}

static int dec_step(struct mu_tokenizer *t, json_t *v, int depth, const char *where, struct mu_err *e)
{
    static const struct {
        const char *name;
        enum mu_dec_kind kind;
    } names[] = {{"ByteLevel", MU_DEC_BYTE_LEVEL},
                 {"ByteFallback", MU_DEC_BYTE_FALLBACK},
                 {"Metaspace", MU_DEC_METASPACE},
                 {"WordPiece", MU_DEC_WORDPIECE},
                 {"Fuse", MU_DEC_FUSE},
                 {"Strip", MU_DEC_STRIP},
                 {"Replace", MU_DEC_REPLACE},
                 {"BPEDecoder", MU_DEC_BPE},
                 {"CTC", MU_DEC_CTC}};
    const char *type;
    json_t *list, *child;
    size_t i;

    if (!json_is_object(v))
        return mu_fail(e, MU_EFORMAT, "%s: a step of \"decoder\" is no object", where);
    MU_TRY_RETURN(mu_json_string(v, "type", &type, where, e));
    if (strcmp(type, "Sequence") == 0) {
        if (depth == SEQUENCE_DEPTH_MAX)
            return mu_fail(e, MU_ELIMIT, "%s: sequences of the decoder nest deeper than %d", where, depth);
        MU_TRY_RETURN(mu_json_array(v, "decoders", &list, where, e));
        json_array_foreach(list, i, child) MU_TRY_RETURN(dec_step(t, child, depth + 1, where, e));
        return MU_OK;
    }
    if (t->decoder.n == MU_TOK_STEPS_MAX)
        return mu_fail(e, MU_ELIMIT, "%s: the decoder has more than %d steps", where, MU_TOK_STEPS_MAX);
    for (i = 0; i < MU_COUNT(names); i++) {
        if (strcmp(type, names[i].name) != 0)
            continue;
        struct mu_dec *d = &t->decoder.v[t->decoder.n++];
        d->kind = names[i].kind;
        return dec_fields(t, d, v, where, e);
    }
    return mu_fail(e, MU_EUNSUPPORTED, "%s: decoder \"%.60s\" is not known", where, type);
}

int mu_tok_json_decoder(struct mu_tokenizer *t, json_t *v, const char *where, struct mu_err *e)
{
    t->decoder.is_none = !v || json_is_null(v);
    if (t->decoder.is_none)
        return MU_OK;
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->decoder.v, MU_TOK_STEPS_MAX, "the decoder", e));
    return dec_step(t, v, 0, where, e);
}
