/* vocab_merges.c - GPT-2's first form: vocab.json with merges.txt, byte-level BPE
 *
 * merges.txt: "#version" on the first line, then two tokens a line, best first. tokenizer_config.json beside them may
 * ask for a space before the text (add_prefix_space). */
#include "tok/tok_int.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

static int load_merges(struct mu_tokenizer *t, struct mu_str text, const char *where, struct mu_err *e)
{
    uint32_t rank = 0;
    for (size_t at = 0; at < text.n;) {
        const char *end = memchr(text.p + at, '\n', text.n - at);
        size_t next = end ? (size_t)(end - text.p) + 1 : text.n;
        struct mu_str line = {text.p + at, (end ? next - 1 : next) - at};
        bool is_head = at == 0 && line.n >= 8 && memcmp(line.p, "#version", 8) == 0;
        at = next;
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n == 0 || is_head)
            continue;
        const char *space = memchr(line.p, ' ', line.n);
        if (!space)
            return mu_fail(e, MU_EFORMAT, "%s: merge %" PRIu32 " (\"%.*s\") is not two tokens parted by a space", where,
                           rank, (int)MU_MIN(line.n, 60), line.p);
        struct mu_str left = {line.p, (size_t)(space - line.p)}, right = {space + 1, line.n - left.n - 1};
        MU_TRY_RETURN(mu_tok_bpe_merge(t, left, right, rank++, where, e));
    }
    return MU_OK;
}

/* {"type": "BPE", "vocab": ..., "merges": []} lets the tokenizer.json reader take the vocabulary. */
static int load_vocab(struct mu_tokenizer *t, const char *path, struct mu_err *e)
{
    json_t *vocab = NULL, *model = NULL;
    int rc = MU_OK;
    MU_TRY(mu_json_load(&vocab, path, e));
    model = json_pack("{s:s, s:O, s:[]}", "type", "BPE", "vocab", vocab, "merges");
    if (!model) {
        rc = mu_fail_nomem(e, 0, "the vocabulary");
        goto out;
    }
    MU_TRY(mu_tok_json_model(t, model, NULL, path, e));
out:
    json_decref(model);
    json_decref(vocab);
    return rc;
}

/* <|endoftext|> and RoBERTa's names are special where the vocabulary has them. */
static int load_specials(struct mu_tokenizer *t, struct mu_err *e)
{
    static const char *const names[] = {"<|endoftext|>", "<s>", "</s>", "<unk>", "<pad>", "<mask>"};
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        int32_t id = mu_vocab_find(&t->vocab, names[i], strlen(names[i]));
        if (id >= 0)
            MU_TRY_RETURN(mu_added_add(t, (struct mu_added){id, mu_str(names[i]), .is_special = true}, e));
    }
    t->eos = mu_vocab_find(&t->vocab, names[0], strlen(names[0]));
    t->bos = t->eos;
    return MU_OK;
}

int mu_tok_load_vocab_merges(struct mu_tokenizer *t, const char *vocab_path, const char *merges_path, struct mu_err *e)
{
    struct mu_buf merges = MU_BUF_INIT("merges.txt", MU_JSON_BYTES_MAX);
    json_t *steps = NULL, *decoder = NULL;
    int rc = MU_OK;

    t->source = "vocab+merges";
    MU_TRY(load_vocab(t, vocab_path, e));
    MU_TRY(mu_file_read_all(&merges, merges_path, e));
    MU_TRY(load_merges(t, mu_buf_str(&merges), merges_path, e));
    steps = json_pack("{s:s, s:b}", "type", "ByteLevel", "add_prefix_space", 0);
    decoder = json_pack("{s:s}", "type", "ByteLevel");
    if (!steps || !decoder) {
        rc = mu_fail_nomem(e, 0, "the pre-tokenizer");
        goto out;
    }
    MU_TRY(mu_tok_json_pretokenizer(t, steps, vocab_path, e));
    MU_TRY(mu_tok_json_decoder(t, decoder, vocab_path, e));
    MU_TRY(load_specials(t, e));
out:
    json_decref(steps);
    json_decref(decoder);
    mu_buf_fini(&merges);
    return rc;
}
