/* samples.c - one line of JSON a document and filter, and the hashes that tell what was evaluated
 *
 * Source: lm_eval/evaluator.py (the logged example), lm_eval/loggers/evaluation_tracker.py save_results_samples,
 * lm_eval/utils.py sanitize_list. The order of lines is the harness's: all documents for the first filter, then all for
 * the next. One thing differs: an array among a document's measures (Brier score) is written as numbers, where the
 * harness writes the text numpy shows for it. */
#include <errno.h>
#include <inttypes.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "eval/py/value.h"
#include "eval/results_int.h"

#define NESTING_MAX 64 /* of responses: the filters nest two deep */

int mu_results_set(json_t *object, const char *key, json_t *v, struct mu_err *e)
{
    return json_object_set_new(object, key, v) == 0 ? MU_OK : mu_fail_nomem(e, sizeof(json_t), "the results");
}

int mu_results_append(json_t *array, json_t *v, struct mu_err *e)
{
    return json_array_append_new(array, v) == 0 ? MU_OK : mu_fail_nomem(e, sizeof(json_t), "the results");
}

/* ---- hashes ---- */

struct hashes {
    char doc[65], prompt[65], target[65];
};

static int text_of(const json_t *v, struct mu_buf *out, struct mu_err *e)
{
    mu_buf_clear(out);
    return v ? mu_py_str(out, v, e) : mu_buf_puts(out, "None", e);
}

static int hash_doc(const struct mu_work *w, const struct mu_work_doc *d, struct mu_buf *scratch, struct hashes *h,
                    struct mu_err *e)
{
    const struct mu_text *prompt = d->n > 0 ? w->request[d->first].context : NULL;
    mu_buf_clear(scratch);
    MU_TRY_RETURN(mu_py_dumps(scratch, d->doc, 2, e));
    mu_sha256_hex(mu_buf_str(scratch), h->doc);
    mu_sha256_hex(prompt ? (struct mu_str){prompt->p, prompt->n} : MU_STR(""), h->prompt);
    MU_TRY_RETURN(text_of(d->target, scratch, e));
    mu_sha256_hex(mu_buf_str(scratch), h->target);
    return MU_OK;
}

int mu_samples_hash(struct mu_work *w, struct mu_err *e)
{
    struct mu_buf scratch = MU_BUF_INIT("a document", MU_SAMPLE_BYTES_MAX);
    struct mu_buf all = MU_BUF_INIT("the hashes of a task's samples", (size_t)MU_WORK_REQUESTS_MAX * 192);
    struct hashes h;
    int rc = MU_OK;

    for (int i = 0; i < w->n_docs; i++) {
        MU_TRY(hash_doc(w, &w->doc[i], &scratch, &h, e));
        MU_TRY(mu_buf_printf(&all, e, "%s%s%s", h.doc, h.prompt, h.target));
    }
    size_t once = all.n;
    for (int f = 1; f < w->task->n_filters && once > 0; f++) {
        MU_TRY(mu_buf_reserve(&all, once, e));
        MU_TRY(mu_buf_add(&all, all.p, once, e));
    }
    mu_sha256_hex(mu_buf_str(&all), w->task_hash);
out:
    mu_buf_fini(&scratch);
    mu_buf_fini(&all);
    return rc;
}

/* ---- one line ---- */

/* Every leaf as text: "-3.21", "True". */
static int sanitized(const json_t *v, int depth, json_t **out, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a response", MU_SAMPLE_BYTES_MAX);
    int rc = MU_OK;
    *out = NULL;
    if (depth > NESTING_MAX)
        return mu_fail(e, MU_ELIMIT, "responses are nested more than %d deep after filtering", NESTING_MAX);
    if (!json_is_array(v)) {
        MU_TRY(text_of(v, &text, e));
        *out = json_stringn(text.p ? text.p : "", text.n);
        if (!*out)
            rc = mu_fail_nomem(e, text.n, "a response");
        goto out;
    }
    json_t *list = json_array();
    for (size_t i = 0; rc == MU_OK && i < json_array_size(v); i++) {
        json_t *item;
        rc = sanitized(json_array_get(v, i), depth + 1, &item, e);
        if (rc == MU_OK)
            rc = mu_results_append(list, item, e);
    }
    if (rc == MU_OK && !list)
        rc = mu_fail_nomem(e, sizeof(json_t), "responses");
    if (rc == MU_OK)
        *out = list;
    else
        json_decref(list);
out:
    mu_buf_fini(&text);
    return rc;
}

static int set_sanitized(json_t *line, const char *key, const json_t *v, struct mu_err *e)
{
    json_t *clean;
    MU_TRY_RETURN(sanitized(v, 0, &clean, e));
    return mu_results_set(line, key, clean, e);
}

static json_t *text_json(const struct mu_text *t)
{
    return t ? json_stringn(t->p, t->n) : json_null();
}

static int set_arguments(json_t *line, const struct mu_work *w, const struct mu_work_doc *d, struct mu_err *e)
{
    json_t *all = json_object();
    MU_TRY_RETURN(mu_results_set(line, "arguments", all, e));
    for (int i = 0; i < d->n; i++) {
        const struct mu_ask_request *r = &w->request[d->first + i];
        char key[32];
        json_t *one = json_object();
        snprintf(key, sizeof key, "gen_args_%d", i);
        MU_TRY_RETURN(mu_results_set(all, key, one, e));
        MU_TRY_RETURN(mu_results_set(one, "arg_0", text_json(r->context), e));
        if (r->ask == MU_ASK_LOGLIKELIHOOD)
            MU_TRY_RETURN(mu_results_set(one, "arg_1", text_json(r->continuation), e));
        else if (r->ask == MU_ASK_GENERATE)
            MU_TRY_RETURN(mu_results_set(one, "arg_1", json_incref(r->gen_kwargs), e));
    }
    return MU_OK;
}

static int set_resps(json_t *line, const struct mu_work *w, const struct mu_work_doc *d, struct mu_err *e)
{
    json_t *all = json_array();
    MU_TRY_RETURN(mu_results_set(line, "resps", all, e));
    for (int i = 0; i < d->n; i++) {
        json_t *clean;
        MU_TRY_RETURN(sanitized(w->request[d->first + i].resps, 0, &clean, e));
        MU_TRY_RETURN(mu_results_append(all, clean, e));
    }
    return MU_OK;
}

static int set_measures(json_t *line, const json_t *metrics, bool names_only, struct mu_err *e)
{
    json_t *names = names_only ? json_array() : NULL;
    const char *name;
    json_t *v;
    if (names_only)
        MU_TRY_RETURN(mu_results_set(line, "metrics", names, e));
    json_object_foreach((json_t *)(uintptr_t)metrics, name, v)
    {
        MU_TRY_RETURN(names_only ? mu_results_append(names, json_string(name), e)
                                 : mu_results_set(line, name, json_incref(v), e));
    }
    return MU_OK;
}

static int fill_line(json_t *line, const struct mu_work *w, const struct mu_work_doc *d, int filter,
                     struct mu_buf *scratch, struct mu_err *e)
{
    const struct mu_doc_score *score = &d->score[filter];
    struct hashes h;

    MU_TRY_RETURN(mu_results_set(line, "doc_id", json_integer(d->id), e));
    MU_TRY_RETURN(mu_results_set(line, "doc", json_incref(d->doc), e));
    MU_TRY_RETURN(text_of(d->target, scratch, e));
    MU_TRY_RETURN(mu_results_set(line, "target", json_stringn(scratch->p ? scratch->p : "", scratch->n), e));
    MU_TRY_RETURN(set_arguments(line, w, d, e));
    MU_TRY_RETURN(set_resps(line, w, d, e));
    MU_TRY_RETURN(set_sanitized(line, "filtered_resps", score->filtered, e));
    MU_TRY_RETURN(mu_results_set(line, "filter", json_string(w->task->filter[filter].name), e));
    MU_TRY_RETURN(set_measures(line, score->metrics, true, e));
    MU_TRY_RETURN(hash_doc(w, d, scratch, &h, e));
    MU_TRY_RETURN(mu_results_set(line, "doc_hash", json_string(h.doc), e));
    MU_TRY_RETURN(mu_results_set(line, "prompt_hash", json_string(h.prompt), e));
    MU_TRY_RETURN(mu_results_set(line, "target_hash", json_string(h.target), e));
    return set_measures(line, score->metrics, false, e);
}

static int fail_write(const char *task, int err, struct mu_err *e)
{
    char what[256];
    snprintf(what, sizeof what, "the samples of %s", task);
    return mu_fail_errno(e, err, "write", what);
}

static int put_line(const struct mu_work *w, const struct mu_work_doc *d, int filter, struct mu_buf *text, FILE *f,
                    struct mu_err *e)
{
    json_t *line = json_object();
    int rc = MU_OK;

    if (!line)
        return mu_fail_nomem(e, sizeof(json_t), "a sample");
    MU_TRY(fill_line(line, w, d, filter, text, e));
    mu_buf_clear(text);
    MU_TRY(mu_py_dumps(text, line, -1, e));
    MU_TRY(mu_buf_putc(text, '\n', e));
    errno = 0;
    if (fwrite(text->p, 1, text->n, f) != text->n)
        rc = fail_write(w->task->name, errno ? errno : EIO, e);
out:
    json_decref(line);
    return rc;
}

int mu_samples_write(const struct mu_work *w, FILE *f, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a sample", MU_SAMPLE_BYTES_MAX);
    int rc = MU_OK;

    for (int filter = 0; filter < w->task->n_filters; filter++) {
        for (int i = 0; i < w->n_docs; i++) {
            const struct mu_work_doc *d = &w->doc[i];
            if (!d->score) {
                rc = mu_fail(e, MU_EINTERNAL, "document %" PRId64 " of %s is not scored", d->id, w->task->name);
                goto out;
            }
            MU_TRY(mu_err_while(e, put_line(w, d, filter, &text, f, e), "writing document %" PRId64 " of %s", d->id,
                                w->task->name));
        }
    }
out:
    mu_buf_fini(&text);
    return rc;
}
