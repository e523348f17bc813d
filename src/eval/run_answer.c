/* run_answer.c - answers: from results, to and from the journal, into responses
 *
 * In the journal: {"ll": [sum, is_greedy]}, or {"text": ..., "finish": "stop" | "length", "n": tokens}. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/run_int.h"

#define TEXT_BYTES_MAX ((size_t)64 << 20) /* of one output */

static int load_text(struct mu_run_item *it, const json_t *text, const json_t *finish, const json_t *n,
                     struct mu_err *e)
{
    if (!json_is_string(text) || !json_is_string(finish) || !json_is_integer(n))
        return MU_OK;
    size_t bytes = json_string_length(text);
    char *copy = mu_strndup(json_string_value(text), bytes);
    if (!copy)
        return mu_fail_nomem(e, bytes, "an answer");
    mu_free(it->answer.text);
    it->answer = (struct mu_run_answer){.text = copy,
                                        .text_bytes = bytes,
                                        .n_output = (int)json_integer_value(n),
                                        .hit_max_tokens = strcmp(json_string_value(finish), "length") == 0};
    it->has_answer = true;
    return MU_OK;
}

int mu_run_answer_load(struct mu_run_item *it, const json_t *v, struct mu_err *e)
{
    const json_t *ll = json_object_get(v, "ll");
    if (it->params >= 0)
        return load_text(it, json_object_get(v, "text"), json_object_get(v, "finish"), json_object_get(v, "n"), e);
    if (!json_is_number(json_array_get(ll, 0)) || !json_is_boolean(json_array_get(ll, 1)))
        return MU_OK;
    it->answer.sum = json_number_value(json_array_get(ll, 0));
    it->answer.is_greedy = json_is_true(json_array_get(ll, 1));
    it->has_answer = true;
    return MU_OK;
}

int mu_run_answer_dump(const struct mu_run_item *it, json_t **out, struct mu_err *e)
{
    const struct mu_run_answer *a = &it->answer;
    if (it->params < 0)
        *out = json_pack("{s:[f,b]}", "ll", a->sum, (int)a->is_greedy);
    else
        *out = json_pack("{s:o,s:s,s:i}", "text", json_stringn(a->text, a->text_bytes), "finish",
                         a->hit_max_tokens ? "length" : "stop", "n", a->n_output);
    return *out ? MU_OK : mu_fail_nomem(e, 256 + a->text_bytes, "an answer");
}

/* The text of the new tokens decoded by themselves, cut at the first place of each stop string in turn. Source:
 * huggingface.py generate_until, utils.py postprocess_generated_text. */
int mu_run_answer_text(const struct mu_run_state *s, struct mu_run_item *it, const struct mu_result *r,
                       struct mu_err *e)
{
    const struct mu_run_params *p = s->params[it->params];
    struct mu_buf text = MU_BUF_INIT("an output", TEXT_BYTES_MAX);
    int rc = mu_tokenizer_decode(s->eng->tok, r->tokens.ids, (size_t)r->tokens.n, MU_TOK_SKIP_SPECIAL, &text, e);
    for (int i = 0; rc == MU_OK && i < p->n_stop && text.n > 0; i++) {
        const char *at = memmem(text.p, text.n, p->stop[i], strlen(p->stop[i]));
        if (at)
            text.n = (size_t)(at - text.p);
    }
    size_t n = text.n;
    char *copy = rc == MU_OK ? mu_strndup(text.p ? text.p : "", n) : NULL;
    mu_buf_fini(&text);
    if (rc == MU_OK && !copy)
        rc = mu_fail_nomem(e, n, "an output");
    if (rc != MU_OK)
        return rc;
    it->answer = (struct mu_run_answer){
        .text = copy, .text_bytes = n, .n_output = r->tokens.n, .hit_max_tokens = r->finish == MU_FINISH_LENGTH};
    return MU_OK;
}

/* ---- responses ---- */

static json_t *response(const struct mu_run_state *s, const struct mu_run_slot *slot, enum mu_ask ask)
{
    const struct mu_run_part *part = &s->part[slot->first_part];
    const struct mu_run_answer *a = slot->n_parts > 0 ? &s->item[part->item].answer : NULL;
    double sum = 0;

    if (ask == MU_ASK_LOGLIKELIHOOD)
        return json_pack("[f,b]", a->sum, (int)a->is_greedy);
    if (ask == MU_ASK_GENERATE)
        return json_stringn(a->text, a->text_bytes);
    for (int i = 0; i < slot->n_parts; i++)
        sum += s->item[part[i].item].answer.sum;
    return json_real(sum);
}

static int add_response(struct mu_run_state *s, const struct mu_run_slot *slot, struct mu_err *e)
{
    struct mu_ask_request *r = &s->works[slot->work]->request[slot->request];
    if (slot->repeat == 0) {
        json_decref(r->resps);
        r->resps = json_array();
        if (r->ask == MU_ASK_GENERATE)
            r->hit_max_tokens = s->item[s->part[slot->first_part].item].answer.hit_max_tokens;
    }
    json_t *v = response(s, slot, r->ask);
    if (!r->resps || !v || json_array_append_new(r->resps, v) != 0)
        return mu_fail_nomem(e, 64, "a response");
    return MU_OK;
}

/* Output tokens are known only now; they are the same for every run. */
static void audit_output(struct mu_run_state *s)
{
    for (int64_t i = 0; i < s->n_parts; i++)
        s->audit->tokens_naive += s->item[s->part[i].item].answer.n_output;
    for (int64_t i = 0; i < s->n_items; i++)
        s->audit->tokens_shared += s->item[i].is_unique ? s->item[i].answer.n_output : 0;
}

int mu_run_respond(struct mu_run_state *s, struct mu_err *e)
{
    for (int64_t i = 0; i < s->n_slots; i++)
        MU_TRY_RETURN(add_response(s, &s->slot[i], e));
    audit_output(s);
    return MU_OK;
}
