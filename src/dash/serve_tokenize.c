/* serve_tokenize.c - /tokenize, /detokenize, /tokenizer_info, in the shapes of vLLM's server */
#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "dash/serve_int.h"

#define IDS_MAX (1 << 22)

/* Runs a worker's function on the parsed body and answers with what it wrote. */
static void answer_with(struct mu_call *c,
                        int (*fn)(const struct mu_api *, const json_t *, struct mu_buf *, struct mu_api_error *))
{
    struct mu_buf out = MU_BUF_INIT("an answer", MU_SERVE_REPLY_MAX);
    struct mu_api_error x = {.status = 500};
    json_t *o;
    if (!mu_call_begin(c, &o))
        return;
    int rc = fn(&c->api, o, &out, &x);
    json_decref(o);
    if (rc == MU_OK)
        mu_call_respond(c, 200, mu_buf_str(&out));
    else
        mu_call_refuse(c, &x);
    mu_buf_fini(&out);
}

/* A failure while an answer is made is the server's. */
static int as_api(int rc, const struct mu_err *err, struct mu_api_error *x)
{
    return rc == MU_OK ? MU_OK : mu_api_fail(x, rc == MU_ENOMEM ? 503 : 400, NULL, "invalid_value", "%s", err->text);
}

/* ---- /tokenize ---- */

static int write_piece(const struct mu_api *api, int32_t id, struct mu_buf *out, struct mu_err *e)
{
    size_t n = 0;
    const char *piece = mu_tokenizer_piece(api->tok, id, &n);
    bool is_text = piece && mu_utf8_valid_prefix(piece, n) == n;
    return mu_json_dump_string(out, is_text ? (struct mu_str){piece, n} : MU_STR(""), e);
}

static int write_tokens(const struct mu_api *api, const struct mu_ids *ids, bool has_pieces, struct mu_buf *out,
                        struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_printf(out, e, "{\"count\": %zu, \"max_model_len\": %" PRId64 ", \"tokens\": [", ids->n,
                                api->context_max));
    for (size_t i = 0; i < ids->n; i++)
        MU_TRY_RETURN(mu_buf_printf(out, e, i ? ", %" PRId32 : "%" PRId32, ids->v[i]));
    MU_TRY_RETURN(mu_buf_puts(out, "], \"token_strs\": ", e));
    if (!has_pieces)
        return mu_buf_puts(out, "null}", e);
    for (size_t i = 0; i < ids->n; i++) {
        MU_TRY_RETURN(mu_buf_puts(out, i ? ", " : "[", e));
        MU_TRY_RETURN(write_piece(api, ids->v[i], out, e));
    }
    return mu_buf_puts(out, ids->n ? "]}" : "[]}", e);
}

/* The text of a prompt, or of a chat: then the template writes BOS itself. */
static int text_of(const struct mu_api *api, const json_t *o, struct mu_buf *text, bool *adds_special,
                   struct mu_api_error *x)
{
    const char *prompt = NULL;
    size_t n = 0;
    struct mu_err err = MU_ERR_INIT;
    bool is_chat = mu_json_has(o, "messages");
    *adds_special = !is_chat;
    MU_TRY_RETURN(mu_field_bool(o, "add_special_tokens", adds_special, x));
    if (is_chat)
        return mu_ask_render(o, api, text, x);
    MU_TRY_RETURN(mu_field_string(o, "prompt", &prompt, &n, x));
    if (!prompt)
        return mu_api_fail(x, 400, "prompt", "invalid_value", "prompt, a string, or messages are needed");
    return as_api(mu_buf_add(text, prompt, n, &err), &err, x);
}

static int tokenize(const struct mu_api *api, const json_t *o, struct mu_buf *out, struct mu_api_error *x)
{
    struct mu_buf text = MU_BUF_INIT("a text to tokenise", MU_SERVE_TEXT_MAX);
    struct mu_ids ids = MU_IDS_INIT(IDS_MAX);
    struct mu_err err = MU_ERR_INIT;
    bool adds_special = true, has_pieces = false;
    int rc = MU_OK;

    MU_TRY(mu_field_bool(o, "return_token_strs", &has_pieces, x));
    MU_TRY(text_of(api, o, &text, &adds_special, x));
    unsigned flags = MU_TOK_PARSE_SPECIAL | (adds_special ? MU_TOK_ADD_SPECIAL : 0u);
    MU_TRY(as_api(mu_tokenizer_encode(api->tok, text.p ? text.p : "", text.n, flags, &ids, &err), &err, x));
    MU_TRY(as_api(write_tokens(api, &ids, has_pieces, out, &err), &err, x));
out:
    mu_ids_fini(&ids);
    mu_buf_fini(&text);
    return rc;
}

static void work_tokenize(struct mu_call *c)
{
    answer_with(c, tokenize);
}

void mu_route_tokenize(void *arg, struct mu_http_request *r)
{
    mu_serve_take(arg, r, work_tokenize);
}

/* ---- /detokenize ---- */

static int read_ids(const json_t *o, struct mu_ids *ids, struct mu_api_error *x)
{
    const json_t *v = json_object_get(o, "tokens");
    struct mu_err err = MU_ERR_INIT;
    if (!json_is_array(v))
        return mu_api_fail(x, 400, "tokens", "invalid_type", "tokens must be a list of token ids");
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *id = json_array_get(v, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
            return mu_api_fail(x, 400, "tokens", "invalid_type", "token %zu is no token id", i);
        MU_TRY_RETURN(as_api(mu_ids_add(ids, (int32_t)json_integer_value(id), &err), &err, x));
    }
    return MU_OK;
}

static int write_prompt(const struct mu_buf *text, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(out, "{\"prompt\": ", e));
    MU_TRY_RETURN(mu_json_dump_string(out, mu_buf_str(text), e));
    return mu_buf_puts(out, "}", e);
}

static int detokenize(const struct mu_api *api, const json_t *o, struct mu_buf *out, struct mu_api_error *x)
{
    struct mu_buf text = MU_BUF_INIT("a text", MU_SERVE_TEXT_MAX);
    struct mu_ids ids = MU_IDS_INIT(IDS_MAX);
    struct mu_err err = MU_ERR_INIT;
    int rc = MU_OK;

    MU_TRY(read_ids(o, &ids, x));
    MU_TRY(as_api(mu_tokenizer_decode(api->tok, ids.v, ids.n, 0, &text, &err), &err, x));
    MU_TRY(as_api(write_prompt(&text, out, &err), &err, x));
out:
    mu_ids_fini(&ids);
    mu_buf_fini(&text);
    return rc;
}

static void work_detokenize(struct mu_call *c)
{
    answer_with(c, detokenize);
}

void mu_route_detokenize(void *arg, struct mu_http_request *r)
{
    mu_serve_take(arg, r, work_detokenize);
}

/* ---- /tokenizer_info ---- */

static int write_special(const struct mu_api *api, const char *key, int32_t id, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_printf(out, e, ", \"%s\": ", key));
    return id >= 0 ? write_piece(api, id, out, e) : mu_buf_puts(out, "null", e);
}

static int write_info(const struct mu_api *api, struct mu_buf *out, struct mu_err *e)
{
    struct mu_tokenizer_info info;
    mu_tokenizer_info(api->tok, &info);
    int32_t eos = info.eos < 0 && api->n_eos > 0 ? api->eos[0] : info.eos;
    MU_TRY_RETURN(mu_buf_printf(
        out, e, "{\"tokenizer_class\": \"%s\", \"vocab_size\": %" PRId32 ", \"model_max_length\": %" PRId64, info.model,
        info.n_vocab, api->context_max));
    MU_TRY_RETURN(write_special(api, "bos_token", info.bos, out, e));
    MU_TRY_RETURN(write_special(api, "eos_token", eos, out, e));
    MU_TRY_RETURN(write_special(api, "unk_token", info.unk, out, e));
    MU_TRY_RETURN(write_special(api, "pad_token", info.pad, out, e));
    MU_TRY_RETURN(mu_buf_puts(out, ", \"chat_template\": ", e));
    struct mu_str text = mu_str(api->chat_template ? api->chat_template : "");
    bool is_text = api->chat_template && mu_utf8_valid_prefix(text.p, text.n) == text.n;
    if (is_text)
        MU_TRY_RETURN(mu_json_dump_string(out, text, e));
    return mu_buf_puts(out, is_text ? "}" : "null}", e);
}

/* Of the model that the query names: /tokenizer_info?model=NAME. */
static void work_info(struct mu_call *c)
{
    struct mu_buf out = MU_BUF_INIT("an answer", MU_SERVE_REPLY_MAX);
    struct mu_err err = MU_ERR_INIT;
    struct mu_api_error x;
    if (!mu_call_begin_named(c, mu_http_query(c->http, "model")))
        return;
    if (as_api(write_info(&c->api, &out, &err), &err, &x) == MU_OK)
        mu_call_respond(c, 200, mu_buf_str(&out));
    else
        mu_call_refuse(c, &x);
    mu_buf_fini(&out);
}

void mu_route_tokenizer_info(void *arg, struct mu_http_request *r)
{
    mu_serve_take(arg, r, work_info);
}
