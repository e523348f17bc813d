/* chat_open.c - finding the chat template: a file, the folder of the model, or the metadata of a GGUF file */
#include "cli/chat_open.h"

#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/lines.h"
#include "fmt/gguf.h"

static void add_special(json_t *special, const char *name, const mu_tokenizer *tok, int32_t id)
{
    size_t n;
    const char *piece = id >= 0 ? mu_tokenizer_piece(tok, id, &n) : NULL;
    if (piece)
        json_object_set_new(special, name, json_stringn(piece, n));
}

static int from_text(struct mu_chat **out, struct mu_str text, const mu_tokenizer *tok, const char *where,
                     struct mu_err *e)
{
    struct mu_tokenizer_info info;
    json_t *special = json_object();
    mu_tokenizer_info(tok, &info);
    add_special(special, "bos_token", tok, info.bos);
    add_special(special, "eos_token", tok, info.eos);
    add_special(special, "pad_token", tok, info.pad);
    add_special(special, "unk_token", tok, info.unk);
    int rc = mu_chat_from_text(out, text, special, where, e);
    json_decref(special);
    return rc;
}

static int from_file(struct mu_chat **out, const char *path, const mu_tokenizer *tok, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("the chat template", MU_LINE_BYTES_MAX);
    int rc = MU_OK;

    MU_TRY(mu_file_read_all(&text, path, e));
    MU_TRY(from_text(out, mu_buf_str(&text), tok, path, e));
out:
    mu_buf_fini(&text);
    return rc;
}

static int from_gguf(struct mu_chat **out, const char *path, const mu_tokenizer *tok, struct mu_err *e)
{
    struct mu_gguf *g = NULL;
    struct mu_str text;
    int rc = MU_OK;

    MU_TRY(mu_gguf_open(&g, path, e));
    if (!mu_gguf_find(g, "tokenizer.chat_template")) {
        rc = mu_fail(e, MU_ENOENT, "%s has no chat template; give --chat-template FILE", path);
        goto out;
    }
    MU_TRY(mu_gguf_string(g, "tokenizer.chat_template", &text, e));
    MU_TRY(from_text(out, text, tok, path, e));
out:
    mu_gguf_free(g);
    return rc;
}

int mu_chat_open(struct mu_chat **out, const char *model, const char *template_path, const mu_tokenizer *tok,
                 struct mu_err *e)
{
    size_t n = strlen(model);
    if (template_path)
        return from_file(out, template_path, tok, e);
    if (n > 5 && strcmp(model + n - 5, ".gguf") == 0)
        return from_gguf(out, model, tok, e);
    if (mu_path_is_dir(model))
        return mu_chat_load(out, model, NULL, e);
    return mu_fail(e, MU_ENOENT, "%s comes without a chat template; give --chat-template FILE", model);
}
