/* test_orchestrate_control.c - what is asked of a campaign while it runs: a real socket, a launcher by a script
 *
 * One thread: the orchestrator asks once a round whether it is to stop, and there the test speaks and hears. */
#include "sched/control.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "campaign_text.h"
#include "fake_launcher.h"
#include "sched/orchestrate.h"
#include "xt.h"

#define SEC 1000000000ll
#define ALWAYS(s)                                                                                                      \
    {                                                                                                                  \
        s, s, s, s, s, s, s, s                                                                                         \
    }

/* Said once so many seconds have passed; the answer must hold the part. A line of NULL stops the orchestrator. */
struct word {
    double at_s;
    const char *line, *part;
};

struct play {
    struct fake_launcher f;
    struct mu_campaign *c;
    struct mu_fleet_device device[2];
    const char *node[1];
    int n_devices;
    const struct word *word;
    int n_words, at; /* at: the next */
    int fd;          /* of the one that waits for its answer; -1 */
    int64_t begin_ns;
    char starts[1024]; /* "a/x@0 b/x@12 ": when tasks were started */
    struct mu_counts counts;
    struct mu_err err;
    char folder[600];
};

static double passed_s(const struct play *p)
{
    return (double)(mu_now_ns(&p->f.clock) - p->begin_ns) * 1e-9;
}

static void say(struct play *p, const char *line)
{
    struct mu_err err = MU_ERR_INIT;
    struct sockaddr_un a;
    int folder;
    XT_OK(mu_control_address(&a, &folder, p->folder, &err));
    p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    XT_EQ(connect(p->fd, (struct sockaddr *)&a, sizeof a), 0);
    close(folder);
    XT_EQ(send(p->fd, line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
    XT_EQ(send(p->fd, "\n", 1, MSG_NOSIGNAL), 1);
}

/* A round later it is answered. */
static void hear_answer(struct play *p, const char *part)
{
    char text[8192];
    ssize_t n = recv(p->fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    XT_CHECKF(n > 0 && strstr(text, part), "at %.1f s: \"%s\" lacks \"%s\"", passed_s(p), text, part);
    close(p->fd);
    p->fd = -1;
}

static bool is_stopped(void *arg)
{
    struct play *p = arg;
    if (p->fd >= 0)
        hear_answer(p, p->word[p->at++].part);
    if (p->at == p->n_words || passed_s(p) < p->word[p->at].at_s)
        return false;
    if (!p->word[p->at].line)
        return true;
    say(p, p->word[p->at].line);
    return false;
}

static void told(void *arg, const struct mu_news *n)
{
    struct play *p = arg;
    size_t at = strlen(p->starts);
    if (n->kind == MU_EVENT_TASK_STARTED)
        snprintf(p->starts + at, sizeof p->starts - at, "%s@%.0f ", n->task, passed_s(p));
}

static void begin(struct play *p, const char *name, const char *text, const struct fake_script *script, int n_scripts)
{
    *p = (struct play){.n_devices = 1, .node = {"n0"}, .fd = -1};
    p->c = campaign_of(text);
    snprintf(p->folder, sizeof p->folder, "%s/%s", xt_tmpdir(), name);
    mkdir(p->folder, 0777);
    for (int i = 0; i < 2; i++)
        p->device[i] = (struct mu_fleet_device){.tasks_max = 1, .memory = INT64_C(1) << 30, .speed = 1};
    fake_launcher_init(&p->f, script, n_scripts);
}

static int play(struct play *p, const struct word *word, int n_words)
{
    struct mu_orchestra o = {.campaign = p->c,
                             .output = p->folder,
                             .program = "/bin/muster",
                             .launcher = &p->f.l,
                             .clock = &p->f.clock,
                             .nodes = p->node,
                             .devices = p->device,
                             .n_devices = p->n_devices,
                             .cores = 8,
                             .is_stopped = is_stopped,
                             .told = told,
                             .arg = p};
    p->word = word;
    p->n_words = n_words;
    p->at = 0;
    p->starts[0] = 0;
    p->begin_ns = mu_now_ns(&p->f.clock);
    p->err = (struct mu_err)MU_ERR_INIT;
    int rc = mu_orchestrate(&o, &p->counts, &p->err);
    XT_EQ(p->f.n, 0); /* nobody is left behind */
    return rc;
}

/* All was said, and the campaign ended so. */
#define ENDED(p, finished, cancelled, skipped)                                                                         \
    do {                                                                                                               \
        XT_EQ((p)->at, (p)->n_words);                                                                                  \
        XT_EQ((p)->counts.by_state[MU_TASK_FINISHED], (finished));                                                     \
        XT_EQ((p)->counts.by_state[MU_TASK_CANCELLED], (cancelled));                                                   \
        XT_EQ((p)->counts.by_state[MU_TASK_SKIPPED], (skipped));                                                       \
        XT_EQ((p)->counts.by_state[MU_TASK_FAILED], 0);                                                                \
    } while (0)

#define SPEAK(p, ...)                                                                                                  \
    play(p, (const struct word[]){__VA_ARGS__}, (int)(sizeof((struct word[]){__VA_ARGS__}) / sizeof(struct word)))

#define TWO_BY_TWO                                                                                                     \
    "output: out\nmodels: [a, b]\nsuites: [{name: x, tasks: x}, {name: y, tasks: y}]\n"                                \
    "settings:\n  - {retries: {limit: 2, wait: 10s, wait_max: 40s}}\n"

/* Of ten seconds each. */
static const struct fake_script slow[] = {
    {"a/x", ALWAYS(0), 10}, {"a/y", ALWAYS(0), 10}, {"b/x", ALWAYS(0), 10}, {"b/y", ALWAYS(0), 10}};

XT_TEST(paused_it_finishes_what_runs_and_starts_nothing)
{
    struct play p;
    begin(&p, "pause", TWO_BY_TWO, slow, 4);
    XT_EQ(SPEAK(&p, {3, "{\"action\": \"pause\"}", "1 running task will go on"},
                {4, "{\"action\": \"pause\"}", "paused already"}, {100, "{\"action\": \"resume\"}", "resumed"}),
          MU_OK);
    ENDED(&p, 4, 0, 0);
    double second = 0;
    XT_CHECKF(sscanf(p.starts, "a/x@0 a/y@%lf", &second) == 1 && second >= 100 && second < 105, "%s", p.starts);
    mu_campaign_free(p.c);
}

XT_TEST(a_pause_lasts_over_a_restart)
{
    struct play p;
    begin(&p, "restart", TWO_BY_TWO, slow, 4);
    XT_EQ(SPEAK(&p, {3, "{\"action\": \"pause\"}", "paused"}, {30, NULL, NULL}), MU_ECANCELED);
    XT_STREQ(p.starts, "a/x@0 ");
    XT_EQ(SPEAK(&p, {50, "{\"action\": \"status\"}", "\"campaign\": \"paused\""},
                {60, "{\"action\": \"resume\"}", "resumed"}),
          MU_OK);
    ENDED(&p, 4, 0, 0);
    double first = 0;
    XT_CHECKF(sscanf(p.starts, "a/y@%lf", &first) == 1 && first >= 60, "%s", p.starts);
    mu_campaign_free(p.c);
}

XT_TEST(a_waiting_task_is_cancelled_and_what_waits_for_it_skipped)
{
    struct play p;
    begin(&p, "waits", TWO_BY_TWO "  - {for: b/y, after: b/x}\n  - {for: a/y, after: b/x, if_failed: anyway}\n", slow,
          4);
    XT_EQ(SPEAK(&p, {3, "{\"action\": \"cancel\", \"tasks\": [\"b/x\"]}", "1 task cancelled, 0 had ended"},
                {4, "{\"action\": \"cancel\", \"tasks\": [\"b/x\"]}", "0 tasks cancelled, 1 had ended"},
                {5, "{\"action\": \"cancel\", \"tasks\": [\"c/x\"]}", "EINVAL"}),
          MU_OK);
    ENDED(&p, 2, 1, 1);
    XT_EQ(p.f.tasks, 2);
    mu_campaign_free(p.c);
}

/* Both are named: neither is only skipped. */
XT_TEST(a_task_and_what_waits_for_it_are_cancelled)
{
    struct play p;
    begin(&p, "both", TWO_BY_TWO "  - {for: b/y, after: b/x}\n", slow, 4);
    XT_EQ(SPEAK(&p, {3, "{\"action\": \"cancel\", \"tasks\": [\"b/*\"]}", "2 tasks cancelled"}), MU_OK);
    ENDED(&p, 2, 2, 0);
    mu_campaign_free(p.c);
}

XT_TEST(a_running_task_is_stopped)
{
    static const struct fake_script s[] = {{"a/x", ALWAYS(0), 1e6}, {"b/y", ALWAYS(FAKE_STUBBORN), 1e6}};
    struct play p;
    begin(&p, "runs", TWO_BY_TWO "  - {for: b/y, after: \"*/x\", if_failed: anyway}\n", s, 2);
    XT_EQ(SPEAK(&p, {1, "{\"action\": \"status\"}", "\"task\": \"a/x\", \"worker\": "},
                {5, "{\"action\": \"cancel\", \"tasks\": [\"a/x\"]}", "1 task cancelled"},
                {20, "{\"action\": \"cancel\", \"tasks\": [\"b/y\"]}", "1 task cancelled"}),
          MU_OK);
    ENDED(&p, 2, 2, 0);
    /* The one that does not listen is ended 30 s later, and only then the campaign. */
    XT_CHECKF(passed_s(&p) >= 50 && passed_s(&p) < 60, "%.1f s", passed_s(&p));
    XT_EQ(play(&p, NULL, 0), MU_OK); /* again: nothing is left */
    XT_STREQ(p.starts, "");
    mu_campaign_free(p.c);
}

XT_TEST(a_campaign_is_cancelled)
{
    struct play p;
    begin(&p, "all", TWO_BY_TWO "  - {for: b/y, after: \"*/x\"}\n", slow, 4);
    p.n_devices = 2;
    XT_EQ(SPEAK(&p, {12, "{\"action\": \"cancel\"}", "the campaign is cancelled: "}), MU_ECANCELED);
    XT_CHECKF(strstr(p.err.text, "cancelled with 2 of 4 tasks finished"), "%s", p.err.text);
    XT_EQ(p.counts.by_state[MU_TASK_FINISHED], 2);
    XT_EQ(p.counts.by_state[MU_TASK_CANCELLED], 2);
    XT_EQ(p.counts.left, 0);
    int given = p.f.tasks;
    XT_EQ(play(&p, NULL, 0), MU_ECANCELED); /* it stays so */
    XT_EQ(p.f.tasks, given);
    mu_campaign_free(p.c);
}

XT_TEST(a_paused_campaign_is_cancelled)
{
    struct play p;
    begin(&p, "paused", TWO_BY_TWO, slow, 4);
    XT_EQ(SPEAK(&p, {1, "{\"action\": \"pause\"}", "paused"}, {30, "{\"action\": \"cancel\"}", "3 tasks cancelled"}),
          MU_ECANCELED);
    XT_EQ(p.counts.by_state[MU_TASK_CANCELLED], 3);
    mu_campaign_free(p.c);
}

XT_TEST(what_an_urgent_task_waits_for_becomes_urgent)
{
    struct play p;
    begin(&p, "urgent", TWO_BY_TWO "  - {for: b/y, after: b/x}\n", slow, 4);
    XT_EQ(SPEAK(&p, {3, "{\"action\": \"priority\", \"priority\": \"high\", \"tasks\": [\"b/y\"]}",
                     "1 task given the priority high"}),
          MU_OK);
    ENDED(&p, 4, 0, 0);
    XT_STREQ(p.f.order, "a/x b/x b/y a/y ");
    mu_campaign_free(p.c);
}

/* And no longer, once it is not; a change holds over a restart, whatever the file says. */
XT_TEST(a_priority_is_kept)
{
    struct play p;
    begin(&p, "kept", TWO_BY_TWO "  - {for: a/y, priority: high}\n", slow, 4);
    XT_EQ(SPEAK(&p, {3, "{\"action\": \"priority\", \"priority\": \"low\", \"tasks\": [\"a/*\"]}", "2 tasks given"},
                {5, NULL, NULL}),
          MU_ECANCELED);
    XT_STREQ(p.f.order, "a/y ");
    p.f.order[0] = 0;
    XT_EQ(play(&p, NULL, 0), MU_OK);
    XT_CHECKF(strncmp(p.f.order, "b/x b/y ", 8) == 0, "%s", p.f.order);
    mu_campaign_free(p.c);
}

XT_TEST(without_a_socket_it_runs_all_the_same)
{
    char path[700];
    struct play p;
    begin(&p, "none", TWO_BY_TWO, NULL, 0);
    snprintf(path, sizeof path, "%s/%s", p.folder, MU_CONTROL_SOCKET);
    XT_EQ(mkdir(path, 0777), 0);
    XT_EQ(play(&p, NULL, 0), MU_OK);
    ENDED(&p, 4, 0, 0);
    mu_campaign_free(p.c);
}

XT_MAIN()
