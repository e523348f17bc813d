/* doc.c - fields of documents, new values, and maps over them */
#include "eval/docs/docs_int.h"

#include "base/check.h"
#include "base/mem.h"

int mu_doc_text(const json_t *doc, const char *key, struct mu_str *out, struct mu_err *e)
{
    const json_t *v = json_object_get(doc, key);
    if (!json_is_string(v))
        return mu_fail(e, MU_EINVAL, "the document has no text \"%s\", which its task's function reads", key);
    *out = mu_doc_str(v);
    return MU_OK;
}

int mu_doc_array(const json_t *doc, const char *key, const json_t **out, struct mu_err *e)
{
    *out = json_object_get(doc, key);
    if (!json_is_array(*out))
        return mu_fail(e, MU_EINVAL, "the document has no list \"%s\", which its task's function reads", key);
    return MU_OK;
}

int mu_doc_object(const json_t *doc, const char *key, const json_t **out, struct mu_err *e)
{
    *out = json_object_get(doc, key);
    if (!json_is_object(*out))
        return mu_fail(e, MU_EINVAL, "the document has no object \"%s\", which its task's function reads", key);
    return MU_OK;
}

struct mu_str mu_doc_str(const json_t *v)
{
    return json_is_string(v) ? (struct mu_str){json_string_value(v), json_string_length(v)} : MU_STR("");
}

int mu_doc_item(const json_t *array, size_t i, struct mu_str *out, struct mu_err *e)
{
    const json_t *v = json_array_get(array, i);
    if (!json_is_string(v))
        return mu_fail(e, MU_EINVAL, "item %zu of a list is no text, which its task's function needs", i);
    *out = mu_doc_str(v);
    return MU_OK;
}

int mu_doc_string(json_t **out, struct mu_str s, struct mu_err *e)
{
    *out = json_stringn(s.n ? s.p : "", s.n);
    return *out ? MU_OK : mu_fail_nomem(e, s.n, "a text of a document");
}

int mu_doc_put(json_t *object, const char *key, json_t *v, struct mu_err *e)
{
    return v && json_object_set_new(object, key, v) == 0 ? MU_OK : mu_fail_nomem(e, sizeof(json_t), key);
}

int mu_doc_push(json_t *array, json_t *v, struct mu_err *e)
{
    return v && json_array_append_new(array, v) == 0 ? MU_OK : mu_fail_nomem(e, sizeof(json_t), "an item of a list");
}

int mu_doc_put_text(json_t *object, const char *key, struct mu_str s, struct mu_err *e)
{
    json_t *v = NULL;
    MU_TRY_RETURN(mu_doc_string(&v, s, e));
    return mu_doc_put(object, key, v, e);
}

int mu_doc_push_text(json_t *array, struct mu_str s, struct mu_err *e)
{
    json_t *v = NULL;
    MU_TRY_RETURN(mu_doc_string(&v, s, e));
    return mu_doc_push(array, v, e);
}

static int map_one(const json_t *doc, int (*fn)(const json_t *doc, json_t *into, struct mu_err *e), json_t *list,
                   struct mu_err *e)
{
    int rc = MU_OK;
    json_t *copy = json_copy((json_t *)doc);
    if (!json_is_object(copy)) {
        json_decref(copy);
        return json_is_object(doc) ? mu_fail_nomem(e, sizeof(json_t), "a document")
                                   : mu_fail(e, MU_EINVAL, "the document is no object");
    }
    MU_TRY(fn(doc, copy, e));
    return mu_doc_push(list, copy, e);
out:
    json_decref(copy);
    return rc;
}

int mu_doc_map(const json_t *docs, int (*fn)(const json_t *doc, json_t *into, struct mu_err *e), json_t **out,
               struct mu_err *e)
{
    int rc = MU_OK;
    json_t *list = json_array();
    if (!list)
        return mu_fail_nomem(e, sizeof(json_t), "a list of documents");
    for (size_t i = 0; rc == MU_OK && i < json_array_size(docs); i++) {
        rc = map_one(json_array_get(docs, i), fn, list, e);
        if (rc != MU_OK)
            (void)mu_err_while(e, rc, "processing document %zu", i);
    }
    if (rc == MU_OK)
        *out = list;
    else
        json_decref(list);
    return rc;
}

/* The responses of one document. */
static int filter_one(const json_t *responses, const json_t *doc, mu_doc_response_fn fn, void *arg, json_t *list,
                      struct mu_err *e)
{
    struct mu_buf b = MU_BUF_INIT("a filtered response", MU_DOC_TEXT_MAX);
    int rc = MU_OK;
    json_t *mine = json_array();
    if (!mine)
        return mu_fail_nomem(e, sizeof(json_t), "filtered responses");
    for (size_t i = 0; i < json_array_size(responses); i++) {
        struct mu_str response;
        MU_TRY(mu_doc_item(responses, i, &response, e));
        mu_buf_clear(&b);
        MU_TRY(fn(arg, doc, response, &b, e));
        MU_TRY(mu_doc_push_text(mine, mu_buf_str(&b), e));
    }
    rc = mu_doc_push(list, mine, e);
    mine = NULL;
out:
    json_decref(mine);
    mu_buf_fini(&b);
    return rc;
}

int mu_doc_filter(const json_t *resps, const json_t *docs, mu_doc_response_fn fn, void *arg, json_t **out,
                  struct mu_err *e)
{
    int rc = MU_OK;
    json_t *list = json_array();
    if (!list)
        return mu_fail_nomem(e, sizeof(json_t), "filtered responses");
    for (size_t i = 0; rc == MU_OK && i < json_array_size(resps); i++)
        rc = filter_one(json_array_get(resps, i), json_array_get(docs, i), fn, arg, list, e);
    if (rc == MU_OK)
        *out = list;
    else
        json_decref(list);
    return rc;
}
