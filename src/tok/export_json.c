/* export_json.c - tokenizer.json and tokenizer_config.json from a GGUF file
 *
 * The file is opened as a tokenizer first: what it holds is checked there, and what is written describes what runs. The
 * texts are written straight, a tree of a million nodes would cost half a gigabyte. Layout: Hugging Face tokenizers'
 * serialisation. */
#include "tok/export_json.h"

#include <stdio.h>

#include "base/check.h"
#include "base/json.h"
#include "base/utf8.h"
#include "fmt/gguf.h"
#include "tok/tok_int.h"

struct writing {
    const mu_tokenizer *t;
    const struct mu_gguf *g;
    const char *where;
    struct mu_buf *out;
    struct mu_err *e;
};

static int put(struct writing *w, const char *text)
{
    return mu_buf_puts(w->out, text, w->e);
}

static int put_string(struct writing *w, struct mu_str s)
{
    return mu_json_dump_string(w->out, s, w->e);
}

static struct mu_str piece(const struct writing *w, int32_t id)
{
    return mu_vocab_piece(&w->t->vocab, id);
}

static const char *text_of(bool v)
{
    return v ? "true" : "false";
}

/* A token by id, or null for -1. */
static int put_token(struct writing *w, int32_t id)
{
    return id < 0 || !mu_vocab_has(&w->t->vocab, id) ? put(w, "null") : put_string(w, piece(w, id));
}

/* ---- added tokens ---- */

static int put_added(struct writing *w)
{
    const struct mu_added_tokens *a = &w->t->added;
    MU_TRY_RETURN(put(w, "\"added_tokens\": ["));
    for (int32_t i = 0; i < a->n; i++) {
        MU_TRY_RETURN(mu_buf_printf(w->out, w->e, "%s\n{\"id\": %d, \"content\": ", i ? "," : "", a->v[i].id));
        MU_TRY_RETURN(put_string(w, a->v[i].content));
        MU_TRY_RETURN(mu_buf_printf(
            w->out, w->e,
            ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": %s}",
            text_of(a->v[i].is_special)));
    }
    return put(w, "],\n");
}

/* ---- begin and end of sequence ---- */

static bool adds(const int32_t *ids, int n, int32_t id)
{
    return n > 0 && id >= 0 && ids[0] == id;
}

static int put_special(struct writing *w, int32_t id, int type)
{
    MU_TRY_RETURN(put(w, "{\"SpecialToken\": {\"id\": "));
    MU_TRY_RETURN(put_string(w, piece(w, id)));
    return mu_buf_printf(w->out, w->e, ", \"type_id\": %d}}", type);
}

/* One text with what goes around it. */
static int put_sequence(struct writing *w, char name, int type)
{
    const mu_tokenizer *t = w->t;
    if (t->n_before > 0) {
        MU_TRY_RETURN(put_special(w, t->before[0], type));
        MU_TRY_RETURN(put(w, ", "));
    }
    MU_TRY_RETURN(mu_buf_printf(w->out, w->e, "{\"Sequence\": {\"id\": \"%c\", \"type_id\": %d}}", name, type));
    if (t->n_after == 0)
        return MU_OK;
    MU_TRY_RETURN(put(w, ", "));
    return put_special(w, t->after[0], type);
}

static int put_special_entry(struct writing *w, int32_t id)
{
    MU_TRY_RETURN(put_string(w, piece(w, id)));
    MU_TRY_RETURN(put(w, ": {\"id\": "));
    MU_TRY_RETURN(put_string(w, piece(w, id)));
    MU_TRY_RETURN(mu_buf_printf(w->out, w->e, ", \"ids\": [%d], \"tokens\": [", id));
    MU_TRY_RETURN(put_string(w, piece(w, id)));
    return put(w, "]}");
}

static int put_post_processor(struct writing *w)
{
    const mu_tokenizer *t = w->t;
    if (t->n_before + t->n_after == 0)
        return put(w, "\"post_processor\": null,\n");
    MU_TRY_RETURN(put(w, "\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": ["));
    MU_TRY_RETURN(put_sequence(w, 'A', 0));
    MU_TRY_RETURN(put(w, "], \"pair\": ["));
    MU_TRY_RETURN(put_sequence(w, 'A', 0));
    MU_TRY_RETURN(put(w, ", "));
    MU_TRY_RETURN(put_sequence(w, 'B', 1));
    MU_TRY_RETURN(put(w, "], \"special_tokens\": {"));
    bool is_one = t->n_before > 0 && t->n_after > 0 && t->before[0] == t->after[0];
    if (t->n_before > 0)
        MU_TRY_RETURN(put_special_entry(w, t->before[0]));
    if (t->n_before > 0 && t->n_after > 0 && !is_one)
        MU_TRY_RETURN(put(w, ", "));
    if (t->n_after > 0 && !is_one)
        MU_TRY_RETURN(put_special_entry(w, t->after[0]));
    return put(w, "}},\n");
}

/* ---- the steps around the model ---- */

/* A space before each part of the text, and the mark for spaces: all in the normalizer, as Llama's published file. */
static int put_spm_steps(struct writing *w)
{
    bool has_prefix = w->t->norms[0].dummy_prefix;
    MU_TRY_RETURN(put(w, "\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": ["));
    if (has_prefix)
        MU_TRY_RETURN(put(w, "{\"type\": \"Prepend\", \"prepend\": \"" MU_SPACE_MARK "\"}, "));
    MU_TRY_RETURN(put(w, "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"" MU_SPACE_MARK
                         "\"}]},\n"
                         "\"pre_tokenizer\": null,\n"));
    MU_TRY_RETURN(put_post_processor(w));
    MU_TRY_RETURN(put(w, "\"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", \"pattern\": "
                         "{\"String\": \"" MU_SPACE_MARK "\"}, \"content\": \" \"}, {\"type\": \"ByteFallback\"}, "
                         "{\"type\": \"Fuse\"}"));
    if (has_prefix)
        MU_TRY_RETURN(put(w, ", {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}"));
    return put(w, "]},\n");
}

static const struct mu_split_set *split_set(const struct writing *w)
{
    char name[64] = "default";
    struct mu_str pre;
    if (mu_gguf_string(w->g, "tokenizer.ggml.pre", &pre, NULL) == MU_OK)
        snprintf(name, sizeof name, "%.*s", (int)MU_MIN(pre.n, sizeof name - 1), pre.p);
    return mu_split_set_find(name);
}

static int put_byte_level_steps(struct writing *w)
{
    const struct mu_split_set *set = split_set(w);
    if (!set)
        return mu_fail(w->e, MU_EINTERNAL, "%s opened with a pre-tokenizer that is not known", w->where);
    MU_TRY_RETURN(put(w, "\"normalizer\": null,\n"
                         "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": ["));
    for (int i = 0; i < set->n; i++) {
        MU_TRY_RETURN(put(w, "{\"type\": \"Split\", \"pattern\": {\"Regex\": "));
        MU_TRY_RETURN(put_string(w, mu_str(set->patterns[i])));
        MU_TRY_RETURN(put(w, "}, \"behavior\": \"Isolated\", \"invert\": false},\n"));
    }
    MU_TRY_RETURN(put(w, "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, "
                         "\"use_regex\": false}]},\n"));
    MU_TRY_RETURN(put_post_processor(w));
    return put(w, "\"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, "
                  "\"use_regex\": true},\n");
}

/* ---- the model ---- */

static int check_piece(const struct writing *w, int32_t id, struct mu_str s)
{
    int32_t other = mu_vocab_find(&w->t->vocab, s.p, s.n);
    if (other >= 0 && other != id)
        return mu_fail(w->e, MU_EUNSUPPORTED,
                       "%s: tokens %d and %d are spelled alike, which tokenizer.json cannot hold", w->where, id, other);
    if (mu_utf8_valid_prefix(s.p, s.n) != s.n)
        return mu_fail(w->e, MU_EUNSUPPORTED, "%s: token %d is no valid UTF-8, which tokenizer.json cannot hold",
                       w->where, id);
    return MU_OK;
}

static int put_vocab(struct writing *w)
{
    const char *part = "\n";
    MU_TRY_RETURN(put(w, "\"vocab\": {"));
    for (int32_t id = 0; id < w->t->vocab.n; id++) {
        if (!mu_vocab_has(&w->t->vocab, id) || piece(w, id).n == 0)
            continue;
        MU_TRY_RETURN(check_piece(w, id, piece(w, id)));
        MU_TRY_RETURN(put(w, part));
        MU_TRY_RETURN(put_string(w, piece(w, id)));
        MU_TRY_RETURN(mu_buf_printf(w->out, w->e, ": %d", id));
        part = ",\n";
    }
    return put(w, "},\n\"merges\": ");
}

/* Merges of the file, "left right" each; opening has seen that they are two tokens. */
static int put_merges(struct writing *w)
{
    struct mu_gguf_array merges;
    struct mu_str s;
    const char *part = "\n[";
    MU_TRY_RETURN(mu_gguf_strings(w->g, "tokenizer.ggml.merges", &merges, w->e));
    MU_TRY_RETURN(put(w, "["));
    while (mu_gguf_next_string(&merges, &s)) {
        const char *space = s.n > 1 ? memchr(s.p + 1, ' ', s.n - 1) : NULL;
        if (!space)
            return mu_fail(w->e, MU_EINTERNAL, "%s opened with a merge that is none", w->where);
        size_t left = (size_t)(space - s.p);
        MU_TRY_RETURN(put(w, part));
        MU_TRY_RETURN(put_string(w, (struct mu_str){s.p, left}));
        MU_TRY_RETURN(put(w, ", "));
        MU_TRY_RETURN(put_string(w, (struct mu_str){space + 1, s.n - left - 1}));
        MU_TRY_RETURN(put(w, "]"));
        part = ",\n[";
    }
    return put(w, "\n]");
}

static int put_model(struct writing *w)
{
    const struct mu_bpe *b = &w->t->bpe;
    MU_TRY_RETURN(put(w, "\"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": "));
    MU_TRY_RETURN(put_token(w, b->unk));
    MU_TRY_RETURN(mu_buf_printf(w->out, w->e,
                                ", \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, "
                                "\"fuse_unk\": %s, \"byte_fallback\": %s, \"ignore_merges\": %s,\n",
                                text_of(b->fuse_unk), text_of(b->has_byte_fallback), text_of(b->ignore_merges)));
    MU_TRY_RETURN(put_vocab(w));
    MU_TRY_RETURN(b->by_text ? mu_tok_export_merges(w->t, w->out, w->e) : put_merges(w));
    return put(w, "}}\n");
}

static int put_tokenizer(struct writing *w)
{
    MU_TRY_RETURN(put(w, "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n"));
    MU_TRY_RETURN(put_added(w));
    MU_TRY_RETURN(w->t->bpe.by_text ? put_spm_steps(w) : put_byte_level_steps(w));
    return put_model(w);
}

/* ---- tokenizer_config.json ---- */

static int put_named(struct writing *w, const char *name, int32_t id)
{
    MU_TRY_RETURN(mu_buf_printf(w->out, w->e, "  \"%s\": ", name));
    MU_TRY_RETURN(put_token(w, id));
    return put(w, ",\n");
}

static int put_config(struct writing *w)
{
    const mu_tokenizer *t = w->t;
    struct mu_str template;
    MU_TRY_RETURN(mu_buf_printf(w->out, w->e, "{\n  \"add_bos_token\": %s,\n  \"add_eos_token\": %s,\n",
                                text_of(adds(t->before, t->n_before, t->bos)),
                                text_of(adds(t->after, t->n_after, t->eos))));
    MU_TRY_RETURN(put_named(w, "bos_token", t->bos));
    MU_TRY_RETURN(put_named(w, "eos_token", t->eos));
    MU_TRY_RETURN(put_named(w, "pad_token", t->pad));
    MU_TRY_RETURN(put_named(w, "unk_token", t->unk));
    if (mu_gguf_find(w->g, "tokenizer.chat_template")) {
        MU_TRY_RETURN(mu_gguf_string(w->g, "tokenizer.chat_template", &template, w->e));
        MU_TRY_RETURN(put(w, "  \"chat_template\": "));
        MU_TRY_RETURN(put_string(w, template));
        MU_TRY_RETURN(put(w, ",\n"));
    }
    return put(w, "  \"clean_up_tokenization_spaces\": false,\n"
                  "  \"tokenizer_class\": \"PreTrainedTokenizerFast\"\n}\n");
}

int mu_tok_export_gguf(const char *path, struct mu_buf *tokenizer, struct mu_buf *config, struct mu_err *e)
{
    struct writing w = {.where = path, .out = tokenizer, .e = e};
    struct mu_gguf *g = NULL;
    mu_tokenizer *t = NULL;
    int rc = MU_OK;

    MU_TRY(mu_gguf_open(&g, path, e));
    MU_TRY(mu_tokenizer_open(&t, path, NULL, e));
    if (t->model != MU_MODEL_BPE) {
        rc = mu_fail(e, MU_EUNSUPPORTED,
                     "%s: its tokenizer is neither byte-level nor SentencePiece BPE; only those are written as "
                     "tokenizer.json",
                     path);
        goto out;
    }
    w.t = t;
    w.g = g;
    MU_TRY(put_tokenizer(&w));
    w.out = config;
    MU_TRY(put_config(&w));
out:
    mu_tokenizer_close(t);
    mu_gguf_free(g);
    return rc;
}
