/* test_messages.c - what ranks tell each other: written and read back, and refused when a byte is missing or wrong */
#include "xt.h"

#include "base/check.h"
#include "base/mem.h"
#include "engine/ranks/request_message.h"
#include "engine/ranks/step_message.h"

/* ---- steps ---- */

#define SEQS  5
#define PAGES 6 /* of a sequence */

static const struct mu_step_limits limits = {.rows_max = 12,
                                             .logit_rows_max = 4,
                                             .seqs_max = SEQS,
                                             .pages_max = PAGES,
                                             .pages_n = 40,
                                             .context_max = PAGES * MU_KV_PAGE};

struct lane {
    int32_t sent[SEQS * PAGES], table[SEQS * PAGES], lengths[SEQS];
    _Alignas(8) char message[4096];
    size_t bytes;
};

static void open_lane(struct lane *l)
{
    memset(l, 0, sizeof *l);
    memset(l->sent, 0xff, sizeof l->sent);
    XT_CHECK(mu_step_bytes_max(&limits) <= sizeof l->message);
}

/* Two sequences of the second lane: 7 rows of one from position 20, one of another at 3. */
static const int32_t ids[] = {1, 2, 3, 4, 5, 6, 7, 8}, pos[] = {20, 21, 22, 23, 24, 25, 26, 3};
static const int32_t seqs[] = {6, 6, 6, 6, 6, 6, 6, 9}, lengths[2 * SEQS] = {0, 0, 0, 0, 0, 0, 80, 0, 0, 9};

static struct mu_step_view tell(struct lane *l, int32_t *table, uint64_t number)
{
    struct mu_rows rows = {8, pos, seqs, table, PAGES};
    struct mu_step_view v;
    struct mu_err err = MU_ERR_INIT;
    l->bytes = mu_step_write_rows(l->message, &limits, number, 3, ids, &rows, lengths, SEQS, l->sent);
    XT_CHECK(l->bytes <= mu_step_bytes_max(&limits));
    XT_OK(mu_step_read(&v, l->message, l->bytes, &limits, &err));
    mu_step_apply(&v, &limits, l->table, l->lengths);
    return v;
}

XT_TEST(a_step_tells_rows_and_only_the_pages_that_changed)
{
    static struct lane l;
    int32_t table[2 * SEQS * PAGES] = {0};
    int32_t *six = table + 6 * PAGES, *nine = table + 9 * PAGES;
    open_lane(&l);
    six[0] = 30, six[1] = 31, nine[0] = 7;
    struct mu_step_view v = tell(&l, table, 1);
    XT_EQ(v.head.n, 8);
    XT_EQ(v.head.n_micro, 3);
    XT_EQ(v.head.n_seqs, 2);
    XT_EQ(v.head.n_pages, 3);
    XT_CHECK(memcmp(v.ids, ids, sizeof ids) == 0 && memcmp(v.pos, pos, sizeof pos) == 0);
    XT_CHECK(v.seq[0] == 1 && v.seq[7] == 4); /* counted inside the lane */
    XT_CHECK(l.table[PAGES] == 30 && l.table[PAGES + 1] == 31 && l.table[4 * PAGES] == 7);
    XT_CHECK(l.lengths[1] == 80 && l.lengths[4] == 9);
    XT_EQ(tell(&l, table, 2).head.n_pages, 0);
    six[1] = 12; /* given back for one that another request computed */
    XT_EQ(tell(&l, table, 3).head.n_pages, 1);
    XT_CHECK(l.table[PAGES] == 30 && l.table[PAGES + 1] == 12);
}

XT_TEST(a_step_message_is_refused_when_it_is_cut_or_leads_outside)
{
    static struct lane l;
    static _Alignas(8) char copy[4096];
    int32_t table[2 * SEQS * PAGES] = {0};
    struct mu_step_view v;
    struct mu_err err = MU_ERR_INIT;
    open_lane(&l);
    tell(&l, table, 1);
    for (size_t n = 0; n < l.bytes; n++)
        XT_EQ(mu_step_read(&v, l.message, n, &limits, &err), MU_EFORMAT);
    for (size_t i = 0; i + 4 <= l.bytes; i += 4) { /* any number that becomes huge or negative */
        for (int k = 0; k < 2; k++) {
            memcpy(copy, l.message, l.bytes);
            memcpy(copy + i, &(int32_t){k ? -7 : 1 << 28}, 4);
            if (mu_step_read(&v, copy, l.bytes, &limits, &err) != MU_OK)
                continue;
            struct lane other;
            open_lane(&other);
            mu_step_apply(&v, &limits, other.table, other.lengths); /* under ASan: inside the tables */
        }
    }
}

XT_TEST(pages_are_copied_and_kept_inside_the_pool_only)
{
    _Alignas(8) char message[sizeof(struct mu_step_head)];
    struct mu_step_view v;
    struct mu_err err = MU_ERR_INIT;
    size_t n = mu_step_write_keep(message, 9, 17);
    XT_EQ(n, sizeof message);
    XT_OK(mu_step_read(&v, message, n, &limits, &err));
    XT_CHECK(v.head.kind == MU_STEP_KEEP && v.head.number == 9 && v.head.n == 17);
    XT_OK(mu_step_read(&v, message, mu_step_write_keep(message, 10, 40), &limits, &err)); /* all */
    XT_FAILS(mu_step_read(&v, message, mu_step_write_keep(message, 11, 41), &limits, &err), MU_EFORMAT, "limits");
    XT_FAILS(mu_step_read(&v, message, mu_step_write_keep(message, 12, -1), &limits, &err), MU_EFORMAT, "limits");
    XT_OK(mu_step_read(&v, message, mu_step_write_copy(message, 13, 0, 39), &limits, &err));
    XT_FAILS(mu_step_read(&v, message, mu_step_write_copy(message, 14, 0, 40), &limits, &err), MU_EFORMAT, "limits");
}

/* ---- requests ---- */

static const struct mu_job_limits job_limits = {.vocab = 100, .context_max = 64, .kv_tokens = 640, .has_text = true};

static struct mu_job *job_of(const struct mu_request *r)
{
    struct mu_job *j = NULL;
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_job_new(&j, r, &job_limits, &err));
    j->result.id = 77;
    return j;
}

static void check_cut(const struct mu_buf *b, int (*read)(const void *p, size_t n))
{
    char *copy = mu_alloc(b->n);
    for (size_t n = 0; n < b->n; n++) {
        memcpy(copy, b->p, n);
        XT_EQ(read(copy, n), MU_EFORMAT);
    }
    mu_free(copy);
}

static int read_request(const void *p, size_t n)
{
    struct mu_request_view v;
    return mu_request_read(&v, p, n, NULL);
}

static int no_token(void *arg, const struct mu_token_event *ev)
{
    (void)arg, (void)ev;
    return 0;
}

XT_TEST(a_request_arrives_as_it_was)
{
    static const int32_t prompt[] = {5, 6, 7}, stop_ids[] = {1, 2, 3};
    static const struct mu_logit_bias bias[] = {{4, -1.5f}, {9, 2}, {11, -100}};
    static const char *const stop[] = {"\n\n", "END of it"};
    struct mu_request r = MU_REQUEST_INIT;
    struct mu_buf b = MU_BUF_INIT("a message", 1 << 20);
    struct mu_request_view v;
    struct mu_err err = MU_ERR_INIT;
    r.kind = MU_REQUEST_GENERATE;
    r.ids = prompt, r.n_ids = 3;
    r.max_tokens = 11;
    r.n_top = 4;
    r.want_prompt_logprobs = true;
    r.stop_ids = stop_ids, r.n_stop_ids = 3;
    r.stop = stop, r.n_stop = 2;
    r.sampling = (struct mu_sampling){0.7, 12, 0.9, 0.1, 1.1, -0.5, 0.25, 0xFEDCBA9876543210u, bias, 3};
    r.on_token = no_token;
    struct mu_job *j = job_of(&r);
    XT_OK(mu_request_write(&b, j, &err));
    XT_OK(mu_request_read(&v, b.p, b.n, &err));
    XT_CHECK(v.is_streaming && !v.req.on_token && v.req.want_prompt_logprobs && !v.req.ignore_eos);
    XT_CHECK(v.req.kind == r.kind && v.req.n_ids == 3 && memcmp(v.req.ids, prompt, sizeof prompt) == 0);
    XT_CHECK(v.req.max_tokens == 11 && v.req.n_top == 4 && v.req.n_stop_ids == 3);
    XT_CHECK(memcmp(v.req.stop_ids, stop_ids, sizeof stop_ids) == 0);
    XT_CHECK(v.req.n_stop == 2 && strcmp(v.req.stop[0], stop[0]) == 0 && strcmp(v.req.stop[1], stop[1]) == 0);
    const struct mu_sampling *s = &v.req.sampling;
    XT_CHECK(s->temperature == 0.7 && s->top_k == 12 && s->top_p == 0.9 && s->min_p == 0.1 && s->repetition == 1.1);
    XT_CHECK(s->frequency == -0.5 && s->presence == 0.25 && s->seed == r.sampling.seed && s->n_bias == 3);
    XT_CHECK(memcmp(s->bias, bias, sizeof bias) == 0);
    check_cut(&b, read_request);
    mu_job_free(j);
    mu_buf_fini(&b);
}

static struct mu_job *score_job(void)
{
    static const int32_t context[] = {5, 6, 7}, cont[] = {8, 9, 10, 11}, others[] = {12, 13, 14};
    struct mu_request r = MU_REQUEST_INIT;
    r.ids = context, r.n_ids = 3;
    r.continuation = cont, r.n_continuation = 4;
    r.alternatives = others, r.n_alternatives = 3;
    r.n_top = 2;
    return job_of(&r);
}

XT_TEST(a_scored_request_brings_its_continuation_and_alternatives)
{
    struct mu_buf b = MU_BUF_INIT("a message", 1 << 20);
    struct mu_request_view v;
    struct mu_err err = MU_ERR_INIT;
    struct mu_job *j = score_job();
    XT_OK(mu_request_write(&b, j, &err));
    XT_OK(mu_request_read(&v, b.p, b.n, &err));
    XT_CHECK(v.req.n_ids == 3 && v.req.n_continuation == 4 && v.req.n_alternatives == 3);
    XT_CHECK(v.req.continuation[0] == 8 && v.req.continuation[3] == 11 && v.req.alternatives[2] == 14);
    XT_CHECK(!v.is_streaming && v.req.max_tokens == 0);
    mu_job_free(j);
    mu_buf_fini(&b);
}

/* ---- results ---- */

static void fill(struct mu_job *j)
{
    for (int i = 0; i < 4; i++) {
        j->tokens.ids[i] = 8 + i;
        j->tokens.logprob[i] = -0.1 * (i + 1);
        j->tokens.is_greedy[i] = i % 2;
        for (int k = 0; k < 2; k++)
            j->tokens.top[2 * i + k] = (struct mu_token_logprob){10 * i + k, -1.0 - k};
    }
    j->result.tokens.n = 4;
    for (int i = 0; i < 3; i++)
        j->alternatives[i] = (struct mu_alternative){12 + i, i == 1, -2.0 * i, -3.0 * i};
    j->result.alternatives = j->alternatives;
    j->result.n_alternatives = 3;
    j->result.logprob_sum = -1.0 / 3;
    j->result.finish = MU_FINISH_LENGTH;
    j->result.n_prompt_cached = 2;
}

static int read_result(const void *p, size_t n)
{
    struct mu_engine_status st;
    struct mu_job *j = score_job();
    int rc = mu_result_read(j, &st, p, n, NULL);
    mu_job_free(j);
    return rc;
}

XT_TEST(a_result_arrives_as_it_was)
{
    struct mu_buf b = MU_BUF_INIT("a message", 1 << 20);
    struct mu_engine_status st = {.steps = 12, .rows = 34}, back;
    struct mu_err err = MU_ERR_INIT;
    struct mu_job *j = score_job(), *k = score_job();
    fill(j);
    XT_OK(mu_result_write(&b, &j->result, &st, &err));
    XT_OK(mu_result_read(k, &back, b.p, b.n, &err));
    XT_CHECK(back.steps == 12 && back.rows == 34);
    XT_CHECK(k->result.logprob_sum == j->result.logprob_sum && k->result.finish == MU_FINISH_LENGTH);
    XT_EQ(k->result.tokens.n, 4);
    XT_CHECK(memcmp(k->tokens.ids, j->tokens.ids, 16) == 0 && memcmp(k->tokens.logprob, j->tokens.logprob, 32) == 0);
    XT_CHECK(memcmp(k->tokens.is_greedy, j->tokens.is_greedy, 4) == 0);
    for (int i = 0; i < 8; i++)
        XT_CHECK(k->tokens.top[i].id == j->tokens.top[i].id && k->tokens.top[i].logprob == j->tokens.top[i].logprob);
    XT_EQ(k->result.n_alternatives, 3);
    XT_CHECK(k->alternatives[1].is_greedy && k->alternatives[2].logprob_sum == -6 && k->alternatives[0].id == 12);
    XT_CHECK(!k->result.text && k->result.n_prompt_cached == 2 && k->result.code == MU_OK);
    check_cut(&b, read_result);
    mu_job_free(j);
    mu_job_free(k);
    mu_buf_fini(&b);
}

XT_TEST(a_result_with_more_than_was_asked_for_is_refused)
{
    static const int32_t context[] = {5}, cont[] = {8, 9};
    struct mu_request r = MU_REQUEST_INIT;
    struct mu_buf b = MU_BUF_INIT("a message", 1 << 20);
    struct mu_engine_status st = {.steps = 1};
    struct mu_err err = MU_ERR_INIT;
    struct mu_job *j = score_job();
    r.ids = context, r.n_ids = 1;
    r.continuation = cont, r.n_continuation = 2;
    r.n_top = 2;
    struct mu_job *smaller = job_of(&r);
    fill(j);
    XT_OK(mu_result_write(&b, &j->result, &st, &err));
    XT_EQ(mu_result_read(smaller, &st, b.p, b.n, &err), MU_EFORMAT);
    mu_job_free(j);
    mu_job_free(smaller);
    mu_buf_fini(&b);
}

XT_TEST(a_refusal_brings_its_sentence)
{
    struct mu_buf b = MU_BUF_INIT("a message", 1 << 20);
    struct mu_engine_status st = {.steps = 1};
    struct mu_err err = MU_ERR_INIT, why = MU_ERR_INIT;
    struct mu_job *j = score_job();
    mu_fail(&why, MU_ELIMIT, "too long by %d", 3);
    XT_OK(mu_refusal_write(&b, 77, &why, &st, &err));
    XT_OK(mu_result_read(j, &st, b.p, b.n, &err));
    XT_EQ(j->result.code, MU_ELIMIT);
    XT_CHECK(strcmp(j->result.err.text, "too long by 3") == 0 && j->result.finish == MU_FINISH_ERROR);
    mu_job_free(j);
    mu_buf_fini(&b);
}

static int read_event(const void *p, size_t n)
{
    struct mu_token_event ev;
    return mu_event_read(&ev, p, n, NULL);
}

XT_TEST(an_event_arrives_as_it_was)
{
    struct mu_buf b = MU_BUF_INIT("a message", 1 << 20);
    struct mu_token_event ev = {
        .request = 9, .index = 3, .id = 41, .logprob = -0.25, .text = "h\xc3\xa9", .text_bytes = 3};
    struct mu_token_event back;
    struct mu_mail_head h;
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_event_write(&b, &ev, &err));
    XT_OK(mu_mail_read_head(&h, b.p, b.n, &err));
    XT_CHECK(h.kind == MU_MAIL_EVENT && h.id == 9);
    XT_OK(mu_event_read(&back, b.p, b.n, &err));
    XT_CHECK(back.index == 3 && back.id == 41 && back.logprob == -0.25 && !back.is_last);
    XT_CHECK(back.text_bytes == 3 && memcmp(back.text, ev.text, 3) == 0);
    check_cut(&b, read_event);
    mu_buf_fini(&b);
}
