/* majority_vote.c - of each request's responses the most frequent; of equally frequent ones the one that came first */
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/filter/filter_int.h"
#include "eval/py/value.h"

/* Equal values have equal keys: 1, 1.0 and True are one value, "1" is another. */
static int key_of(struct mu_buf *key, const json_t *v, struct mu_err *e)
{
    mu_buf_clear(key);
    if (json_is_array(v) || json_is_object(v))
        return mu_fail(e, MU_EINVAL, "filter majority_vote: a response is a list, which cannot be counted");
    if (json_is_string(v)) {
        MU_TRY_RETURN(mu_buf_putc(key, 's', e));
        return mu_buf_add(key, json_string_value(v), json_string_length(v), e);
    }
    if (json_is_null(v))
        return mu_buf_putc(key, '-', e);
    return mu_buf_printf(key, e, "%.17g", json_is_boolean(v) ? json_is_true(v) : json_number_value(v));
}

static int count(json_t *counts, struct mu_buf *key, const json_t *v, int64_t *n, struct mu_err *e)
{
    MU_TRY_RETURN(key_of(key, v, e));
    *n = json_integer_value(json_object_getn(counts, key->p, key->n)) + 1;
    if (json_object_setn_new(counts, key->p, key->n, json_integer(*n)) != 0)
        return mu_fail_nomem(e, key->n, "counted responses");
    return MU_OK;
}

static int elect(const json_t *list, json_t **out, struct mu_err *e)
{
    struct mu_buf key = MU_BUF_INIT("a response", MU_FILTER_TEXT_MAX);
    json_t *counts = json_object(), *v, *winner = NULL;
    int64_t most = 0, n;
    size_t i;
    int rc = MU_OK;

    if (!counts)
        return mu_fail_nomem(e, sizeof(void *), "counted responses");
    if (json_array_size(list) == 0)
        MU_TRY(mu_fail(e, MU_EINVAL, "filter majority_vote: a request has no responses"));
    json_array_foreach(list, i, v)
    {
        MU_TRY(count(counts, &key, v, &n, e));
        most = MU_MAX(most, n);
    }
    json_array_foreach(list, i, v)
    {
        MU_TRY(key_of(&key, v, e));
        if (!winner && json_integer_value(json_object_getn(counts, key.p, key.n)) == most)
            winner = v;
    }
    *out = json_pack("[O]", winner);
    if (!*out)
        rc = mu_fail_nomem(e, sizeof(void *), "a vote");
out:
    mu_buf_fini(&key);
    json_decref(counts);
    return rc;
}

static int apply(const json_t *kwargs, const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    json_t *to = json_array(), *list = NULL, *inst, *vote = NULL;
    size_t i;
    int rc = MU_OK;

    (void)kwargs;
    (void)docs;
    if (!to)
        return mu_fail_nomem(e, sizeof(void *), "filtered responses");
    json_array_foreach(resps, i, inst)
    {
        MU_TRY(mu_filter_list("majority_vote", inst, &list, e));
        MU_TRY(elect(list, &vote, e));
        MU_TRY(mu_filter_append(to, vote, e));
        json_decref(list);
        list = NULL;
    }
    *out = json_incref(to);
out:
    json_decref(list);
    json_decref(to);
    return rc;
}

const struct mu_filter mu_filter_majority_vote = {"majority_vote", NULL, apply};
