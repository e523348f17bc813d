/* test_tok_threads.c - one tokenizer used by several threads at once gives each the same ids */
#include <pthread.h>

#include "xt.h"

#include "base/buf.h"
#include <muster/tokenizer.h>

enum { THREADS = 4, ROUNDS = 50, IDS = 64 };

static const char text[] = "Hello world, it's 1234 tokens; caf\xC3\xA9 \xF0\x9F\x91\x8D <s>";

struct job {
    const mu_tokenizer *t;
    int32_t ids[IDS];
    size_t n;
    int rc;
};

static void *encode_often(void *arg)
{
    struct job *j = arg;
    struct mu_ids ids = MU_IDS_INIT(IDS);
    struct mu_buf out = MU_BUF_INIT("text", 4096);
    for (int i = 0; i < ROUNDS && j->rc == MU_OK; i++) {
        ids.n = 0;
        mu_buf_clear(&out);
        j->rc = mu_tokenizer_encode(j->t, text, sizeof text - 1, MU_TOK_PARSE_SPECIAL, &ids, NULL);
        if (j->rc == MU_OK)
            j->rc = mu_tokenizer_decode(j->t, ids.v, ids.n, 0, &out, NULL);
    }
    j->n = ids.n;
    memcpy(j->ids, ids.v, ids.n * sizeof *ids.v);
    mu_ids_fini(&ids);
    mu_buf_fini(&out);
    return NULL;
}

XT_TEST(threads_share_a_tokenizer)
{
    struct mu_err err = MU_ERR_INIT;
    struct job jobs[THREADS] = {0};
    pthread_t threads[THREADS];
    mu_tokenizer *t;
    XT_OK(mu_tokenizer_open(&t, "tests/golden/tokenizers/llama3", NULL, &err));
    for (int i = 0; i < THREADS; i++) {
        jobs[i].t = t;
        XT_EQ(pthread_create(&threads[i], NULL, encode_often, &jobs[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        XT_EQ(jobs[i].rc, MU_OK);
        XT_EQ(jobs[i].n, jobs[0].n);
        XT_EQ(memcmp(jobs[i].ids, jobs[0].ids, jobs[0].n * sizeof *jobs[0].ids), 0);
    }
    XT_CHECK(jobs[0].n > 5);
    mu_tokenizer_close(t);
}

XT_MAIN()
