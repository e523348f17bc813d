/* test_alert.c - alerts to real commands and a real HTTP server: good ones, failing, hanging and closing ones */
#include "sched/alert.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "http/server.h"
#include "xt.h"

#define SEC     1000000000ll
#define WAIT_MS 30000 /* far above anything a test waits for, even on a busy machine */
#define BODIES  400

/* ---- a server ---- */

struct desk {
    struct mu_http_server *server;
    int fails; /* so many are answered 500 first */
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool is_shut; /* whoever asks waits until it is not */
    size_t bulk;  /* bytes of an answer, with 200 */
    char *body[BODIES];
    atomic_int n;
};

static void answer_long(const struct desk *d, struct mu_http_request *r)
{
    char *page = mu_calloc(1, d->bulk);
    memset(page, 'x', d->bulk);
    mu_http_respond(r, 200, "text/plain", (struct mu_str){page, d->bulk});
    mu_free(page);
}

static void take(void *arg, struct mu_http_request *r)
{
    struct desk *d = arg;
    pthread_mutex_lock(&d->lock);
    int i = atomic_load(&d->n);
    struct mu_str body = mu_http_body(r);
    d->body[i % BODIES] = mu_strndup(body.p, body.n);
    atomic_store(&d->n, i + 1);
    while (d->is_shut)
        pthread_cond_wait(&d->opened, &d->lock);
    pthread_mutex_unlock(&d->lock);
    if (d->bulk > 0)
        answer_long(d, r);
    else
        mu_http_respond(r, i < d->fails ? 500 : 204, "text/plain", MU_STR(""));
}

static const struct mu_http_route routes[] = {{"POST", "/*", take, true}, {NULL, NULL, NULL, false}};

static void desk_open(struct desk *d, char url[128])
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_http_opts o = {.address = "127.0.0.1", .threads = 2};
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->opened, NULL);
    XT_OK(mu_http_open(&d->server, &o, routes, NULL, d, &err));
    snprintf(url, 128, "http://127.0.0.1:%d/hooks/SECRET", mu_http_port(d->server));
}

static void desk_unlock(struct desk *d)
{
    pthread_mutex_lock(&d->lock);
    d->is_shut = false;
    pthread_cond_broadcast(&d->opened);
    pthread_mutex_unlock(&d->lock);
}

static void desk_close(struct desk *d)
{
    desk_unlock(d);
    mu_http_close(d->server);
    for (int i = 0; i < BODIES; i++)
        mu_free(d->body[i]);
}

/* ---- alerts ---- */

struct scene {
    struct mu_campaign c;
    struct mu_clock clock;
    struct mu_alerts *a;
    struct mu_alert_told told;
    struct mu_alerts_counts counts;
};

static void scene_open(struct scene *s, const char *command, const char *webhook, double timeout_s)
{
    struct mu_err err = MU_ERR_INIT;
    memset(s, 0, sizeof *s);
    s->c.name = "nightly";
    s->c.alerts = (struct mu_campaign_alerts){command, webhook, timeout_s};
    mu_clock_fake_init(&s->clock, 5 * SEC);
    struct mu_alerts_opts o = {.campaign = &s->c, .host = "node7", .clock = &s->clock, .wait = {SEC / 100, SEC / 50}};
    XT_OK(mu_alerts_open(&s->a, &o, &err));
}

static void say(struct scene *s, enum mu_alert_kind kind, const char *task, const char *sentence)
{
    struct mu_counts counts = {.tasks = 5, .left = 2};
    counts.by_state[MU_TASK_FINISHED] = 3;
    struct mu_alert a = {.kind = kind, .task = task, .sentence = sentence, .counts = &counts};
    mu_alert(s->a, &a);
}

/* The next outcome. */
static const char *next(struct scene *s)
{
    for (int ms = 0; ms < WAIT_MS; ms += 5) {
        if (mu_alerts_poll(s->a, &s->told))
            return s->told.text;
        poll(NULL, 0, 5);
    }
    return "nothing was told";
}

static double now_s(void)
{
    return (double)mu_now_ns(mu_clock_real()) * 1e-9;
}

static void has(const char *text, const char *part)
{
    XT_CHECKF(strstr(text, part), "\"%s\" lacks \"%s\"", text, part);
}

static void lacks(const char *text, const char *part)
{
    XT_CHECKF(!strstr(text, part), "\"%s\" has \"%s\"", text, part);
}

static void text_of(const char *body, const char *key, const char *want)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *v = NULL;
    XT_OK(mu_json_parse_strict(&v, mu_str(body), "the body", &err));
    const char *got = json_string_value(json_object_get(v, key));
    XT_CHECKF(want ? got && strcmp(got, want) == 0 : json_is_null(json_object_get(v, key)), "%s of %s", key, body);
    json_decref(v);
}

static int64_t number_of(const char *body, const char *key, const char *inner)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *v = NULL;
    XT_OK(mu_json_parse_strict(&v, mu_str(body), "the body", &err));
    json_t *at = json_object_get(v, key);
    int64_t n = json_integer_value(inner ? json_object_get(at, inner) : at);
    json_decref(v);
    return n;
}

XT_TEST(both_targets_get_the_alert_as_json)
{
    struct desk d = {0};
    struct scene s;
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf got = MU_BUF_INIT("what the command read", 65536);
    char url[128], path[600], command[700];
    desk_open(&d, url);
    snprintf(path, sizeof path, "%s/got", xt_tmpdir());
    snprintf(command, sizeof command, "cat > '%s'; echo heard", path);
    scene_open(&s, command, url, 20);
    say(&s, MU_ALERT_TASK_FAILED, "llama-7b/mmlu", "it was \xff \"killed\"\n by signal 9");
    for (int i = 0; i < 2; i++) {
        has(next(&s), "task_failed of llama-7b/mmlu, to the ");
        XT_CHECKF(!s.told.has_failed, "%s", s.told.text);
        lacks(s.told.text, "SECRET");
    }
    XT_EQ(atomic_load(&d.n), 1);
    XT_OK(mu_file_read_all(&got, path, &err));
    XT_STREQ(got.p, d.body[0]);
    text_of(got.p, "campaign", "nightly");
    text_of(got.p, "kind", "task_failed");
    text_of(got.p, "severity", "critical");
    text_of(got.p, "task", "llama-7b/mmlu");
    text_of(got.p, "about", NULL);
    text_of(got.p, "host", "node7");
    text_of(got.p, "sentence", "it was ? \"killed\"\n by signal 9");
    text_of(got.p, "text", "nightly: it was ? \"killed\"\n by signal 9");
    XT_EQ(number_of(got.p, "counts", "left"), 2);
    XT_EQ(number_of(got.p, "counts", "finished"), 3);
    mu_buf_fini(&got);
    mu_alerts_close(s.a);
    desk_close(&d);
}

XT_TEST(a_webhook_that_fails_for_now_is_asked_again)
{
    struct desk d = {.fails = 2};
    struct scene s;
    char url[128];
    desk_open(&d, url);
    scene_open(&s, NULL, url, 20);
    say(&s, MU_ALERT_FINISHED, NULL, "all is done");
    has(next(&s), "finished, to the webhook at http://127.0.0.1:");
    XT_CHECKF(!s.told.has_failed, "%s", s.told.text);
    XT_EQ(atomic_load(&d.n), 3);
    mu_alerts_counts(s.a, &s.counts);
    XT_EQ(s.counts.sent, 1);
    XT_EQ(s.counts.failed, 0);
    mu_alerts_close(s.a);
    desk_close(&d);
}

XT_TEST(a_webhook_may_answer_with_a_long_page)
{
    struct desk d = {.bulk = 200000};
    struct scene s;
    char url[128];
    desk_open(&d, url);
    scene_open(&s, NULL, url, 20);
    say(&s, MU_ALERT_FINISHED, NULL, "all is done");
    next(&s);
    XT_CHECKF(!s.told.has_failed, "%s", s.told.text);
    XT_EQ(atomic_load(&d.n), 1);
    mu_alerts_close(s.a);
    desk_close(&d);
}

XT_TEST(a_webhook_that_always_fails_is_given_up_and_then_left_alone)
{
    struct desk d = {.fails = BODIES};
    struct scene s;
    char url[128];
    desk_open(&d, url);
    scene_open(&s, NULL, url, 20);
    for (int i = 0; i < 3; i++) {
        char task[16];
        snprintf(task, sizeof task, "m/s%d", i);
        say(&s, MU_ALERT_TASK_FAILED, task, "no");
    }
    for (int i = 0; i < 2; i++) {
        has(next(&s), "it answered with status 500 (while at try 4 of 4)");
        XT_CHECK(s.told.has_failed);
    }
    poll(NULL, 0, 100);
    XT_EQ(atomic_load(&d.n), 2 * MU_ALERT_TRIES); /* the third waits for the breaker */
    mu_alerts_counts(s.a, &s.counts);
    XT_EQ(s.counts.waiting, 1);
    double t = now_s();
    mu_alerts_drain(s.a); /* nor is it waited for in the end */
    XT_CHECKF(now_s() - t < 10, "it took %.1f s", now_s() - t);
    mu_alerts_counts(s.a, &s.counts);
    XT_EQ(s.counts.dropped, 1);
    mu_alerts_close(s.a);
    desk_close(&d);
}

XT_TEST(a_webhook_that_hangs_holds_nobody_up)
{
    struct desk d = {.is_shut = true};
    struct scene s;
    char url[128], task[16];
    desk_open(&d, url);
    scene_open(&s, "cat >/dev/null", url, 1);
    double t = now_s();
    for (int i = 0; i < 200; i++) {
        snprintf(task, sizeof task, "m/s%d", i);
        say(&s, MU_ALERT_ATTEMPT_FAILED, task, "no");
    }
    XT_CHECKF(now_s() - t < 10, "200 alerts took %.2f s", now_s() - t);
    has(next(&s), "to the command"); /* which does not wait for the other */
    t = now_s();
    mu_alerts_drain(s.a);
    XT_CHECKF(now_s() - t < 1 + 15, "the end took %.2f s, and 1 s was given", now_s() - t);
    mu_alerts_counts(s.a, &s.counts);
    XT_EQ(s.counts.waiting, 0);
    XT_EQ(s.counts.sent + s.counts.failed + s.counts.dropped, 400);
    XT_CHECK(s.counts.dropped > 0);
    mu_alerts_close(s.a);
    desk_close(&d);
}

/* What closes each connection as it comes. */
static void *close_all(void *arg)
{
    int fd;
    while ((fd = accept(*(int *)arg, NULL, NULL)) >= 0)
        close(fd);
    return NULL;
}

XT_TEST(secrets_of_a_url_are_in_no_sentence)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    struct scene s;
    char url[160];
    pthread_t thread;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    XT_CHECK(bind(fd, (struct sockaddr *)&at, n) == 0 && listen(fd, 8) == 0);
    XT_CHECK(getsockname(fd, (struct sockaddr *)&at, &n) == 0);
    XT_CHECK(pthread_create(&thread, NULL, close_all, &fd) == 0);
    snprintf(url, sizeof url, "http://anna:PASS@127.0.0.1:%d/T0/SECRET?key=TOKEN", ntohs(at.sin_port));
    scene_open(&s, NULL, url, 20);
    say(&s, MU_ALERT_TASK_FAILED, "m/s", "no"); /* closed */
    next(&s);
    shutdown(fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(fd);
    struct mu_alert_told closed = s.told;
    say(&s, MU_ALERT_TASK_FAILED, "m/t", "no"); /* refused */
    next(&s);
    const char *const texts[] = {closed.text, s.told.text};
    for (int i = 0; i < 2; i++) {
        has(texts[i], "to the webhook at http://127.0.0.1:");
        has(texts[i], "at try 4 of 4");
        lacks(texts[i], "PASS");
        lacks(texts[i], "SECRET");
        lacks(texts[i], "TOKEN");
    }
    XT_CHECK(closed.has_failed && s.told.has_failed);
    mu_alerts_close(s.a);
}

XT_TEST(a_webhook_that_is_no_url_is_refused_without_telling_it)
{
    static const char *const bad[] = {"ftp://host/SECRET", "host/SECRET", "http:///SECRET", "https://SECRET@", ""};
    struct mu_campaign c = {.name = "c"};
    struct mu_alerts_opts o = {.campaign = &c, .host = "h"};
    struct mu_err err = MU_ERR_INIT;
    struct mu_alerts *a;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        c.alerts = (struct mu_campaign_alerts){NULL, bad[i], 1};
        XT_FAILS(mu_alerts_open(&a, &o, &err), MU_EUSAGE, "alerts.webhook");
        lacks(err.text, "SECRET");
    }
    c.alerts.webhook = NULL;
    XT_OK(mu_alerts_open(&a, &o, &err));
    XT_CHECK(!a);
    mu_alert(a, &(struct mu_alert){.kind = MU_ALERT_FINISHED, .sentence = ""});
    mu_alerts_close(a);
}

XT_TEST(a_command_that_hangs_is_killed_with_what_it_started)
{
    struct scene s;
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf pid = MU_BUF_INIT("a pid", 64);
    char command[900], path[600];
    snprintf(path, sizeof path, "%s/pid", xt_tmpdir());
    snprintf(command, sizeof command, "sleep 1000 & echo $! > '%s'; echo waits; yes", path);
    scene_open(&s, command, NULL, 0.6);
    say(&s, MU_ALERT_DRAINED, NULL, "later");
    has(next(&s), "it did not end in time and was killed");
    XT_CHECK(s.told.has_failed);
    XT_OK(mu_file_read_all(&pid, path, &err));
    int child = atoi(pid.p), ms = 0;
    while (kill(child, 0) == 0 && ms < 5000) /* a zombie until the system's first process takes it */
        ms += poll(NULL, 0, 10) + 10;
    XT_CHECKF(kill(child, 0) != 0, "process %d is still there", child);
    mu_buf_fini(&pid);
    mu_alerts_close(s.a);
}

/* A process that starts one and is killed. Does not return. */
static void start_and_wait(const char *command)
{
    struct scene s;
    scene_open(&s, command, NULL, 600);
    say(&s, MU_ALERT_DRAINED, NULL, "later");
    for (;;)
        pause();
}

/* Its number, once somebody has written it there. */
static int pid_in(const char *path)
{
    struct mu_buf text = MU_BUF_INIT("a pid", 64);
    int pid = 0;
    for (int ms = 0; ms < WAIT_MS && pid == 0; ms += 10) {
        if (mu_file_read_all(&text, path, NULL) == MU_OK && strchr(text.p, '\n'))
            pid = atoi(text.p);
        poll(NULL, 0, 10);
    }
    mu_buf_fini(&text);
    return pid;
}

XT_TEST(a_command_ends_with_who_started_it)
{
    char command[900], path[600];
    snprintf(path, sizeof path, "%s/pid", xt_tmpdir());
    snprintf(command, sizeof command, "sleep 1000 & echo $! > '%s'; sleep 1000; true", path);
    pid_t child = fork();
    if (child == 0)
        start_and_wait(command);
    int grandchild = pid_in(path), ms = 0;
    XT_CHECK(grandchild > 0);
    XT_EQ(kill(grandchild, 0), 0);
    XT_EQ(kill(child, SIGKILL), 0);
    XT_CHECK(waitpid(child, NULL, 0) == child);
    while (kill(grandchild, 0) == 0 && ms < WAIT_MS)
        ms += poll(NULL, 0, 10) + 10;
    XT_CHECKF(kill(grandchild, 0) != 0, "process %d is still there", grandchild);
}

/* The second command begins while the webhook's socket is open. */
XT_TEST(a_command_has_no_files_of_ours)
{
    struct desk d = {.is_shut = true};
    struct mu_buf open_files = MU_BUF_INIT("a list", 4096);
    struct mu_err err = MU_ERR_INIT;
    struct scene s;
    char url[128], command[900], path[600];
    snprintf(path, sizeof path, "%s/files", xt_tmpdir());
    snprintf(command, sizeof command, "for i in /proc/$$/fd/*; do readlink $i; done > '%s'", path);
    desk_open(&d, url);
    scene_open(&s, command, url, 30);
    say(&s, MU_ALERT_TASK_FAILED, "m/a", "no");
    has(next(&s), "to the command");
    for (int ms = 0; atomic_load(&d.n) == 0 && ms < WAIT_MS; ms += 5)
        poll(NULL, 0, 5);
    say(&s, MU_ALERT_TASK_FAILED, "m/b", "no");
    has(next(&s), "to the command");
    XT_OK(mu_file_read_all(&open_files, path, &err));
    has(open_files.p, "pipe:"); /* what it says */
    lacks(open_files.p, "socket:");
    lacks(open_files.p, "anon_inode");
    mu_buf_fini(&open_files);
    desk_unlock(&d);
    mu_alerts_close(s.a);
    desk_close(&d);
}

XT_TEST(an_end_can_be_cut_short)
{
    struct desk d = {.is_shut = true};
    struct scene s;
    char url[128];
    desk_open(&d, url);
    scene_open(&s, NULL, url, 600);
    say(&s, MU_ALERT_TASK_FAILED, "m/a", "no");
    mu_alerts_begin_end(s.a);
    XT_CHECK(!mu_alerts_wait_end(s.a, SEC / 20));
    mu_alerts_cut_end(s.a, 0);
    XT_CHECK(mu_alerts_wait_end(s.a, 30 * SEC));
    mu_alerts_close(s.a);
    desk_close(&d);
}

XT_TEST(a_command_that_fails_is_told_with_its_last_line)
{
    struct scene s;
    scene_open(&s, "echo one; echo 'no such channel' >&2; exit 3", NULL, 20);
    say(&s, MU_ALERT_DEGRADED, "m/s", "smaller");
    has(next(&s), "degraded of m/s, to the command: it ended with status 3: no such channel");
    XT_CHECK(s.told.has_failed);
    mu_alerts_close(s.a);
    scene_open(&s, "kill -9 $$", NULL, 20);
    say(&s, MU_ALERT_DEGRADED, "m/s", "smaller");
    has(next(&s), "it was ended by signal 9");
    mu_alerts_close(s.a);
}

XT_TEST(repeats_within_a_minute_are_counted_and_not_sent)
{
    struct desk d = {0};
    struct scene s;
    char url[128];
    desk_open(&d, url);
    scene_open(&s, NULL, url, 20);
    for (int i = 0; i < 5; i++)
        say(&s, MU_ALERT_TASK_FAILED, "m/s", "no");
    say(&s, MU_ALERT_TASK_FAILED, "m/other", "no");
    say(&s, MU_ALERT_ATTEMPT_FAILED, "m/s", "no");
    for (int i = 0; i < 3; i++)
        next(&s);
    XT_EQ(atomic_load(&d.n), 3);
    mu_clock_fake_advance(&s.clock, 60 * SEC - 1);
    say(&s, MU_ALERT_TASK_FAILED, "m/s", "no");
    mu_clock_fake_advance(&s.clock, 1);
    say(&s, MU_ALERT_TASK_FAILED, "m/s", "no");
    next(&s);
    XT_EQ(atomic_load(&d.n), 4);
    XT_EQ(number_of(d.body[0], "repeats", NULL), 0);
    XT_EQ(number_of(d.body[3], "repeats", NULL), 5);
    mu_alerts_counts(s.a, &s.counts);
    XT_EQ(s.counts.repeated, 5);
    XT_EQ(s.counts.sent, 4);
    mu_alerts_close(s.a);
    desk_close(&d);
}

XT_TEST(a_full_queue_drops_the_oldest_of_the_least_severity)
{
    struct desk d = {.is_shut = true};
    struct scene s;
    char url[128], task[16];
    desk_open(&d, url);
    scene_open(&s, NULL, url, 60);
    say(&s, MU_ALERT_TASK_FAILED, "first", "no");
    for (int ms = 0; atomic_load(&d.n) == 0 && ms < WAIT_MS; ms += 5)
        poll(NULL, 0, 5); /* it is under way, the queue is empty */
    for (int i = 0; i < MU_ALERT_QUEUE_MAX; i++) {
        snprintf(task, sizeof task, "t%d", i);
        say(&s, i == 0 || i == 2 ? MU_ALERT_TASK_FAILED : MU_ALERT_ATTEMPT_FAILED, task, "no");
    }
    say(&s, MU_ALERT_TASK_FAILED, "last", "no"); /* in place of t1 */
    say(&s, MU_ALERT_FINISHED, NULL, "no");      /* says less than all others */
    mu_alerts_counts(s.a, &s.counts);
    XT_EQ(s.counts.dropped, 2);
    desk_unlock(&d);
    mu_alerts_drain(s.a);
    XT_EQ(atomic_load(&d.n), 1 + MU_ALERT_QUEUE_MAX);
    text_of(d.body[0], "task", "first");
    text_of(d.body[1], "task", "t0");
    text_of(d.body[2], "task", "t2");
    text_of(d.body[3], "task", "t3");
    text_of(d.body[MU_ALERT_QUEUE_MAX], "task", "last");
    mu_alerts_close(s.a);
    desk_close(&d);
}

static int open_and_close(void *arg, struct mu_err *e)
{
    struct mu_campaign c = {.name = "c", .alerts = {"cat", "http://127.0.0.1:1/", 1}};
    struct mu_alerts_opts o = {.campaign = &c, .host = "h"};
    struct mu_alerts *a = NULL;
    (void)arg;
    int rc = mu_alerts_open(&a, &o, e);
    mu_alerts_close(a);
    return rc;
}

XT_TEST(opening_fails_well_at_each_allocation)
{
    xt_each_alloc_fails(open_and_close, NULL);
}

XT_MAIN()
