/* work.c - a work's memory: shared texts, documents, requests */
#include "eval/work.h"

#include "base/mem.h"

struct mu_text *mu_text_new(struct mu_str s, struct mu_err *e)
{
    struct mu_text *t = s.n < SIZE_MAX - sizeof *t ? mu_alloc(sizeof *t + s.n + 1) : NULL;
    if (!t) {
        mu_fail_nomem(e, s.n, "the text of a request");
        return NULL;
    }
    t->refs = 1;
    t->n = s.n;
    if (s.n)
        memcpy(t->p, s.p, s.n);
    t->p[s.n] = '\0';
    return t;
}

struct mu_text *mu_text_keep(struct mu_text *t)
{
    t->refs++;
    return t;
}

void mu_text_drop(struct mu_text *t)
{
    if (t && --t->refs == 0)
        mu_free(t);
}

static void free_doc(struct mu_work_doc *d, int n_filters)
{
    json_decref(d->doc);
    json_decref(d->target);
    json_decref(d->choices);
    json_decref(d->text);
    for (int f = 0; d->score && f < n_filters; f++) {
        json_decref(d->score[f].metrics);
        json_decref(d->score[f].filtered);
    }
    mu_free(d->score);
}

static void free_request(struct mu_ask_request *r)
{
    mu_text_drop(r->context);
    mu_text_drop(r->continuation);
    json_decref(r->gen_kwargs);
    json_decref(r->resps);
}

void mu_work_keep(struct mu_work *w, const bool *keeps)
{
    int n_docs = 0, n_requests = 0;
    for (int i = 0; i < w->n_docs; i++) {
        struct mu_work_doc d = w->doc[i];
        if (!keeps[i])
            free_doc(&d, w->task->n_filters);
        for (int k = 0; k < d.n; k++) {
            struct mu_ask_request *r = &w->request[d.first + k];
            if (!keeps[i]) {
                free_request(r);
                continue;
            }
            r->doc = n_docs;
            w->request[n_requests + k] = *r;
        }
        if (!keeps[i])
            continue;
        d.first = n_requests;
        n_requests += d.n;
        w->doc[n_docs++] = d;
    }
    w->n_docs = n_docs;
    w->n_requests = n_requests;
}

void mu_work_free(struct mu_work *w)
{
    if (!w)
        return;
    for (int i = 0; w->doc && i < w->n_docs; i++)
        free_doc(&w->doc[i], w->task->n_filters);
    for (int i = 0; w->request && i < w->n_requests; i++)
        free_request(&w->request[i]);
    mu_free(w->doc);
    mu_free(w->request);
    mu_free(w->result);
    mu_free(w);
}
