/* test_remote_service.c - the remote engine by a service's record: found, lost and found again, mistrusted */
#include "remote_fixture.h"
#include "service_fixture.h"

#include <poll.h>

#include "base/mem.h"

#define MARK(id) "Muster-Service: " id "\r\n"
#define SCORES                                                                                                         \
    "{\"choices\": [{\"text\": \"x\", \"finish_reason\": \"length\", \"logprobs\": {\"tokens\": [\"token_id:11\", "    \
    "\"token_id:12\", \"token_id:13\", \"token_id:14\", \"token_id:15\", \"token_id:16\"], \"token_logprobs\": "       \
    "[null, -1, -1, -1.4, -1.5, -1.6], \"top_logprobs\": [null, {\"token_id:12\": -1}, {\"token_id:13\": -1}, "        \
    "{\"token_id:14\": -1.4}, {\"token_id:15\": -1.5}, {\"token_id:16\": -1.6}]}}]}"
#define MODELS(id)                                                                                                     \
    OK_HEAD MARK(id) "Connection: close\r\n\r\n{\"data\": [{\"id\": \"m\", \"max_model_len\": 4096, "                  \
                     "\"owned_by\": \"muster\"}]}"

/* A service and its next life. A server keeps the token it was last asked with in `arg`. */
struct fixture {
    struct sf folder;
    struct rf rf;
    struct remote_server next;
    bool is_over, has_next; /* the first life; the second */
    struct mu_service_record r;
    char endpoint[160], asked[256];
};

static void keep_key(struct remote_server *s, const char *request)
{
    char *to = s->arg;
    const char *key = strstr(request, "Authorization: Bearer ");
    to[0] = 0;
    if (key)
        snprintf(to, 256, "%.64s", key + 22);
}

static void answer(struct remote_server *s, int n, int fd, const char *request, const char *body)
{
    (void)n, (void)body;
    keep_key(s, request);
    rs_reply(fd, 200, MARK(SF_ID), SCORES);
}

static void answer_2(struct remote_server *s, int n, int fd, const char *request, const char *body)
{
    (void)n, (void)body;
    keep_key(s, request);
    rs_reply(fd, 200, MARK(SF_ID_2), SCORES);
}

static void begin(struct fixture *f)
{
    f->is_over = f->has_next = false;
    sf_begin(&f->folder);
    rf_begin(&f->rf, answer);
    f->rf.server.models = MODELS(SF_ID);
    f->rf.server.arg = f->asked;
    f->r = sf_record();
    f->r.port = f->rf.server.port;
    f->r.boot[0] = '\0'; /* its loopback is taken for ours */
    snprintf(f->endpoint, sizeof f->endpoint, "service:%s/%s", f->folder.path, SF_NAME);
    f->rf.opts.endpoint = f->endpoint;
    f->rf.opts.attempts_max = 6;
    sf_write(&f->folder, &f->r);
}

static void end(struct fixture *f)
{
    sf_end(&f->folder);
    mu_engine_close(f->rf.eng);
    if (!f->is_over)
        rs_stop(&f->rf.server);
    if (f->has_next)
        rs_stop(&f->next);
    XT_EQ(mu_mem_bytes_used(), f->rf.heap);
}

static void check_scores(struct fixture *f)
{
    struct mu_request q = rf_score_request();
    struct mu_result *r = rf_ask(&f->rf, &q);
    XT_CHECKF(r->code == MU_OK, "%s", r->err.text);
    XT_NEAR(r->logprob_sum, -4.5, 1e-12);
    mu_result_free(r);
}

static void check_fails(struct fixture *f, int code, const char *want)
{
    struct mu_request q = rf_score_request();
    struct mu_result *r = rf_ask(&f->rf, &q);
    XT_CHECKF(r->code == code, "%d %s", r->code, r->err.text);
    XT_CHECKF(strstr(r->err.text, want), "%s", r->err.text);
    XT_CHECKF(!strstr(r->err.text, "aaaaaaaa") && !strstr(r->err.text, "cccccccc"), "%s", r->err.text);
    mu_result_free(r);
}

XT_TEST(a_service_is_asked_where_its_record_says_with_its_token)
{
    struct fixture f;
    struct mu_engine_info info;
    begin(&f);
    setenv("http_proxy", "http://127.0.0.1:1", 1); /* a token goes to its service and nowhere else */
    setenv("OPENAI_API_KEY", "sk-of-somebody-else", 1);
    rf_open(&f.rf);
    check_scores(&f);
    unsetenv("http_proxy");
    unsetenv("OPENAI_API_KEY");
    XT_STREQ(f.asked, SF_TOKEN);
    mu_engine_info(f.rf.eng, &info);
    XT_CHECK(info.service != NULL);
    XT_STREQ(info.service->name, SF_NAME);
    XT_STREQ(info.service->weights_hash, f.r.weights_hash);
    XT_EQ(info.service->numerics, 3);
    XT_EQ(info.service->lives, 1);
    XT_CHECKF(strncmp(info.weights_hash, "service-", 8) == 0, "%s", info.weights_hash);
    end(&f);
}

/* Another server on a port of its own, as the same service. */
static void start_again(struct fixture *f)
{
    f->next = (struct remote_server){.answer = answer_2, .models = MODELS(SF_ID_2), .arg = f->asked};
    rs_stop(&f->rf.server);
    rs_start(&f->next);
    f->is_over = f->has_next = true;
    memcpy(f->r.id, SF_ID_2, sizeof f->r.id);
    memset(f->r.token, 'c', 64);
    f->r.port = f->next.port;
}

XT_TEST(a_service_that_is_started_elsewhere_is_found_again)
{
    struct fixture f;
    struct mu_engine_info info;
    char identity[64];
    begin(&f);
    rf_open(&f.rf);
    check_scores(&f);
    mu_engine_info(f.rf.eng, &info);
    snprintf(identity, sizeof identity, "%s", info.weights_hash);
    start_again(&f);
    sf_write(&f.folder, &f.r);
    check_scores(&f);
    XT_STREQ(f.asked, f.r.token);
    mu_engine_info(f.rf.eng, &info);
    XT_EQ(info.service->lives, 2);
    XT_STREQ(info.weights_hash, identity); /* its answers are the same journal's */
    end(&f);
}

/* It comes back only while it is waited for. */
static void *write_later(void *arg)
{
    struct fixture *f = arg;
    poll(NULL, 0, 100);
    mu_service_write(&f->folder.folder, &f->r, true, NULL);
    return NULL;
}

XT_TEST(a_service_without_a_record_is_waited_for)
{
    struct fixture f;
    pthread_t thread;
    begin(&f);
    f.rf.opts.attempts_max = 40; /* the fake clock runs a hundred times as fast */
    rf_open(&f.rf);
    check_scores(&f);
    XT_CHECK(unlink(f.folder.file) == 0);
    start_again(&f);
    XT_CHECK(pthread_create(&thread, NULL, write_later, &f) == 0);
    check_scores(&f);
    pthread_join(thread, NULL);
    end(&f);
}

XT_TEST(a_service_that_stays_away_is_given_up_with_the_usual_patience)
{
    struct fixture f;
    begin(&f);
    rf_open(&f.rf);
    rs_stop(&f.rf.server);
    f.is_over = true;
    XT_CHECK(unlink(f.folder.file) == 0);
    check_fails(&f, MU_EPEER, "service night-1: no service night-1 is in");
    end(&f);
}

XT_TEST(other_weights_under_the_same_name_are_not_mixed_in)
{
    struct fixture f;
    begin(&f);
    rf_open(&f.rf);
    start_again(&f);
    f.r.weights_hash[0] = 'f';
    sf_write(&f.folder, &f.r);
    check_fails(&f, MU_EINVAL, "started again with another weights");
    XT_EQ(atomic_load(&f.next.n_requests), 0);
    end(&f);
}

static void answer_unmarked(struct remote_server *s, int n, int fd, const char *request, const char *body)
{
    (void)s, (void)request, (void)body;
    if (n == 0)
        rs_reply(fd, 400, NULL, "{\"error\": {\"message\": \"never heard of that model\"}}");
    else
        rs_reply(fd, 200, n % 2 ? NULL : MARK(SF_ID_2), SCORES);
}

XT_TEST(another_server_at_the_address_is_not_believed)
{
    struct fixture f;
    begin(&f);
    f.rf.opts.attempts_max = 3;
    rf_open(&f.rf);
    f.rf.server.answer = answer_unmarked;
    check_fails(&f, MU_EPEER, "another server answers at http://127.0.0.1:");
    XT_EQ(atomic_load(&f.rf.server.n_requests), 3);
    end(&f);
}

XT_TEST(a_service_that_falls_silent_is_not_waited_for)
{
    struct fixture f;
    begin(&f);
    f.rf.opts.attempts_max = 1;
    rf_open(&f.rf);
    f.rf.server.answer = rf_answer_nothing; /* and its record does not move: its node is lost */
    check_fails(&f, MU_EPEER, "has not renewed its record for 90 s");
    end(&f);
}

/* ---- opening ---- */

static void check_refused(struct fixture *f, int code, const char *want)
{
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    f->rf.opts.attempts_max = 1;
    int rc = mu_engine_open(&eng, &f->rf.opts, &err);
    XT_CHECKF(rc == code, "%d %s", rc, err.text);
    XT_CHECKF(strstr(err.text, want), "%s", err.text);
}

XT_TEST(what_was_asked_for_is_compared_with_the_record)
{
    struct fixture f;
    begin(&f);
    f.rf.opts.weights = "int8";
    check_refused(&f, MU_EINVAL, "it has weights in f32, and int8 was asked for");
    f.rf.opts.weights = "f32";
    f.rf.opts.endpoint_hash = "00112234";
    check_refused(&f, MU_EINVAL, "have the hash 0011223344");
    f.rf.opts.endpoint_hash = "0011";
    check_refused(&f, MU_EUSAGE, "too short");
    f.rf.opts.endpoint_hash = "0011223344";
    f.rf.opts.api_key_file = "/dev/null";
    check_refused(&f, MU_EUSAGE, "leave the key file out");
    f.rf.opts.api_key_file = NULL;
    f.rf.opts.model = "models/muster-llama-tiny";
    check_refused(&f, MU_EINVAL, "parameters, and models/muster-llama-tiny is a");
    f.rf.opts.model = NULL;
    rf_open(&f.rf);
    end(&f);
}

XT_TEST(a_hash_is_asked_of_services_only)
{
    struct fixture f;
    begin(&f);
    f.rf.opts.endpoint = f.rf.server.endpoint;
    f.rf.opts.endpoint_hash = "0011223344";
    check_refused(&f, MU_EUSAGE, "only a service tells the hash");
    end(&f);
}

XT_TEST(a_record_that_is_not_trusted_is_not_followed)
{
    struct fixture f;
    begin(&f);
    XT_CHECK(chmod(f.folder.file, 0644) == 0);
    check_refused(&f, MU_EINVAL, "others may read");
    XT_CHECK(unlink(f.folder.file) == 0);
    check_refused(&f, MU_EPEER, "no service night-1");
    f.rf.opts.endpoint = "service:a b";
    check_refused(&f, MU_EUSAGE, "names no service");
    XT_EQ(atomic_load(&f.rf.server.n_requests), 0);
    end(&f);
}

XT_TEST(the_loopback_of_another_machine_is_said_to_be_one)
{
    struct fixture f;
    begin(&f);
    snprintf(f.r.boot, sizeof f.r.boot, "another");
    sf_write(&f.folder, &f.r);
    check_refused(&f, MU_EPEER, "listens on 127.0.0.1 of node7.cluster alone");
    end(&f);
}
