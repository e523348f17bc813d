/* rank_message.c - any bytes as a message from another rank: the first byte says which reader gets the rest */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/ranks/request_message.h"
#include "engine/ranks/step_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define SEQS  4
#define PAGES 8

static void read_step(const void *p, size_t n)
{
    static const struct mu_step_limits limits = {16, 4, SEQS, PAGES, 40, PAGES * MU_KV_PAGE};
    int32_t table[SEQS * PAGES] = {0}, lengths[SEQS] = {0};
    struct mu_step_view v;
    if (mu_step_read(&v, p, n, &limits, NULL) != MU_OK || v.head.kind != MU_STEP_ROWS)
        return;
    mu_step_apply(&v, &limits, table, lengths);
    for (int i = 0; i < SEQS * PAGES; i++) {
        if (table[i] < 0 || table[i] >= limits.pages_n)
            abort();
    }
}

static void read_request(const void *p, size_t n)
{
    static const struct mu_job_limits limits = {.vocab = 100, .context_max = 64, .kv_tokens = 640, .has_text = true};
    struct mu_request_view v;
    struct mu_job *j = NULL;
    if (mu_request_read(&v, p, n, NULL) == MU_OK && mu_job_new(&j, &v.req, &limits, NULL) == MU_OK)
        mu_job_free(j);
}

static void read_result(const void *p, size_t n)
{
    static const struct mu_job_limits limits = {.vocab = 100, .context_max = 64, .kv_tokens = 640, .has_text = true};
    static const int32_t context[] = {5, 6, 7}, cont[] = {8, 9, 10, 11}, others[] = {12, 13, 14};
    struct mu_request r = MU_REQUEST_INIT;
    struct mu_engine_status st;
    struct mu_job *j = NULL;
    r.ids = context, r.n_ids = 3;
    r.continuation = cont, r.n_continuation = 4;
    r.alternatives = others, r.n_alternatives = 3;
    r.n_top = 2;
    if (mu_job_new(&j, &r, &limits, NULL) != MU_OK)
        abort();
    mu_result_read(j, &st, p, n, NULL);
    mu_job_free(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_token_event ev;
    if (n == 0)
        return 0;
    void *copy = mu_alloc(n - 1); /* aligned, and no byte longer */
    if (!copy)
        return 0;
    memcpy(copy, data + 1, n - 1);
    if (data[0] % 4 == 0)
        read_step(copy, n - 1);
    else if (data[0] % 4 == 1)
        read_request(copy, n - 1);
    else if (data[0] % 4 == 2)
        read_result(copy, n - 1);
    else
        (void)mu_event_read(&ev, copy, n - 1, NULL);
    mu_free(copy);
    return 0;
}
