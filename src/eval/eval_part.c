/* eval_part.c - documents by their numbers: those that are left out, and the part that alone is answered
 *
 * Requests are built first and documents leave afterwards, so that nothing of the others, such as their shots, depends
 * on it. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/eval_int.h"
#include "eval/results_int.h"

#define TEXT_MAX 64 /* of a number, with what follows it in a sentence */

/* ---- options ---- */

/* A document's number at p, behind it *end. */
static bool read_number(const char *p, char **end, int64_t *out)
{
    *out = *p >= '0' && *p <= '9' ? strtoll(p, end, 10) : -1;
    return *out >= 0 && *out < MU_WORK_REQUESTS_MAX;
}

static int refuse(const char *option, const char *p, const char *what, struct mu_err *e)
{
    return mu_fail(e, MU_EINVAL, "%s: \"%.*s\" %s", option, TEXT_MAX, p, what);
}

static int parse_part(const char *text, int64_t *first, int64_t *last, struct mu_err *e)
{
    char *end;
    *first = *last = -1;
    if (!text)
        return MU_OK;
    bool is_good = read_number(text, &end, first);
    *last = *first;
    if (is_good && *end == '-')
        is_good = read_number(end + 1, &end, last);
    if (is_good && !*end && *first <= *last)
        return MU_OK;
    return refuse("part", text, "is no range of documents, such as 0-99", e);
}

static int parse_list(const char *text, json_t *out, struct mu_err *e)
{
    for (const char *p = text; *p;) {
        char *end, key[24];
        int64_t n;
        if (!read_number(p, &end, &n) || (*end && *end != ','))
            return refuse("skip", p, "is no list of documents, such as 17,40", e);
        snprintf(key, sizeof key, "%" PRId64, n);
        MU_TRY_RETURN(mu_results_set(out, key, json_string("it was asked for"), e));
        p = end + (*end == ',');
    }
    return MU_OK;
}

static int check_object(const json_t *o, struct mu_err *e)
{
    const char *key;
    json_t *why;
    json_object_foreach((json_t *)(uintptr_t)o, key, why)
    {
        char *end;
        int64_t n;
        if (!read_number(key, &end, &n) || *end || (n > 0 && *key == '0') || (n == 0 && key[1]))
            return refuse("skip", key, "is no document's number", e);
        if (!json_is_string(why))
            return refuse("skip", key, "is to be skipped without a sentence that tells why", e);
    }
    return MU_OK;
}

/* {"17": "why"}; NULL: nothing. */
static int parse_skip(const char *text, json_t **out, struct mu_err *e)
{
    *out = NULL;
    if (!text || !text[0])
        return MU_OK;
    if (text[0] != '{') {
        *out = json_object();
        return *out ? parse_list(text, *out, e) : mu_fail_nomem(e, sizeof(json_t), "the documents to skip");
    }
    MU_TRY_RETURN(mu_json_parse_strict(out, mu_str(text), "the documents to skip", e));
    return check_object(*out, e);
}

/* ---- leaving out ---- */

struct choice {
    struct mu_eval *ev;
    const json_t *skip; /* borrowed */
    int64_t first, last;
    int64_t n_numbered, n_skipped;
};

static int note_skipped(struct choice *c, const struct mu_work *w, const struct mu_work_doc *d, const json_t *why,
                        struct mu_err *e)
{
    json_t *o = json_pack("{s:s, s:I, s:I, s:i, s:O}", "task", w->task->name, "doc_id", (json_int_t)d->id, "document",
                          (json_int_t)c->n_numbered, "requests", d->n, "why", why);
    c->n_skipped++;
    return mu_results_append(c->ev->skipped, o, e);
}

static int choose(struct choice *c, struct mu_work *w, struct mu_err *e)
{
    bool *keeps = NULL;
    int rc = MU_OK;
    MU_TRY(MU_NEW_ARRAY(&keeps, w->n_docs, "the documents of a task", e));
    for (int i = 0; i < w->n_docs; i++, c->n_numbered++) {
        char key[24];
        snprintf(key, sizeof key, "%" PRId64, c->n_numbered);
        const json_t *why = json_object_get(c->skip, key);
        keeps[i] = !why && (c->last < 0 || (c->n_numbered >= c->first && c->n_numbered <= c->last));
        if (why)
            MU_TRY(note_skipped(c, w, &w->doc[i], why, e));
    }
    mu_work_keep(w, keeps);
out:
    mu_free(keeps);
    return rc;
}

/* A number that is none is a mistake, or the documents are not those that were numbered. */
static int check_numbers(const struct choice *c, struct mu_err *e)
{
    if (c->last >= c->n_numbered)
        return mu_fail(e, MU_EINVAL, "part: document %" PRId64 " was asked for, the last one is %" PRId64, c->last,
                       c->n_numbered - 1);
    if (c->n_skipped < (int64_t)json_object_size(c->skip))
        return mu_fail(e, MU_EINVAL,
                       "skip: %zu documents were named, %" PRId64 " of them are there: the last one is %" PRId64,
                       json_object_size(c->skip), c->n_skipped, c->n_numbered - 1);
    return MU_OK;
}

int mu_eval_leave_out(struct mu_eval *ev, struct mu_err *e)
{
    struct choice c = {.ev = ev};
    json_t *skip = NULL;
    int rc = MU_OK;
    MU_TRY(parse_part(ev->o.part, &c.first, &c.last, e));
    MU_TRY(parse_skip(ev->o.skip, &skip, e));
    c.skip = skip;
    ev->skipped = json_array();
    if (!ev->skipped)
        MU_TRY(mu_fail_nomem(e, sizeof(json_t), "the documents to skip"));
    for (int i = 0; i < ev->set->n_tasks; i++)
        MU_TRY(choose(&c, ev->works[i], e));
    ev->n_numbered = c.n_numbered;
    rc = check_numbers(&c, e);
out:
    json_decref(skip);
    return rc;
}
