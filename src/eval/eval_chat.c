/* eval_chat.c - the chat template that a model brings, and its text for the results */
#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/eval_int.h"
#include "fmt/gguf.h"

static int keep_text(char **out, struct mu_str text, struct mu_err *e)
{
    *out = mu_strndup(text.p, text.n);
    return *out ? MU_OK : mu_fail_nomem(e, text.n, "a chat template");
}

static void add_special(json_t *special, const char *name, const mu_tokenizer *tok, int32_t id)
{
    size_t n;
    const char *piece = id >= 0 ? mu_tokenizer_piece(tok, id, &n) : NULL;
    if (piece)
        json_object_set_new(special, name, json_stringn(piece, n));
}

static int from_gguf(struct mu_chat **out, char **kept, const char *path, const mu_tokenizer *tok, struct mu_err *e)
{
    struct mu_gguf *g = NULL;
    struct mu_tokenizer_info info;
    struct mu_str text;
    json_t *special = json_object();
    int rc = MU_OK;

    mu_tokenizer_info(tok, &info);
    add_special(special, "bos_token", tok, info.bos);
    add_special(special, "eos_token", tok, info.eos);
    add_special(special, "pad_token", tok, info.pad);
    add_special(special, "unk_token", tok, info.unk);
    MU_TRY(mu_gguf_open(&g, path, e));
    if (!mu_gguf_find(g, "tokenizer.chat_template")) {
        rc = mu_fail(e, MU_ENOENT, "%s has no chat template: evaluate without one", path);
        goto out;
    }
    MU_TRY(mu_gguf_string(g, "tokenizer.chat_template", &text, e));
    MU_TRY(mu_chat_from_text(out, text, special, path, e));
    MU_TRY(keep_text(kept, text, e));
out:
    json_decref(special);
    mu_gguf_free(g);
    return rc;
}

bool mu_eval_chat_is_single(const char *model)
{
    struct mu_buf path = MU_BUF_INIT("a path", 1 << 16);
    struct mu_err quiet = MU_ERR_INIT;
    json_t *config = NULL;
    bool is_single = false;

    if (mu_path_is_dir(model) && mu_path_join(&path, model, "tokenizer_config.json", &quiet) == MU_OK &&
        (!mu_path_exists(path.p) || mu_json_load(&config, path.p, &quiet) == MU_OK))
        is_single = !json_is_array(json_object_get(config, "chat_template"));
    json_decref(config);
    mu_buf_fini(&path);
    return is_single;
}

int mu_eval_chat_open(struct mu_chat **out, char **text, const char *model, const char *name, const mu_tokenizer *tok,
                      struct mu_err *e)
{
    size_t n = strlen(model);
    if (mu_path_is_dir(model)) {
        MU_TRY_RETURN(mu_chat_load(out, model, name, e));
        return keep_text(text, mu_str(mu_chat_text(*out)), e);
    }
    if (n > 5 && strcmp(model + n - 5, ".gguf") == 0 && !name)
        return from_gguf(out, text, model, tok, e);
    return mu_fail(e, MU_ENOENT, "%s comes without a chat template%s%s: name the model's folder", model,
                   name ? " named " : "", name ? name : "");
}
