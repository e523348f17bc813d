/* json_file.c - tokenizer.json and tokenizer_config.json: the file as a whole, added tokens
 *
 * The two large tables are cut out before the JSON is parsed (json_tables.c). Sections: json_model.c, json_steps.c
 * (normalizer, pre-tokenizer), json_post.c (post-processor, decoder). Knowingly unused: "truncation" and "padding" (the
 * caller's business), "version". */
#include "tok/tok_int.h"

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "tok/json_tables.h"

/* ---- small readers shared by the sections ---- */

int mu_tok_json_str(struct mu_tokenizer *t, json_t *owner, const char *key, const char *dflt, struct mu_str *out,
                    const char *where, struct mu_err *e)
{
    const json_t *v = json_object_get(owner, key);
    if ((!v || json_is_null(v)) && dflt)
        return mu_tok_string(t, mu_str(dflt), out, e);
    if (!json_is_string(v))
        return mu_fail(e, MU_EFORMAT, "%s: \"%s\" must be a string", where, key);
    return mu_tok_string(t, (struct mu_str){json_string_value(v), json_string_length(v)}, out, e);
}

int mu_tok_json_flag(json_t *owner, const char *key, bool dflt, bool *out, const char *where, struct mu_err *e)
{
    *out = dflt;
    return mu_json_has(owner, key) ? mu_json_bool(owner, key, out, where, e) : MU_OK;
}

/* {"String": "x"} or {"Regex": "x"}, or a plain string. */
int mu_tok_json_pattern(struct mu_tokenizer *t, json_t *owner, struct mu_tok_pattern *out, const char *where,
                        struct mu_err *e)
{
    json_t *v = json_object_get(owner, "pattern");
    json_t *literal = json_is_string(v) ? v : json_object_get(v, "String");
    json_t *regex = json_object_get(v, "Regex");
    if (json_is_string(literal)) {
        struct mu_str s = {json_string_value(literal), json_string_length(literal)};
        return mu_tok_string(t, s, &out->literal, e);
    }
    if (!json_is_string(regex))
        return mu_fail(e, MU_EFORMAT, "%s: \"pattern\" must be {\"String\": ...} or {\"Regex\": ...}", where);
    struct mu_str s = {json_string_value(regex), json_string_length(regex)};
    return mu_regex_compile(&out->regex, s, where, e);
}

/* ---- added tokens ---- */

/* Hugging Face gives a token the id it has in the model's vocabulary, else the next free one; the file's own number
 * is what that comes to, and a file where the two differ is not what its publisher ran. */
static int added_token(struct mu_tokenizer *t, json_t *v, const char *where, struct mu_err *e)
{
    struct mu_added a = {0};
    const char *text;
    int64_t id;
    if (!json_is_object(v))
        return mu_fail(e, MU_EFORMAT, "%s: \"added_tokens\" holds something that is no object", where);
    MU_TRY_RETURN(mu_json_string(v, "content", &text, where, e));
    MU_TRY_RETURN(mu_json_int(v, "id", 0, MU_TOK_VOCAB_MAX - 1, &id, where, e));
    MU_TRY_RETURN(mu_tok_json_flag(v, "special", false, &a.is_special, where, e));
    MU_TRY_RETURN(mu_tok_json_flag(v, "single_word", false, &a.single_word, where, e));
    MU_TRY_RETURN(mu_tok_json_flag(v, "lstrip", false, &a.lstrip, where, e));
    MU_TRY_RETURN(mu_tok_json_flag(v, "rstrip", false, &a.rstrip, where, e));
    MU_TRY_RETURN(mu_tok_json_flag(v, "normalized", !a.is_special, &a.normalized, where, e));
    a.content = (struct mu_str){text, json_string_length(json_object_get(v, "content"))};
    if (a.content.n == 0)
        return MU_OK;
    a.id = (int32_t)id;
    int32_t in_model = mu_vocab_find(&t->vocab, a.content.p, a.content.n);
    if (in_model >= 0)
        a.id = in_model;
    else if (!mu_vocab_has(&t->vocab, a.id) || !mu_str_eq(mu_vocab_piece(&t->vocab, a.id), a.content))
        MU_TRY_RETURN(mu_vocab_add_hidden(&t->vocab, id, a.content, where, e));
    return mu_added_add(t, a, e);
}

static int added_tokens(struct mu_tokenizer *t, json_t *root, const char *where, struct mu_err *e)
{
    json_t *list = json_object_get(root, "added_tokens"), *v;
    size_t i;
    if (!list || json_is_null(list))
        return MU_OK;
    if (!json_is_array(list))
        return mu_fail(e, MU_EFORMAT, "%s: \"added_tokens\" must be an array", where);
    json_array_foreach(list, i, v) MU_TRY_RETURN(added_token(t, v, where, e));
    return MU_OK;
}

/* ---- the file ---- */

/* The parts that decide encodings, in one spelling, into the hash. Vocabulary and merges are hashed by themselves. */
static int hash_sections(struct mu_tokenizer *t, json_t *root, struct mu_err *e)
{
    static const char *const keys[] = {"added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder"};
    struct mu_buf text = MU_BUF_INIT("tokenizer sections", MU_JSON_BYTES_MAX);
    int rc = MU_OK;
    for (size_t i = 0; i < MU_COUNT(keys); i++) {
        json_t *v = json_object_get(root, keys[i]);
        mu_buf_clear(&text);
        if (v)
            MU_TRY(mu_json_dump(&text, v, false, e));
        mu_tok_hash(t, mu_buf_str(&text).p, text.n);
    }
out:
    mu_buf_fini(&text);
    return rc;
}

static int find_first(const struct mu_tokenizer *t, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t id = mu_tokenizer_find(t, names[i], strlen(names[i]));
        if (id >= 0)
            return id;
    }
    return -1;
}

/* Begin and end of sequence where no tokenizer_config.json says which: what the post-processor adds, else the usual
 * names. */
static void guess_specials(struct mu_tokenizer *t)
{
    static const char *const bos[] = {"<s>", "<|begin_of_text|>", "<bos>"};
    static const char *const eos[] = {"</s>", "<|end_of_text|>", "<|endoftext|>", "<eos>"};
    static const char *const pad[] = {"<pad>", "[PAD]"};
    t->bos = t->n_before > 0 ? t->before[0] : find_first(t, bos, MU_COUNT(bos));
    t->eos = t->n_after > 0 ? t->after[t->n_after - 1] : find_first(t, eos, MU_COUNT(eos));
    t->pad = find_first(t, pad, MU_COUNT(pad));
    t->unk = t->model == MU_MODEL_BPE ? t->bpe.unk : t->model == MU_MODEL_UNIGRAM ? t->unigram.unk : t->wordpiece.unk;
    t->unk = MU_MAX(t->unk, -1);
}

static int load_root(struct mu_tokenizer *t, json_t *root, const struct mu_json_tables *tables, const char *where,
                     struct mu_err *e)
{
    json_t *model;
    if (!json_is_object(root))
        return mu_fail(e, MU_EFORMAT, "%s holds no JSON object", where);
    t->source = "tokenizer.json";
    MU_TRY_RETURN(mu_json_object(root, "model", &model, where, e));
    MU_TRY_RETURN(mu_tok_json_model(t, model, tables, where, e));
    MU_TRY_RETURN(added_tokens(t, root, where, e));
    MU_TRY_RETURN(mu_tok_json_normalizer(t, json_object_get(root, "normalizer"), where, e));
    MU_TRY_RETURN(mu_tok_json_pretokenizer(t, json_object_get(root, "pre_tokenizer"), where, e));
    MU_TRY_RETURN(mu_tok_json_postprocessor(t, json_object_get(root, "post_processor"), where, e));
    MU_TRY_RETURN(mu_tok_json_decoder(t, json_object_get(root, "decoder"), where, e));
    MU_TRY_RETURN(hash_sections(t, root, e));
    guess_specials(t);
    return MU_OK;
}

int mu_tok_load_json_text(struct mu_tokenizer *t, struct mu_str text, const char *where, struct mu_err *e)
{
    struct mu_buf rest = MU_BUF_INIT("tokenizer.json", MU_JSON_BYTES_MAX);
    struct mu_json_tables tables;
    json_t *root = NULL;
    bool found = false;
    int rc = MU_OK;
    MU_TRY(mu_json_tables_cut(&tables, &rest, text, &found, e));
    if (found && mu_json_parse(&root, mu_buf_str(&rest), where, NULL) == MU_OK) {
        MU_TRY(load_root(t, root, &tables, where, e));
    } else { /* no tables, or bad JSON: the sentence then counts lines in the whole file */
        MU_TRY(mu_json_parse(&root, text, where, e));
        MU_TRY(load_root(t, root, NULL, where, e));
    }
out:
    json_decref(root);
    mu_buf_fini(&rest);
    return rc;
}

int mu_tok_load_json(struct mu_tokenizer *t, const char *path, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("tokenizer.json", MU_JSON_BYTES_MAX);
    int rc = MU_OK;
    MU_TRY(mu_file_read_all(&text, path, e));
    MU_TRY(mu_tok_load_json_text(t, mu_buf_str(&text), path, e));
out:
    mu_buf_fini(&text);
    return rc;
}

/* ---- tokenizer_config.json ---- */

/* A special token named by the configuration: a string, or an object with "content". */
static void config_token(const struct mu_tokenizer *t, json_t *root, const char *key, int32_t *out)
{
    json_t *v = json_object_get(root, key);
    if (json_is_object(v))
        v = json_object_get(v, "content");
    if (json_is_null(v))
        *out = -1; /* the publisher says: none */
    if (!json_is_string(v))
        return;
    int32_t id = mu_tokenizer_find(t, json_string_value(v), json_string_length(v));
    if (id >= 0)
        *out = id;
}

/* As transformers does: when either key is there, begin and end are put as the two say, in place of the
 * post-processor's template. */
static int config_affixes(struct mu_tokenizer *t, json_t *root, const char *where, struct mu_err *e)
{
    bool add_bos, add_eos;
    if (!mu_json_has(root, "add_bos_token") && !mu_json_has(root, "add_eos_token"))
        return MU_OK;
    MU_TRY_RETURN(mu_tok_json_flag(root, "add_bos_token", false, &add_bos, where, e));
    MU_TRY_RETURN(mu_tok_json_flag(root, "add_eos_token", false, &add_eos, where, e));
    t->n_before = t->n_after = 0;
    if (add_bos && t->bos >= 0)
        t->before[t->n_before++] = t->bos;
    if (add_eos && t->eos >= 0)
        t->after[t->n_after++] = t->eos;
    return MU_OK;
}

static int load_config(struct mu_tokenizer *t, json_t *root, const char *where, struct mu_err *e)
{
    bool wants_cleanup;
    if (!json_is_object(root))
        return mu_fail(e, MU_EFORMAT, "%s holds no JSON object", where);
    config_token(t, root, "bos_token", &t->bos);
    config_token(t, root, "eos_token", &t->eos);
    config_token(t, root, "unk_token", &t->unk);
    config_token(t, root, "pad_token", &t->pad);
    MU_TRY_RETURN(config_affixes(t, root, where, e));
    MU_TRY_RETURN(mu_tok_json_flag(root, "clean_up_tokenization_spaces", false, &wants_cleanup, where, e));
    t->decoder.has_cleanup = wants_cleanup && t->model != MU_MODEL_BPE; /* transformers ignores it for BPE */
    return MU_OK;
}

int mu_tok_load_config(struct mu_tokenizer *t, const char *dir, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", 4096);
    json_t *root = NULL;
    int rc = MU_OK;
    MU_TRY(mu_path_join(&path, dir, "tokenizer_config.json", e));
    if (!mu_path_exists(path.p))
        goto out;
    MU_TRY(mu_json_load(&root, path.p, e));
    MU_TRY(load_config(t, root, path.p, e));
out:
    json_decref(root);
    mu_buf_fini(&path);
    return rc;
}
