/* tokenizer.c - opening: which kind of file a path is, and the handle's plain questions
 *
 * Detection reads names first and, where a name says too little (tokenizer.model), the first bytes. */
#include "tok/tok_int.h"

#include <dirent.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tok/open_memory.h"

#define TOK_FILE_BYTES_MAX ((size_t)256 << 20) /* as for JSON: the largest published is 35 MB */

/* ---- shared by the loaders ---- */

void mu_tok_hash(struct mu_tokenizer *t, const void *p, size_t n)
{
    t->hash = mu_hash64(p, n, t->hash ^ n);
}

void mu_tok_hash_vocab(struct mu_tokenizer *t)
{
    for (int32_t i = 0; i < t->vocab.n; i++) {
        if (!mu_vocab_has(&t->vocab, i))
            continue;
        struct mu_str s = mu_vocab_piece(&t->vocab, i);
        t->hash = mu_hash64(s.p, s.n, t->hash + (uint64_t)i);
    }
}

int mu_tok_string(struct mu_tokenizer *t, struct mu_str s, struct mu_str *out, struct mu_err *e)
{
    char *p = mu_arena_strdup(&t->arena, s, e);
    if (!p)
        return e && e->code ? e->code : MU_ENOMEM;
    *out = (struct mu_str){p, s.n};
    return MU_OK;
}

int mu_tok_special_set(struct mu_tokenizer *t, int32_t id, struct mu_err *e)
{
    if (!t->is_special)
        MU_TRY_RETURN(MU_NEW_ARRAY(&t->is_special, MU_TOK_VOCAB_MAX / 8, "special tokens", e));
    t->is_special[id / 8] |= (uint8_t)(1u << (id % 8));
    return MU_OK;
}

int mu_tok_add_split(struct mu_tokenizer *t, const char *const *patterns, int n, const char *where, struct mu_err *e)
{
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->pres, n + 1, "the pre-tokenizer", e));
    for (int i = 0; i < n; i++) {
        struct mu_pre *p = &t->pres[t->n_pres++];
        *p = (struct mu_pre){.kind = MU_PRE_SPLIT, .behaviour = MU_ISOLATED};
        MU_TRY_RETURN(mu_regex_compile(&p->pattern.regex, mu_str(patterns[i]), where, e));
    }
    return MU_OK;
}

/* ---- what a path is ---- */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* Folder of a path, into out; "." for a bare name. */
static int folder_of(struct mu_buf *out, const char *path, struct mu_err *e)
{
    const char *slash = strrchr(path, '/');
    mu_buf_clear(out);
    if (!slash)
        return mu_buf_puts(out, ".", e);
    return mu_buf_add(out, path, slash == path ? 1 : (size_t)(slash - path), e);
}

/* The first name in dir that ends so, in byte order: the same on every file system. */
static int find_ending(struct mu_buf *out, const char *dir, const char *end, struct mu_err *e)
{
    char best[256] = "";
    DIR *d = opendir(dir);
    for (struct dirent *entry; d && (entry = readdir(d)) != NULL;) {
        if (!ends_with(entry->d_name, end) || entry->d_name[0] == '.')
            continue;
        if (best[0] == 0 || strcmp(entry->d_name, best) < 0)
            snprintf(best, sizeof best, "%s", entry->d_name);
    }
    if (d)
        closedir(d);
    mu_buf_clear(out);
    return best[0] ? mu_path_join(out, dir, best, e) : MU_OK;
}

/* The tokenizer's file inside a folder, by preference. */
static int find_in_folder(struct mu_buf *out, const char *dir, struct mu_err *e)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model"};
    static const char *const endings[] = {".tiktoken", "merges.txt", ".gguf", ".model"};
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        MU_TRY_RETURN(mu_path_join(out, dir, names[i], e));
        if (mu_path_exists(out->p))
            return MU_OK;
    }
    for (size_t i = 0; i < MU_COUNT(endings); i++) {
        MU_TRY_RETURN(find_ending(out, dir, endings[i], e));
        if (out->n > 0)
            return MU_OK;
    }
    return mu_fail(e, MU_ENOENT,
                   "%s holds no tokenizer: no tokenizer.json, tokenizer.model, *.tiktoken, vocab.json with merges.txt, "
                   "or *.gguf; name one with --tokenizer",
                   dir);
}

/* ---- opening by kind ---- */

static int open_vocab_merges(struct mu_tokenizer *t, const char *dir, struct mu_err *e)
{
    struct mu_buf vocab = MU_BUF_INIT("a path", 4096), merges = MU_BUF_INIT("a path", 4096);
    int rc = MU_OK;
    MU_TRY(mu_path_join(&vocab, dir, "vocab.json", e));
    MU_TRY(mu_path_join(&merges, dir, "merges.txt", e));
    MU_TRY(mu_tok_load_vocab_merges(t, vocab.p, merges.p, e));
out:
    mu_buf_fini(&vocab);
    mu_buf_fini(&merges);
    return rc;
}

/* Rank lines are base64, a space and a number; protobuf is not. */
static bool looks_like_ranks(struct mu_str s)
{
    size_t i = 0;
    while (i < s.n && i < 4096 && s.p[i] > ' ' && s.p[i] < 0x7F)
        i++;
    return i > 0 && i + 1 < s.n && s.p[i] == ' ' && s.p[i + 1] >= '0' && s.p[i + 1] <= '9';
}

static int open_model_file(struct mu_tokenizer *t, const char *path, const char *dir, const struct mu_tokenizer_opts *o,
                           struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a tokenizer file", TOK_FILE_BYTES_MAX);
    int rc = MU_OK;
    MU_TRY(mu_file_read_all(&text, path, e));
    if (looks_like_ranks(mu_buf_str(&text)))
        MU_TRY(mu_tok_load_tiktoken(t, mu_buf_str(&text), path, dir, o->pattern, e));
    else
        MU_TRY(mu_tok_load_spm(t, mu_buf_str(&text), path, e));
out:
    mu_buf_fini(&text);
    return rc;
}

static int open_file(struct mu_tokenizer *t, const char *path, const char *dir, const struct mu_tokenizer_opts *o,
                     struct mu_err *e)
{
    if (ends_with(path, ".gguf"))
        return mu_tok_load_gguf(t, path, e);
    if (ends_with(path, "vocab.json") || ends_with(path, "merges.txt"))
        MU_TRY_RETURN(open_vocab_merges(t, dir, e));
    else if (ends_with(path, ".json"))
        MU_TRY_RETURN(mu_tok_load_json(t, path, e));
    else
        MU_TRY_RETURN(open_model_file(t, path, dir, o, e));
    return mu_tok_load_config(t, dir, e);
}

/* ---- begin and end of sequence as the caller wants them ---- */

static void drop(int32_t *ids, int *n, int32_t id)
{
    int kept = 0;
    for (int i = 0; i < *n; i++)
        if (ids[i] != id)
            ids[kept++] = ids[i];
    *n = kept;
}

static int choose(struct mu_tokenizer *t, enum mu_tok_choice choice, bool is_bos, struct mu_err *e)
{
    int32_t id = is_bos ? t->bos : t->eos;
    int32_t *ids = is_bos ? t->before : t->after;
    int *n = is_bos ? &t->n_before : &t->n_after;
    if (choice == MU_TOK_AUTO || (choice == MU_TOK_NO && id < 0))
        return MU_OK;
    if (id < 0)
        return mu_fail(e, MU_EINVAL, "the tokenizer names no %s-of-sequence token to add", is_bos ? "begin" : "end");
    drop(ids, n, id);
    if (choice == MU_TOK_NO)
        return MU_OK;
    if (*n == MU_TOK_SPECIAL_MAX)
        return mu_fail(e, MU_ELIMIT, "more than %d special tokens around a text", MU_TOK_SPECIAL_MAX);
    if (is_bos)
        memmove(ids + 1, ids, (size_t)*n * sizeof *ids);
    ids[is_bos ? 0 : *n] = id;
    ++*n;
    return MU_OK;
}

static int finish(struct mu_tokenizer *t, const struct mu_tokenizer_opts *o, struct mu_err *e)
{
    MU_TRY_RETURN(choose(t, o->add_bos, true, e));
    MU_TRY_RETURN(choose(t, o->add_eos, false, e));
    MU_TRY_RETURN(mu_added_build(t, e));
    mu_tok_decoder_finish(t);
    t->cuts_at_marks = mu_bpe_cuts_at_marks(t);
    mu_tok_hash(t, t->source, strlen(t->source));
    mu_tok_hash_vocab(t);
    mu_tok_hash(t, t->before, (size_t)t->n_before * sizeof *t->before);
    mu_tok_hash(t, t->after, (size_t)t->n_after * sizeof *t->after);
    return MU_OK;
}

static int tokenizer_new(struct mu_tokenizer **out, struct mu_err *e)
{
    MU_TRY_RETURN(MU_NEW(out, "a tokenizer", e));
    struct mu_tokenizer *t = *out;
    t->arena = (struct mu_arena)MU_ARENA_INIT("tokenizer strings", MU_TOK_ARENA_MAX);
    t->vocab = t->shown = (struct mu_vocab)MU_VOCAB_INIT;
    t->bos = t->eos = t->unk = t->pad = -1;
    t->bpe.unk = t->unigram.unk = t->wordpiece.unk = -1;
    t->source = "";
    return MU_OK;
}

int mu_tokenizer_open(mu_tokenizer **out, const char *path, const struct mu_tokenizer_opts *o, struct mu_err *e)
{
    static const struct mu_tokenizer_opts defaults = MU_TOKENIZER_OPTS_INIT;
    struct mu_buf file = MU_BUF_INIT("a path", 4096), dir = MU_BUF_INIT("a path", 4096);
    struct mu_tokenizer *t = NULL;
    int rc = MU_OK;

    o = o ? o : &defaults;
    if (!mu_path_exists(path))
        return mu_fail(e, MU_ENOENT, "%s does not exist", path);
    if (mu_path_is_dir(path))
        MU_TRY(find_in_folder(&file, path, e));
    else
        MU_TRY(mu_buf_puts(&file, path, e));
    MU_TRY(folder_of(&dir, file.p, e));
    MU_TRY(tokenizer_new(&t, e));
    MU_TRY(open_file(t, file.p, dir.p, o, e));
    MU_TRY(finish(t, o, e));
    *out = t;
    t = NULL;
out:
    mu_tokenizer_close(t);
    mu_buf_fini(&file);
    mu_buf_fini(&dir);
    return rc;
}

int mu_tokenizer_open_memory(mu_tokenizer **out, const void *p, size_t n, struct mu_err *e)
{
    static const struct mu_tokenizer_opts defaults = MU_TOKENIZER_OPTS_INIT;
    struct mu_str text = {p, n};
    struct mu_tokenizer *t = NULL;
    int rc = MU_OK;

    MU_TRY(tokenizer_new(&t, e));
    if (n > 0 && text.p[0] == '{')
        MU_TRY(mu_tok_load_json_text(t, text, "tokenizer.json", e));
    else if (looks_like_ranks(text))
        MU_TRY(mu_tok_load_tiktoken(t, text, "tokenizer.model", NULL, NULL, e));
    else
        MU_TRY(mu_tok_load_spm(t, text, "tokenizer.model", e));
    MU_TRY(finish(t, &defaults, e));
    *out = t;
    t = NULL;
out:
    mu_tokenizer_close(t);
    return rc;
}

void mu_tokenizer_close(mu_tokenizer *t)
{
    if (!t)
        return;
    for (int i = 0; i < t->n_norms; i++) {
        mu_regex_free(t->norms[i].pattern.regex);
        mu_charsmap_free(t->norms[i].map);
    }
    for (int i = 0; i < t->n_pres; i++)
        mu_regex_free(t->pres[i].pattern.regex);
    for (int i = 0; i < t->decoder.n; i++)
        mu_regex_free(t->decoder.v[i].pattern.regex);
    mu_free(t->norms);
    mu_free(t->pres);
    mu_free(t->decoder.v);
    mu_bpe_fini(&t->bpe);
    mu_unigram_fini(&t->unigram);
    mu_trie_fini(&t->keep);
    mu_added_fini(&t->added);
    mu_vocab_fini(&t->vocab);
    mu_vocab_fini(&t->shown);
    mu_free(t->is_special);
    mu_free(t->raw_kinds);
    mu_arena_fini(&t->arena);
    mu_free(t);
}

/* ---- questions ---- */

struct mu_str mu_tok_piece(const struct mu_tokenizer *t, int32_t id)
{
    return mu_vocab_piece(mu_vocab_has(&t->shown, id) ? &t->shown : &t->vocab, id);
}

void mu_tokenizer_info(const mu_tokenizer *t, struct mu_tokenizer_info *out)
{
    static const char *const models[] = {[MU_MODEL_BPE] = "BPE",
                                         [MU_MODEL_UNIGRAM] = "Unigram",
                                         [MU_MODEL_WORDPIECE] = "WordPiece",
                                         [MU_MODEL_WORDLEVEL] = "WordLevel"};
    *out = (struct mu_tokenizer_info){
        .source = t->source,
        .model = models[t->model],
        .n_vocab = t->vocab.n,
        .bos = t->bos,
        .eos = t->eos,
        .unk = t->unk,
        .pad = t->pad,
        .adds_bos = t->n_before > 0 && t->before[0] == t->bos && t->bos >= 0,
        .adds_eos = t->n_after > 0 && t->after[t->n_after - 1] == t->eos && t->eos >= 0,
        .hash = t->hash,
    };
}

const char *mu_tokenizer_piece(const mu_tokenizer *t, int32_t id, size_t *n)
{
    if (!mu_vocab_has(&t->vocab, id))
        return NULL;
    struct mu_str s = mu_tok_piece(t, id);
    if (n)
        *n = s.n;
    return s.p;
}

int32_t mu_tokenizer_find(const mu_tokenizer *t, const char *piece, size_t n)
{
    struct mu_str want = {piece, n};
    for (int32_t i = 0; i < t->added.n; i++)
        if (mu_str_eq(t->added.v[i].content, want))
            return t->added.v[i].id;
    return mu_vocab_find(&t->vocab, piece, n);
}

bool mu_tokenizer_is_special(const mu_tokenizer *t, int32_t id)
{
    return t->is_special && id >= 0 && id < MU_TOK_VOCAB_MAX && (t->is_special[id / 8] >> (id % 8) & 1) != 0;
}
