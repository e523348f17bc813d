/* fewshot.c - the examples in front of a question, drawn as the harness draws them
 *
 * One stream a task, seeded once, consumed document after document. Source: lm_eval/api/samplers.py. */
#include "eval/build_int.h"

#include <math.h>

#include "base/check.h"
#include "base/mem.h"

#define EQUAL_DEPTH_MAX 2048              /* as deep as the JSON reader goes */
#define SHOTS_BYTES_MAX ((size_t)4 << 30) /* turns of all examples drawn so far */

/* ---- Python's == ---- */

static bool is_number(const json_t *v)
{
    return json_is_number(v) || json_is_boolean(v);
}

/* An integer and a real are equal only when the real is that very integer: beyond 2^53 a cast would lie. */
static bool equal_int_real(int64_t i, double r)
{
    return r >= -0x1p63 && r < 0x1p63 && r == floor(r) && (int64_t)r == i;
}

static bool equal_numbers(const json_t *a, const json_t *b)
{
    int64_t ia = json_is_integer(a) ? json_integer_value(a) : json_is_true(a);
    int64_t ib = json_is_integer(b) ? json_integer_value(b) : json_is_true(b);
    if (json_is_real(a) && json_is_real(b))
        return json_real_value(a) == json_real_value(b);
    if (json_is_real(a))
        return equal_int_real(ib, json_real_value(a));
    if (json_is_real(b))
        return equal_int_real(ia, json_real_value(b));
    return ia == ib;
}

static bool equal(const json_t *a, const json_t *b, int depth);

static bool equal_objects(const json_t *a, const json_t *b, int depth)
{
    json_t *object = (json_t *)(uintptr_t)a, *value; /* only read */
    const char *key;
    size_t n;
    if (json_object_size(a) != json_object_size(b))
        return false;
    json_object_keylen_foreach(object, key, n, value)
    {
        const json_t *other = json_object_getn(b, key, n);
        if (!other || !equal(value, other, depth))
            return false;
    }
    return true;
}

static bool equal_arrays(const json_t *a, const json_t *b, int depth)
{
    size_t n = json_array_size(a);
    if (n != json_array_size(b))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!equal(json_array_get(a, i), json_array_get(b, i), depth))
            return false;
    }
    return true;
}

static bool equal(const json_t *a, const json_t *b, int depth)
{
    if (a == b)
        return true;
    if (is_number(a) && is_number(b))
        return equal_numbers(a, b);
    if (json_typeof(a) != json_typeof(b) || depth == 0)
        return false;
    if (json_is_object(a))
        return equal_objects(a, b, depth - 1);
    if (json_is_array(a))
        return equal_arrays(a, b, depth - 1);
    if (!json_is_string(a))
        return true; /* null */
    size_t n = json_string_length(a);
    return n == json_string_length(b) && memcmp(json_string_value(a), json_string_value(b), n) == 0;
}

bool mu_py_equal(const json_t *a, const json_t *b)
{
    return equal(a, b, EQUAL_DEPTH_MAX);
}

/* ---- drawing ---- */

static const char *pool_name(const struct mu_task *t)
{
    return t->fewshot.split ? t->fewshot.split : t->fewshot.samples ? "fewshot_config.samples" : "the default split";
}

/* The harness compares the split's name with test_split even when the validation split is evaluated, and two absent
 * names are equal too. */
static bool same_split(const struct mu_task *t)
{
    const char *a = t->fewshot.split, *b = t->test_split;
    return a && b ? strcmp(a, b) == 0 : !a && !b;
}

int mu_shots_init(struct mu_shots *s, const struct mu_task *t, const json_t *columns, const json_t *pool, int n,
                  int64_t seed, bool is_multiple_input, struct mu_err *e)
{
    int64_t n_pool = (int64_t)json_array_size(pool);
    *s = (struct mu_shots){.task = t, .columns = columns, .pool = pool, .n = n};
    s->is_multiple_input = is_multiple_input;
    s->is_first_n = t->fewshot.sampler == MU_SAMPLER_FIRST_N;
    s->leaves_out = same_split(t);
    if (n == 0)
        return MU_OK;
    if (n > n_pool)
        return mu_fail(e, MU_EINVAL,
                       "%d few-shot examples are asked for, but %s has only %lld documents; give a smaller num_fewshot",
                       n, pool_name(t), (long long)n_pool);
    mu_pyrandom_seed(&s->random, seed);
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->drawn, n + 1, "the examples of a prompt", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->qa, n, "the examples of a prompt", e));
    return MU_NEW_ARRAY(&s->made, n_pool, "few-shot examples", e);
}

void mu_shots_fini(struct mu_shots *s)
{
    for (size_t i = 0; s->made && i < json_array_size(s->pool); i++) {
        if (s->made[i]) {
            mu_qa_fini(s->made[i]);
            mu_free(s->made[i]);
        }
    }
    mu_free(s->made);
    mu_free(s->drawn);
    mu_free(s->others);
    mu_free(s->qa);
    *s = (struct mu_shots){0};
}

static int fail_too_few(const struct mu_shots *s, int64_t n_found, struct mu_err *e)
{
    return mu_fail(e, MU_EINVAL,
                   "%d few-shot examples are asked for, but only %lld documents of %s are not the document itself; "
                   "give a smaller num_fewshot",
                   s->n, (long long)n_found, pool_name(s->task));
}

/* The first n of the candidates (drawn, or of FIRST_N 0, 1, 2, ...) that are not doc, into drawn; how many there are.
 */
static int64_t keep_others(struct mu_shots *s, int64_t n_candidates, const json_t *doc)
{
    int64_t n = 0;
    for (int64_t i = 0; i < n_candidates && n < s->n; i++) {
        int64_t at = s->is_first_n ? i : s->drawn[i];
        if (!doc || !mu_py_equal(json_array_get(s->pool, (size_t)at), doc))
            s->drawn[n++] = at;
    }
    return n;
}

/* The document was drawn more than once: drawn again, from the pool without it. */
static int draw_others(struct mu_shots *s, const json_t *doc, struct mu_err *e)
{
    int64_t n_pool = (int64_t)json_array_size(s->pool), n = 0;
    if (!s->others)
        MU_TRY_RETURN(MU_NEW_ARRAY(&s->others, n_pool, "few-shot examples", e));
    for (int64_t i = 0; i < n_pool; i++) {
        if (!mu_py_equal(json_array_get(s->pool, (size_t)i), doc))
            s->others[n++] = i;
    }
    if (n < s->n)
        return fail_too_few(s, n, e);
    MU_TRY_RETURN(mu_pyrandom_sample(&s->random, n, s->n, s->drawn, e));
    for (int i = 0; i < s->n; i++)
        s->drawn[i] = s->others[s->drawn[i]];
    return MU_OK;
}

static int draw_indices(struct mu_shots *s, const json_t *doc, struct mu_err *e)
{
    int64_t n_pool = (int64_t)json_array_size(s->pool), n = s->n;
    const json_t *left_out = s->leaves_out ? doc : NULL;
    if (s->is_first_n) {
        n = keep_others(s, n_pool, left_out);
        return n == s->n ? MU_OK : fail_too_few(s, n, e);
    }
    if (left_out && json_object_size(left_out) == 0)
        left_out = NULL; /* an empty dict is false in Python */
    if (left_out && ++n > n_pool)
        return mu_fail(e, MU_EINVAL,
                       "%d few-shot examples and one to spare for the document itself are drawn, but %s has only %lld "
                       "documents; give a smaller num_fewshot",
                       s->n, pool_name(s->task), (long long)n_pool);
    MU_TRY_RETURN(mu_pyrandom_sample(&s->random, n_pool, n, s->drawn, e));
    return keep_others(s, n, left_out) == s->n ? MU_OK : draw_others(s, left_out, e);
}

/* ---- turns ---- */

struct parts {
    json_t *question, *choices, *answer;
    struct mu_buf prefix;
};

static int get_parts(const struct mu_shots *s, const json_t *doc, struct parts *p, struct mu_err *e)
{
    const struct mu_task *t = s->task;
    MU_TRY_RETURN(mu_field_text(t, &t->fewshot.text, s->columns, doc, &p->question, e));
    if (t->fewshot.choice.kind != MU_FIELD_NONE)
        MU_TRY_RETURN(mu_field_choices(&t->fewshot.choice, s->columns, doc, &p->choices, e));
    MU_TRY_RETURN(mu_field_target(t, &t->fewshot.target, s->columns, doc, &p->answer, e));
    return mu_field_plain(&t->fewshot.gen_prefix, doc, doc, &p->prefix, e);
}

/* With multiple inputs the question is one of the choices and the answer a text. */
static int make_turns(const struct mu_shots *s, const struct parts *p, struct mu_qa *qa, struct mu_err *e)
{
    const struct mu_task *t = s->task;
    const json_t *question = p->question, *choices = p->choices;
    if (s->is_multiple_input) {
        question = mu_py_item(choices, question);
        choices = NULL;
        if (!question)
            return mu_fail(e, MU_EINVAL, "doc_to_text: it must be the index of one of the %zu choices",
                           json_array_size(p->choices));
    }
    return mu_qa_make(qa, question, choices, p->answer, mu_buf_str(&p->prefix), t->fewshot.target_delimiter,
                      t->fewshot.fewshot_delimiter, e);
}

static int make(struct mu_shots *s, int64_t at, struct mu_err *e)
{
    struct parts p = {.prefix = MU_BUF_INIT("gen_prefix", MU_PROMPT_BYTES_MAX)};
    struct mu_qa *qa = NULL;
    int rc;

    MU_TRY(MU_NEW(&qa, "a few-shot example", e));
    MU_TRY(get_parts(s, json_array_get(s->pool, (size_t)at), &p, e));
    MU_TRY(make_turns(s, &p, qa, e));
    s->bytes += mu_qa_bytes(qa);
    if (s->bytes > SHOTS_BYTES_MAX) {
        rc = mu_fail(e, MU_ELIMIT, "its text and those drawn before hold more than %zu bytes; evaluate fewer documents",
                     SHOTS_BYTES_MAX);
        goto out;
    }
    s->made[at] = qa;
    qa = NULL;
out:
    if (qa)
        mu_qa_fini(qa);
    mu_free(qa);
    json_decref(p.question);
    json_decref(p.choices);
    json_decref(p.answer);
    mu_buf_fini(&p.prefix);
    return rc == MU_OK || !e
               ? rc
               : mu_fail(e, rc, "few-shot example %lld of %s, %s", (long long)at, pool_name(s->task), e->text);
}

int mu_shots_draw(struct mu_shots *s, const json_t *doc, struct mu_err *e)
{
    if (s->n == 0)
        return MU_OK;
    MU_TRY_RETURN(draw_indices(s, doc, e));
    for (int i = 0; i < s->n; i++) {
        int64_t at = s->drawn[i];
        if (!s->made[at])
            MU_TRY_RETURN(make(s, at, e));
        s->qa[i] = s->made[at];
    }
    return MU_OK;
}
