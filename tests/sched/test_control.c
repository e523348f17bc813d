/* test_control.c - control of a campaign: lines, what follows from them, sockets with hostile clients */
#include "sched/control.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "sched/orchestrate.h"
#include "sched/state_log.h"
#include "xt.h"

#define SEC 1000000000ll

/* ---- lines ---- */

XT_TEST(a_request_is_read)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_control_request r;
    XT_OK(mu_control_request_parse(
        &r, MU_STR("{\"action\": \"priority\", \"priority\": \"low\", \"tasks\": [\"a/x\"]}"), &err));
    XT_EQ(r.action, MU_CONTROL_PRIORITY);
    XT_EQ(r.priority, MU_PRIORITY_LOW);
    XT_EQ(r.n_patterns, 1);
    XT_STREQ(r.pattern[0], "a/x");
    mu_control_request_fini(&r);
    XT_OK(mu_control_request_parse(&r, MU_STR("{\"action\": \"cancel\"}"), &err));
    XT_EQ(r.action, MU_CONTROL_CANCEL);
    XT_EQ(r.n_patterns, 0);
    mu_control_request_fini(&r);
}

XT_TEST(a_request_that_makes_no_sense_is_told_why)
{
    static const struct {
        const char *line;
        int code;
        const char *part;
    } bad[] = {
        {"", MU_EFORMAT, "a request"},
        {"[]", MU_EFORMAT, "JSON object"},
        {"{\"action\": \"pause\"", MU_EFORMAT, "a request"},
        {"{\"action\": \"pause\", \"action\": \"cancel\"}", MU_EFORMAT, "duplicate"},
        {"{}", MU_EFORMAT, "action"},
        {"{\"action\": 3}", MU_EFORMAT, "action"},
        {"{\"action\": \"stop\"}", MU_EINVAL, "no action \"stop\""},
        {"{\"action\": \"pause\", \"tasks\": [\"*\"]}", MU_EINVAL, "whole campaign"},
        {"{\"action\": \"cancel\", \"tasks\": []}", MU_EINVAL, "0 patterns"},
        {"{\"action\": \"cancel\", \"tasks\": \"*\"}", MU_EFORMAT, "tasks"},
        {"{\"action\": \"cancel\", \"tasks\": [1]}", MU_EFORMAT, "list of texts"},
        {"{\"action\": \"cancel\", \"tasks\": [\"a/x\\u0000\"]}", MU_EFORMAT, "list of texts"},
        {"{\"action\": \"cancel\", \"tasks\": [\"a\"]}", MU_EINVAL, "\"a\" is no pattern"},
        {"{\"action\": \"cancel\", \"tasks\": [\"a/b/c\"]}", MU_EINVAL, "no pattern"},
        {"{\"action\": \"priority\", \"tasks\": [\"*\"]}", MU_EFORMAT, "priority"},
        {"{\"action\": \"priority\", \"priority\": \"now\", \"tasks\": [\"*\"]}", MU_EINVAL, "no priority \"now\""},
        {"{\"action\": \"priority\", \"priority\": \"low\"}", MU_EINVAL, "needs the tasks"},
    };
    for (size_t i = 0; i < MU_COUNT(bad); i++) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_control_request r;
        xt_note("%s", bad[i].line);
        XT_FAILS(mu_control_request_parse(&r, mu_str(bad[i].line), &err), bad[i].code, bad[i].part);
        XT_CHECK(!r.tree && r.n_patterns == 0);
    }
}

XT_TEST(as_many_patterns_as_may_be_and_one_more)
{
    for (int n = MU_CONTROL_PATTERNS_MAX; n <= MU_CONTROL_PATTERNS_MAX + 1; n++) {
        struct mu_buf line = MU_BUF_INIT("a line", 4096);
        struct mu_err err = MU_ERR_INIT;
        struct mu_control_request r;
        XT_OK(mu_buf_puts(&line, "{\"action\": \"cancel\", \"tasks\": [\"*\"", &err));
        for (int i = 1; i < n; i++)
            XT_OK(mu_buf_puts(&line, ", \"a/x\"", &err));
        XT_OK(mu_buf_puts(&line, "]}", &err));
        XT_EQ(mu_control_request_parse(&r, mu_buf_str(&line), &err), n == MU_CONTROL_PATTERNS_MAX ? MU_OK : MU_EINVAL);
        mu_control_request_fini(&r);
        mu_buf_fini(&line);
    }
}

XT_TEST(an_answer_is_read)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *v;
    XT_OK(mu_control_answer_parse(&v, MU_STR("{\"ok\": true, \"sentence\": \"paused\"}"), &err));
    json_decref(v);
    XT_FAILS(
        mu_control_answer_parse(&v, MU_STR("{\"ok\": false, \"code\": \"ELIMIT\", \"error\": \"too long\"}"), &err),
        MU_ELIMIT, "too long");
    XT_FAILS(mu_control_answer_parse(&v, MU_STR("{\"ok\": false, \"code\": \"OK\", \"error\": \"?\"}"), &err), MU_EPEER,
             "?");
    XT_FAILS(mu_control_answer_parse(&v, MU_STR("{\"ok\": true}"), &err), MU_EFORMAT, "sentence");
    XT_FAILS(mu_control_answer_parse(&v, MU_STR("3"), &err), MU_EFORMAT, "no JSON object");
    XT_CHECK(!v);
}

static int parse_once(void *arg, struct mu_err *e)
{
    struct mu_control_request r;
    int rc = mu_control_request_parse(&r, mu_str(arg), e);
    mu_control_request_fini(&r);
    return rc;
}

XT_TEST(without_memory_a_request_is_not_misread)
{
    char line[] = "{\"action\": \"cancel\", \"tasks\": [\"a/x\", \"b/*\"]}";
    xt_each_alloc_fails(parse_once, line);
}

/* ---- what follows ---- */

static const char *const tasks[] = {"llama/mmlu", "llama/sums", "llama,weights=int8/mmlu", "qwen/mmlu", "qwen/sums"};

#define N_TASKS (int)MU_COUNT(tasks)

static void apply(struct mu_state *s, struct mu_event ev)
{
    struct mu_err err = MU_ERR_INIT;
    ev.seq = s->seq + 1;
    ev.fence = 1;
    XT_OK(mu_state_apply(s, &ev, &err));
}

/* The first has finished, the second runs, the others wait. */
static void begin_state(struct mu_state *s)
{
    mu_state_init(s);
    apply(s, (struct mu_event){.kind = MU_EVENT_OPENED, .text = "00"});
    apply(s, (struct mu_event){.kind = MU_EVENT_NODE_SEEN, .amount = 1, .text = "here"});
    for (int i = 0; i < N_TASKS; i++)
        apply(s,
              (struct mu_event){.kind = MU_EVENT_TASK_ADDED, .task = i, .value = MU_PRIORITY_NORMAL, .text = tasks[i]});
    apply(s, (struct mu_event){.kind = MU_EVENT_GROUP_STARTED, .job = -1, .value = 1, .text = "0"});
    for (int i = 0; i < 2; i++) {
        apply(s, (struct mu_event){.kind = MU_EVENT_TASK_READY, .task = i, .attempt = 1});
        apply(s, (struct mu_event){.kind = MU_EVENT_TASK_STARTED, .task = i, .attempt = 1, .amount = SEC});
    }
    apply(s, (struct mu_event){.kind = MU_EVENT_TASK_FINISHED, .attempt = 1});
}

static struct mu_control_request request(enum mu_control_action action, const char *a, const char *b)
{
    struct mu_control_request r = {.action = action, .priority = MU_PRIORITY_HIGH, .pattern = {a, b}};
    r.n_patterns = (a != NULL) + (b != NULL);
    return r;
}

/* The events must be of these tasks ("0 2 3") and this kind, and be taken by the state. */
static void follows(struct mu_state *s, struct mu_control_request r, int kind, const char *want, const char *part)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_control_change c;
    char got[256] = "";
    XT_OK(mu_control_decide(&c, s, &r, &err));
    for (int i = 0; i < c.n; i++) {
        if (c.ev[i].kind == kind && mu_event_members(kind) & MU_EVENT_TASK)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s%d", got[0] ? " " : "", c.ev[i].task);
        else
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", got[0] ? " " : "",
                     mu_event_kind_words(c.ev[i].kind));
        apply(s, c.ev[i]);
    }
    XT_STREQ(got, want);
    XT_CHECKF(strstr(c.sentence, part), "\"%s\" lacks \"%s\"", c.sentence, part);
    mu_control_change_fini(&c);
}

XT_TEST(patterns_name_what_they_name_in_the_file)
{
    static const struct {
        const char *pattern, *want;
    } row[] = {{"*", "1 2 3 4"},  {"llama/*", "1 2"},        {"llama,/*", "1"},
               {"*/mmlu", "2 3"}, {"*,weights=int8/*", "2"}, {"llama,weights=int8/mmlu", "2"},
               {"q?en/su*", "4"}, {"llama/mmlu", "2"},       {"[lq]*/sums", "1 4"}};
    for (size_t i = 0; i < MU_COUNT(row); i++) {
        struct mu_state s;
        xt_note("%s", row[i].pattern);
        begin_state(&s);
        follows(&s, request(MU_CONTROL_CANCEL, row[i].pattern, NULL), MU_EVENT_TASK_CANCELLED, row[i].want,
                "cancelled");
        mu_state_fini(&s);
    }
}

XT_TEST(what_is_asked_twice_is_done_once)
{
    struct mu_state s;
    begin_state(&s);
    follows(&s, request(MU_CONTROL_RESUME, NULL, NULL), 0, "", "was not paused");
    follows(&s, request(MU_CONTROL_PAUSE, NULL, NULL), 0, "campaign paused", "1 running task will");
    follows(&s, request(MU_CONTROL_PAUSE, NULL, NULL), 0, "", "paused already");
    follows(&s, request(MU_CONTROL_RESUME, NULL, NULL), 0, "campaign resumed", "resumed");
    follows(&s, request(MU_CONTROL_PRIORITY, "qwen/*", NULL), MU_EVENT_PRIORITY_CHANGED, "3 4", "2 tasks");
    follows(&s, request(MU_CONTROL_PRIORITY, "qwen/*", "*/mmlu"), MU_EVENT_PRIORITY_CHANGED, "2",
            "1 task given the priority high, 1 had ended");
    follows(&s, request(MU_CONTROL_CANCEL, "qwen/mmlu", "llama/sums"), MU_EVENT_TASK_CANCELLED, "1 3", "2 tasks");
    follows(&s, request(MU_CONTROL_CANCEL, "qwen/mmlu", NULL), MU_EVENT_TASK_CANCELLED, "", "0 tasks cancelled, 1 had");
    follows(&s, request(MU_CONTROL_STATUS, NULL, NULL), 0, "", "open");
    follows(&s, request(MU_CONTROL_CANCEL, NULL, NULL), MU_EVENT_TASK_CANCELLED, "2 4 campaign cancelled",
            "2 tasks cancelled, 3 had");
    follows(&s, request(MU_CONTROL_CANCEL, NULL, NULL), MU_EVENT_TASK_CANCELLED, "", "0 tasks");
    mu_state_fini(&s);
}

XT_TEST(what_has_ended_stays_as_it_is)
{
    struct mu_state s;
    begin_state(&s);
    follows(&s, request(MU_CONTROL_CANCEL, "*", NULL), MU_EVENT_TASK_CANCELLED, "1 2 3 4", "4 tasks");
    follows(&s, request(MU_CONTROL_CANCEL, NULL, NULL), 0, "", "it has ended: nothing is left to cancel");
    follows(&s, request(MU_CONTROL_PAUSE, NULL, NULL), 0, "", "it has ended: nothing is left to pause");
    XT_EQ(s.campaign, MU_CAMPAIGN_OPEN);
    mu_state_fini(&s);
}

XT_TEST(what_cannot_be_is_told)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_control_request pause = request(MU_CONTROL_PAUSE, NULL, NULL),
                              none = request(MU_CONTROL_CANCEL, "qwen/*", "*/gsm8k"),
                              resume = request(MU_CONTROL_RESUME, NULL, NULL);
    struct mu_control_change c;
    struct mu_state s;
    mu_state_init(&s);
    XT_FAILS(mu_control_decide(&c, &s, &pause, &err), MU_EINVAL, "has not begun");
    begin_state(&s);
    XT_FAILS(mu_control_decide(&c, &s, &none, &err), MU_EINVAL, "\"*/gsm8k\" names none");
    follows(&s, request(MU_CONTROL_CANCEL, NULL, NULL), MU_EVENT_TASK_CANCELLED, "1 2 3 4 campaign cancelled", "");
    XT_FAILS(mu_control_decide(&c, &s, &resume, &err), MU_EINVAL, "cannot be resumed");
    XT_FAILS(mu_control_decide(&c, &s, &pause, &err), MU_EINVAL, "cannot be paused");
    XT_CHECK(!c.ev);
    mu_state_fini(&s);
}

static int decide_once(void *arg, struct mu_err *e)
{
    struct mu_control_request r = request(MU_CONTROL_CANCEL, "*/mmlu", NULL);
    struct mu_control_change c;
    int rc = mu_control_decide(&c, arg, &r, e);
    mu_control_change_fini(&c);
    return rc;
}

XT_TEST(without_memory_nothing_is_decided)
{
    struct mu_state s;
    begin_state(&s);
    xt_each_alloc_fails(decide_once, &s);
    mu_state_fini(&s);
}

/* ---- sockets ---- */

struct house {
    struct mu_control *c;
    struct mu_clock clock;
    int n_asked;
    size_t bulk; /* bytes that an answer is made longer by */
    int fails;   /* code; 0: answers */
    const char *says;
    char folder[1024];
};

static int answer(void *arg, const struct mu_control_request *r, json_t *out, struct mu_err *e)
{
    struct house *h = arg;
    char *bulk = mu_calloc(1, h->bulk + 1);
    XT_CHECK(bulk);
    memset(bulk, 'x', h->bulk);
    h->n_asked++;
    json_object_set_new(out, "sentence", json_string(mu_control_word(r->action)));
    json_object_set_new(out, "bulk", json_string(bulk));
    mu_free(bulk);
    return h->fails ? mu_fail(e, h->fails, "%s", h->says ? h->says : "not today") : MU_OK;
}

static void open_in(struct house *h, const char *folder)
{
    struct mu_err err = MU_ERR_INIT;
    *h = (struct house){0};
    snprintf(h->folder, sizeof h->folder, "%s", folder);
    mu_clock_fake_init(&h->clock, 1000 * SEC);
    XT_OK(mu_control_open(&h->c, h->folder, &h->clock, &err));
}

static void serve(struct house *h, int times)
{
    for (int i = 0; i < times; i++)
        mu_control_serve(h->c, answer, h);
}

/* A client that does as it likes; its reads come back at once. */
static int connect_to(const struct house *h)
{
    struct mu_err err = MU_ERR_INIT;
    struct sockaddr_un a;
    int folder;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    XT_OK(mu_control_address(&a, &folder, h->folder, &err));
    XT_EQ(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    close(folder);
    return fd;
}

static void say(int fd, const char *text)
{
    XT_EQ(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* What there is to read now must hold `part`; NULL: nothing yet; "": the end. */
static void hears(int fd, const char *part)
{
    static char text[1 << 16];
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    if (!part)
        XT_CHECKF(n < 0 && errno == EAGAIN, "%zd bytes: %s", n, text);
    else if (!part[0])
        XT_CHECKF(n == 0 || (n < 0 && errno == ECONNRESET), "%zd bytes: %s", n, text);
    else
        XT_CHECKF(n > 0 && strstr(text, part), "%zd bytes: \"%s\" lacks \"%s\"", n, text, part);
}

XT_TEST(one_line_one_answer)
{
    struct house h;
    open_in(&h, xt_tmpdir());
    int fd = connect_to(&h);
    serve(&h, 1);
    hears(fd, NULL);
    say(fd, "{\"action\": ");
    serve(&h, 1);
    hears(fd, NULL);
    say(fd, "\"pause\"}\n");
    serve(&h, 1);
    hears(fd, "{\"ok\": true, \"sentence\": \"pause\"");
    hears(fd, "");
    XT_EQ(h.n_asked, 1);
    close(fd);
    mu_control_close(h.c);
}

XT_TEST(failures_are_told)
{
    static const char *const lines[][2] = {
        {"{\"action\": \"pause\"}\n", "{\"ok\": false, \"code\": \"EPEER\", \"error\": \"not today\"}"},
        {"\n", "EFORMAT"},
        {"\xff\xfe garbage \x01\n", "EFORMAT"},
        {"GET / HTTP/1.1\r\n\r\n", "EFORMAT"},
        {"{\"action\": \"fly\"}\n", "there is no action"}};
    struct house h;
    open_in(&h, xt_tmpdir());
    h.fails = MU_EPEER;
    for (size_t i = 0; i < MU_COUNT(lines); i++) {
        int fd = connect_to(&h);
        say(fd, lines[i][0]);
        serve(&h, 1);
        hears(fd, lines[i][1]);
        close(fd);
    }
    XT_EQ(h.n_asked, 1);
    mu_control_close(h.c);
}

XT_TEST(the_socket_is_its_users_alone)
{
    char path[1200];
    struct stat st;
    struct house h;
    mode_t old = umask(0);
    open_in(&h, xt_tmpdir());
    umask(old);
    snprintf(path, sizeof path, "%s/%s", h.folder, MU_CONTROL_SOCKET);
    XT_EQ(stat(path, &st), 0);
    XT_EQ(st.st_mode & 0777, 0600);
    mu_control_close(h.c);
    XT_CHECK(stat(path, &st) != 0); /* and goes with it */
}

/* In a process of another user, which may reach the socket only because somebody opened it up. */
static int ask_as_stranger(const struct house *h)
{
    static char text[1024];
    int fd = setuid(65534) == 0 ? connect_to(h) : -1;
    if (fd < 0 || send(fd, "{\"action\":\"pause\"}\n", 19, MSG_NOSIGNAL) != 19)
        return 2;
    for (int i = 0; i < 1000; i++) {
        if (recv(fd, text, sizeof text - 1, 0) > 0)
            return strstr(text, "only that user and root") ? 0 : 3;
        usleep(10000);
    }
    return 4;
}

XT_TEST(another_user_is_refused)
{
    char path[1200];
    struct house h;
    int status;
    if (geteuid() != 0)
        xt_skip("needs root, to be another user");
    open_in(&h, xt_tmpdir());
    snprintf(path, sizeof path, "%s/%s", h.folder, MU_CONTROL_SOCKET);
    XT_EQ(chmod(path, 0666), 0);
    XT_EQ(chmod(h.folder, 0777), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(ask_as_stranger(&h));
    while (waitpid(child, &status, WNOHANG) == 0) {
        serve(&h, 1);
        usleep(1000);
    }
    XT_EQ(WEXITSTATUS(status), 0);
    XT_EQ(h.n_asked, 0);
    mu_control_close(h.c);
}

/* Listens as another user, where everybody may write. */
static int listen_as_stranger(const char *folder)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_control *c;
    if (setgid(65534) != 0 || setuid(65534) != 0 || mu_control_open(&c, folder, mu_clock_real(), &err) != MU_OK)
        return 1;
    pause();
    return 0;
}

XT_TEST(who_listens_as_another_user_is_not_believed)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_control_request r = request(MU_CONTROL_STATUS, NULL, NULL);
    json_t *v;
    char path[1200];
    int rc = MU_EPEER;
    if (geteuid() != 0)
        xt_skip("needs root, to be another user");
    XT_EQ(chmod(xt_tmpdir(), 0777), 0);
    snprintf(path, sizeof path, "%s/%s", xt_tmpdir(), MU_CONTROL_SOCKET);
    pid_t child = fork();
    if (child == 0)
        _exit(listen_as_stranger(xt_tmpdir()));
    for (int ms = 0; ms < 30000 && rc == MU_EPEER; ms += 10) {
        usleep(10000);
        rc = mu_control_ask(&v, xt_tmpdir(), &r, SEC, &err);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    XT_EQ(rc, MU_EINVAL);
    XT_CHECKF(strstr(err.text, "user 65534"), "%s", err.text);
}

XT_TEST(who_says_nothing_is_dropped)
{
    struct house h;
    open_in(&h, xt_tmpdir());
    int silent = connect_to(&h), slow = connect_to(&h);
    serve(&h, 1);
    for (int i = 0; i < 4; i++) { /* a byte now and then is no way to stay */
        mu_clock_fake_advance(&h.clock, MU_CONTROL_CLIENT_NS / 5);
        say(slow, "{");
        serve(&h, 1);
    }
    hears(silent, NULL);
    hears(slow, NULL);
    mu_clock_fake_advance(&h.clock, MU_CONTROL_CLIENT_NS / 5);
    serve(&h, 1);
    hears(silent, "");
    hears(slow, "");
    close(silent);
    close(slow);
    mu_control_close(h.c);
}

XT_TEST(a_line_without_end_is_cut_off)
{
    static char much[1 << 16];
    struct house h;
    open_in(&h, xt_tmpdir());
    int fd = connect_to(&h);
    int64_t sent = 0;
    memset(much, 'a', sizeof much);
    for (int i = 0; i < 1000; i++) {
        ssize_t n = send(fd, much, sizeof much, MSG_NOSIGNAL);
        sent += MU_MAX(n, 0);
        serve(&h, 1);
        if (n < 0 && errno == EPIPE)
            break;
    }
    xt_note("%lld bytes were taken", (long long)sent);
    XT_CHECK(sent < 8 << 20); /* the system's buffer, not ours */
    hears(fd, "at most 65536 bytes");
    close(fd);
    mu_control_close(h.c);
}

XT_TEST(the_longest_line_is_taken)
{
    static char line[MU_CONTROL_LINE_MAX + 8];
    struct house h;
    for (size_t n = MU_CONTROL_LINE_MAX; n <= MU_CONTROL_LINE_MAX + 1; n++) {
        open_in(&h, xt_tmpdir());
        int fd = connect_to(&h);
        memset(line, ' ', n);
        memcpy(line, "{\"action\":\"pause\"}", 18);
        line[n] = '\n';
        XT_EQ(send(fd, line, n + 1, MSG_NOSIGNAL), (ssize_t)n + 1);
        serve(&h, 2);
        hears(fd, n == MU_CONTROL_LINE_MAX ? "\"ok\": true" : "ELIMIT");
        close(fd);
        mu_control_close(h.c);
    }
}

XT_TEST(more_clients_than_seats_wait_for_one)
{
    struct house h;
    int fd[MU_CONTROL_CLIENTS_MAX + 1];
    open_in(&h, xt_tmpdir());
    for (int i = 0; i <= MU_CONTROL_CLIENTS_MAX; i++)
        fd[i] = connect_to(&h);
    say(fd[MU_CONTROL_CLIENTS_MAX], "{\"action\":\"status\"}\n");
    serve(&h, 3);
    hears(fd[MU_CONTROL_CLIENTS_MAX], NULL);
    close(fd[0]);
    serve(&h, 2); /* it is seen to be gone, then its seat is given */
    hears(fd[MU_CONTROL_CLIENTS_MAX], "\"sentence\": \"status\"");
    for (int i = 1; i <= MU_CONTROL_CLIENTS_MAX; i++)
        close(fd[i]);
    mu_control_close(h.c);
}

XT_TEST(who_does_not_read_is_not_waited_for)
{
    static char text[1 << 16];
    struct house h;
    open_in(&h, xt_tmpdir());
    h.bulk = 3 << 20;
    int deaf = connect_to(&h), reader = connect_to(&h);
    say(deaf, "{\"action\":\"status\"}\n");
    say(reader, "{\"action\":\"status\"}\n");
    serve(&h, 1);
    size_t got = 0;
    for (int i = 0; i < 1000; i++) {
        ssize_t n = recv(reader, text, sizeof text, 0);
        if (n == 0)
            break;
        got += (size_t)MU_MAX(n, 0);
        serve(&h, 1);
    }
    XT_CHECKF(got > h.bulk && text[0], "%zu bytes of %zu", got, h.bulk);
    mu_clock_fake_advance(&h.clock, MU_CONTROL_CLIENT_NS);
    serve(&h, 1);
    got = 0;
    for (ssize_t n; (n = recv(deaf, text, sizeof text, 0)) > 0;)
        got += (size_t)n;
    XT_CHECKF(got < h.bulk, "%zu bytes", got); /* cut off */
    close(deaf);
    close(reader);
    mu_control_close(h.c);
}

XT_TEST(an_answer_too_long_is_told)
{
    struct house h;
    open_in(&h, xt_tmpdir());
    h.bulk = MU_CONTROL_ANSWER_MAX;
    int fd = connect_to(&h);
    say(fd, "{\"action\":\"status\"}\n");
    serve(&h, 1);
    hears(fd, "\"code\": \"ELIMIT\"");
    close(fd);
    mu_control_close(h.c);
}

XT_TEST(a_socket_left_behind_is_replaced)
{
    const char *folder = xt_tmpdir();
    struct house h;
    int status;
    pid_t child = fork();
    if (child == 0) { /* killed: takes nothing away */
        open_in(&h, folder);
        _exit(0);
    }
    XT_EQ(waitpid(child, &status, 0), child);
    open_in(&h, folder);
    int fd = connect_to(&h);
    say(fd, "{\"action\":\"status\"}\n");
    serve(&h, 1);
    hears(fd, "\"ok\": true");
    close(fd);
    mu_control_close(h.c);
}

XT_TEST(a_successors_socket_is_left_alone)
{
    struct house old, new;
    open_in(&old, xt_tmpdir());
    open_in(&new, old.folder);
    mu_control_close(old.c);
    int fd = connect_to(&new);
    say(fd, "{\"action\":\"status\"}\n");
    serve(&new, 1);
    hears(fd, "\"ok\": true");
    close(fd);
    mu_control_close(new.c);
}

XT_TEST(another_file_of_that_name_is_left_alone)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_control *c;
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", xt_tmpdir(), MU_CONTROL_SOCKET);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    XT_FAILS(mu_control_open(&c, xt_tmpdir(), mu_clock_real(), &err), MU_EINVAL, "is no socket");
    XT_CHECK(!c && access(path, F_OK) == 0);
    XT_FAILS(mu_control_open(&c, "/nowhere/at/all", mu_clock_real(), &err), MU_ENOENT, "/nowhere/at/all");
}

/* ---- asking ---- */

struct asker {
    struct house *h;
    struct mu_control_request r;
    int64_t timeout_ns;
    json_t *answer;
    struct mu_err err;
    int rc;
    atomic_bool is_done;
};

static void *ask(void *arg)
{
    struct asker *a = arg;
    a->rc = mu_control_ask(&a->answer, a->h->folder, &a->r, a->timeout_ns, &a->err);
    atomic_store(&a->is_done, true);
    return NULL;
}

static void ask_served(struct asker *a, struct house *h)
{
    pthread_t thread;
    a->h = h;
    a->timeout_ns = 60 * SEC;
    XT_EQ(pthread_create(&thread, NULL, ask, a), 0);
    while (!atomic_load(&a->is_done)) {
        serve(h, 1);
        usleep(1000);
    }
    pthread_join(thread, NULL);
}

XT_TEST(asked_and_answered)
{
    struct house h;
    open_in(&h, xt_tmpdir());
    h.bulk = 1 << 20;
    struct asker a = {.r = request(MU_CONTROL_CANCEL, "*", NULL)};
    ask_served(&a, &h);
    XT_CHECKF(a.rc == MU_OK, "%s", a.err.text);
    XT_STREQ(json_string_value(json_object_get(a.answer, "sentence")), "cancel");
    json_decref(a.answer);
    h.fails = MU_EINVAL;
    struct asker b = {.r = request(MU_CONTROL_PAUSE, NULL, NULL)};
    ask_served(&b, &h);
    XT_EQ(b.rc, MU_EINVAL);
    XT_STREQ(b.err.text, "not today");
    XT_CHECK(!b.answer);
    h.says = "cut inside a letter: \"\xe2\x82\"";
    struct asker c = {.r = request(MU_CONTROL_PAUSE, NULL, NULL)};
    ask_served(&c, &h);
    XT_EQ(c.rc, MU_EINVAL);
    XT_STREQ(c.err.text, "cut inside a letter: \"??\"");
    mu_control_close(h.c);
}

XT_TEST(a_long_path_is_no_hindrance)
{
    char folder[900];
    struct house h;
    size_t n = (size_t)snprintf(folder, sizeof folder, "%s", xt_tmpdir());
    for (int i = 0; i < 8; i++) {
        n += (size_t)snprintf(folder + n, sizeof folder - n, "/%060d", i);
        XT_EQ(mkdir(folder, 0777), 0);
    }
    open_in(&h, folder);
    struct asker a = {.r = request(MU_CONTROL_STATUS, NULL, NULL)};
    ask_served(&a, &h);
    XT_CHECKF(a.rc == MU_OK, "%s", a.err.text);
    json_decref(a.answer);
    mu_control_close(h.c);
}

XT_TEST(nobody_there_and_nobody_who_answers)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_control_request r = request(MU_CONTROL_STATUS, NULL, NULL);
    struct house h;
    json_t *v;
    XT_FAILS(mu_control_ask(&v, xt_tmpdir(), &r, SEC, &err), MU_EPEER, "nobody answers there");
    open_in(&h, xt_tmpdir());
    XT_FAILS(mu_control_ask(&v, h.folder, &r, SEC / 20, &err), MU_ETIMEDOUT, "gives no answer");
    /* So many wait that nobody else is let in to wait. */
    int fd[256], n = 0;
    for (; n < (int)MU_COUNT(fd); n++) {
        struct sockaddr_un a;
        int folder;
        XT_OK(mu_control_address(&a, &folder, h.folder, &err));
        fd[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int rc = connect(fd[n], (struct sockaddr *)&a, sizeof a);
        close(folder);
        if (rc != 0)
            break;
    }
    XT_CHECK(n < (int)MU_COUNT(fd) && errno == EAGAIN);
    XT_FAILS(mu_control_ask(&v, h.folder, &r, SEC / 20, &err), MU_ETIMEDOUT, "gives no answer");
    for (int i = 0; i <= n; i++)
        close(fd[i]);
    mu_control_close(h.c);
}

/* ---- campaigns that nobody runs ---- */

static void begin_log(struct mu_state_log *l, const char *folder)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_event ev[N_TASKS + 1] = {{.kind = MU_EVENT_OPENED, .text = "00"}};
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", folder, MU_ORCHESTRA_STORE);
    for (int i = 0; i < N_TASKS; i++)
        ev[1 + i] =
            (struct mu_event){.kind = MU_EVENT_TASK_ADDED, .task = i, .value = MU_PRIORITY_NORMAL, .text = tasks[i]};
    XT_OK(mu_state_log_open(l, path, NULL, true, 0, &err));
    XT_OK(mu_state_log_append(l, ev, N_TASKS + 1, &err));
}

XT_TEST(a_campaign_that_nobody_runs_is_written_to)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_control_request pause = request(MU_CONTROL_PAUSE, NULL, NULL),
                              rate = request(MU_CONTROL_PRIORITY, "llama/sums", NULL),
                              cancel = request(MU_CONTROL_CANCEL, "qwen/*", NULL),
                              status = request(MU_CONTROL_STATUS, NULL, NULL);
    const struct mu_control_request *all[] = {&pause, &rate, &cancel};
    struct mu_state_log l;
    json_t *v;
    char path[1200];
    XT_FAILS(mu_control_do(&v, xt_tmpdir(), &pause, &err), MU_ENOENT, "no campaign was run");
    begin_log(&l, xt_tmpdir());
    mu_state_log_close(&l);
    for (size_t i = 0; i < MU_COUNT(all); i++) {
        XT_OK(mu_control_do(&v, xt_tmpdir(), all[i], &err));
        XT_CHECK(strstr(json_string_value(json_object_get(v, "sentence")), "nobody runs it"));
        json_decref(v);
    }
    XT_FAILS(mu_control_do(&v, xt_tmpdir(), &status, &err), MU_EPEER, "nobody runs the campaign");
    snprintf(path, sizeof path, "%s/%s", xt_tmpdir(), MU_ORCHESTRA_STORE);
    XT_OK(mu_state_log_open(&l, path, NULL, true, 0, &err)); /* nobody has it */
    XT_EQ(l.state.campaign, MU_CAMPAIGN_PAUSED);
    XT_EQ(l.state.tasks[1].priority, MU_PRIORITY_HIGH);
    XT_CHECK(l.state.tasks[1].is_rated && !l.state.tasks[0].is_rated);
    XT_EQ(l.state.tasks[3].state, MU_TASK_CANCELLED);
    XT_EQ(l.state.tasks[4].state, MU_TASK_CANCELLED);
    /* Now it is had by a process that lives and does not listen. */
    XT_FAILS(mu_control_do(&v, xt_tmpdir(), &pause, &err), MU_EPEER, "which does not listen");
    mu_state_log_close(&l);
}

XT_MAIN()
