/* test_threads.c - submit, cancel and status from many threads while one polls; meant for TSan too */
#include "xt.h"

#include <pthread.h>
#include <stdatomic.h>

#include "fake_engine.h"

#define SUBMITTERS 3
#define EACH       60

struct shared {
    mu_engine *eng;
    atomic_int n_submitted, n_refused, n_wrong;
    atomic_bool is_over;
};

static void *submitter(void *arg)
{
    struct shared *s = arg;
    static const int32_t ids[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
    for (int i = 0; i < EACH;) {
        struct mu_request r = MU_REQUEST_INIT;
        uint64_t id;
        r.kind = i % 3 ? MU_REQUEST_GENERATE : MU_REQUEST_ROLLING;
        r.ids = ids;
        r.n_ids = 2 + i % 18;
        r.max_tokens = 1 + i % 5;
        int rc = mu_engine_submit(s->eng, &r, &id, NULL);
        if (rc == MU_ENOMEM) {
            atomic_fetch_add(&s->n_refused, 1);
            sched_yield();
            continue;
        }
        if (rc != MU_OK)
            atomic_fetch_add(&s->n_wrong, 1);
        atomic_fetch_add(&s->n_submitted, 1);
        if (i % 7 == 0)
            mu_engine_cancel(s->eng, id, NULL);
        i++;
    }
    return NULL;
}

static void *watcher(void *arg)
{
    struct shared *s = arg;
    struct mu_engine_status st;
    uint64_t steps = 0;
    while (!atomic_load(&s->is_over)) {
        mu_engine_status(s->eng, &st);
        if (st.steps < steps)
            atomic_fetch_add(&s->n_wrong, 1);
        steps = st.steps;
        sched_yield();
    }
    return NULL;
}

XT_TEST(many_threads_submit_and_one_polls)
{
    struct fake_setup setup = FAKE_SETUP_INIT;
    struct mu_err err = MU_ERR_INIT;
    struct shared s = {.eng = NULL};
    pthread_t threads[SUBMITTERS + 1];
    int n_done = 0;

    setup.opts.queue_max = 20;
    XT_OK(fake_engine_open(&s.eng, &setup, &err));
    for (int i = 0; i < SUBMITTERS; i++)
        XT_EQ(pthread_create(&threads[i], NULL, submitter, &s), 0);
    XT_EQ(pthread_create(&threads[SUBMITTERS], NULL, watcher, &s), 0);
    while (n_done < SUBMITTERS * EACH) {
        struct mu_result *r;
        XT_OK(mu_engine_poll(s.eng, &r, MU_WAIT_FOREVER, &err));
        n_done += r != NULL;
        if (r && r->code != MU_OK && r->code != MU_ECANCELED)
            atomic_fetch_add(&s.n_wrong, 1);
        mu_result_free(r);
    }
    atomic_store(&s.is_over, true);
    for (int i = 0; i <= SUBMITTERS; i++)
        pthread_join(threads[i], NULL);
    XT_EQ(atomic_load(&s.n_wrong), 0);
    XT_EQ(atomic_load(&s.n_submitted), SUBMITTERS * EACH);
    mu_engine_close(s.eng);
}
