/* bundle.c - any bytes as a bundle: refused with a sentence, or every document has its requests and they their texts */
#include "eval/bundle.h"
#include "fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static volatile size_t sink; /* keeps the reads */

static void read_work(const struct mu_work *w)
{
    for (int i = 0; i < w->n_docs; i++) {
        const struct mu_work_doc *d = &w->doc[i];
        if (!d->doc || !d->target || d->n < 1 || d->first + d->n > w->n_requests)
            abort();
    }
    for (int i = 0; i < w->n_requests; i++) {
        const struct mu_ask_request *r = &w->request[i];
        if (r->context->p[r->context->n] || (r->ask == MU_ASK_LOGLIKELIHOOD) != (r->continuation != NULL))
            abort();
        sink = sink + strlen(r->context->p);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_task_set *set;
    struct mu_work **works;
    struct mu_err err;
    if (mu_bundle_load(fuzz_file(data, n), &set, &works, &err) != MU_OK)
        return 0;
    for (int i = 0; i < set->n_tasks; i++)
        read_work(works[i]);
    mu_works_free(works, set->n_tasks);
    mu_task_set_free(set);
    return 0;
}
