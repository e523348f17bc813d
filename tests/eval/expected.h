/* expected.h - a work against what lm-evaluation-harness built (make_build.py wrote build/expected.json) */
#ifndef EVAL_EXPECTED_H
#define EVAL_EXPECTED_H

#include <stdio.h>

#include "xt.h"

#include "base/buf.h"
#include "base/json.h"
#include "eval/build_int.h"
#include "eval/py/value.h"

#define FOLDER "tests/eval/build/"

static inline const char *text_of(const json_t *o, const char *key, const char *otherwise)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : otherwise;
}

static inline void same_text(const json_t *want, const struct mu_text *got, const char *where)
{
    struct mu_str w = {json_string_value(want), json_string_length(want)};
    if (!got || !mu_str_eq(w, (struct mu_str){got->p, got->n}))
        xt_fail(__FILE__, __LINE__, "%s: \"%s\"\nis not \"%s\"", where, got ? got->p : "(nothing)", w.p);
}

static inline void same_request(const json_t *want, const struct mu_ask_request *got, const char *where)
{
    const json_t *kw = json_object_get(want, "gen_kwargs"), *continuation = json_object_get(want, "continuation");
    same_text(json_object_get(want, "context"), got->context, where);
    if (continuation)
        same_text(continuation, got->continuation, where);
    XT_CHECK(!continuation == !got->continuation);
    XT_CHECK(!kw == !got->gen_kwargs);
    if (kw) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_buf a = MU_BUF_INIT("a", 1 << 16), b = MU_BUF_INIT("b", 1 << 16);
        XT_OK(mu_py_dumps(&a, kw, -1, &err));
        XT_OK(mu_py_dumps(&b, got->gen_kwargs, -1, &err));
        XT_STREQ(b.p, a.p);
        mu_buf_fini(&a);
        mu_buf_fini(&b);
    }
}

static inline void same_hash(const json_t *want, const char *key, struct mu_str text, const char *where)
{
    char hash[65];
    mu_sha256_hex(text, hash);
    XT_CHECKF(strcmp(hash, text_of(want, key, "")) == 0, "%s: %s of \"%s\"", where, key, text.p);
}

static inline void same_doc(const json_t *want, const struct mu_work *w, const struct mu_work_doc *got,
                            const char *where)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf text = MU_BUF_INIT("a document", 1 << 20);
    const json_t *requests = json_object_get(want, "requests");
    XT_EQ(got->id, json_integer_value(json_object_get(want, "doc_id")));
    XT_CHECKF(mu_py_equal(got->target, json_object_get(want, "target")), "%s: the target", where);
    XT_OK(mu_py_dumps(&text, got->doc, 2, &err));
    same_hash(want, "doc_hash", mu_buf_str(&text), where);
    mu_buf_clear(&text);
    XT_OK(mu_py_str(&text, got->target, &err));
    same_hash(want, "target_hash", mu_buf_str(&text), where);
    mu_buf_fini(&text);
    XT_EQ(got->n, json_array_size(requests));
    for (int i = 0; i < got->n; i++) {
        const struct mu_ask_request *r = &w->request[got->first + i];
        XT_EQ(r->index, i);
        same_request(json_array_get(requests, (size_t)i), r, where);
    }
    const struct mu_text *c = w->request[got->first].context;
    same_hash(want, "prompt_hash", (struct mu_str){c->p, c->n}, where);
}

/* All of a case: want is one of expected.json. */
static inline void same_work(const json_t *want, const struct mu_work *w, int number)
{
    const json_t *docs = json_object_get(want, "docs");
    char where[300];
    XT_EQ(w->num_fewshot, json_integer_value(json_object_get(want, "num_fewshot")));
    XT_EQ(w->n_original, json_integer_value(json_object_get(want, "n_original")));
    XT_EQ(w->n_docs, json_array_size(docs));
    for (int i = 0; i < w->n_docs; i++) {
        snprintf(where, sizeof where, "case %d, %s, document %lld", number, w->task->name, (long long)w->doc[i].id);
        same_doc(json_array_get(docs, (size_t)i), w, &w->doc[i], where);
    }
}

#endif
