/* test_orchestrate_alert.c - which of what happens in a campaign is told, and how often: a launcher by a script, a
 * command that writes all it is told into a file */
#include "sched/orchestrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/log.h"
#include "campaign_text.h"
#include "fake_launcher.h"
#include "sched/control.h"
#include "xt.h"

#define SEC        1000000000ll
#define TWO_SUITES "models: [{model: a, batch_size: 8}]\nsuites: [{name: x, tasks: x}, {name: y, tasks: y}]\n"
#define TWELVE     "models: [a, b, c, d, e, f]\nsuites: [{name: x, tasks: x}, {name: y, tasks: y}]\n"
#define ALWAYS(s)                                                                                                      \
    {                                                                                                                  \
        s, s, s, s, s, s, s, s                                                                                         \
    }

struct scene {
    const char *name, *text;      /* of the campaign, without its alerts */
    struct fake_script script[4]; /* those with a task */
    const char *says;             /* workers that fail */
    int rc;
    double stops_s;      /* of the launcher's clock; 0: never */
    bool is_cancelled;   /* then, rather than stopped */
    const char *told[6]; /* parts of lines, each of one line of its own */
    int n;               /* lines in all */
};

static const struct scene scenes[] = {
    {"all is well", TWO_SUITES, .told = {"\"kind\": \"finished\", \"severity\": \"info\""}, .n = 1},
    {"given up", TWO_SUITES "settings: [{retries: {limit: 1, wait: 1s}}]\n", .script = {{"a/x", ALWAYS(1), 2}},
     .told = {"\"kind\": \"task_failed\", \"severity\": \"critical\", \"task\": \"a/x\", \"about\": null",
              "1 of 2 tasks finished, 1 failed, 0 skipped, 0 cancelled"},
     .n = 2},
    {"a device", TWO_SUITES, .script = {{"a/x", {FAKE_DIES + 1, 0}, 2}}, .says = "Xid 79: GPU has fallen off the bus",
     .told = {"\"kind\": \"device_quarantined\", \"severity\": \"critical\", \"task\": null, \"about\": \"device 0 of "
              "n0\"",
              "\"kind\": \"attempt_failed\", \"severity\": \"warning\", \"task\": \"a/x\"", "\"kind\": \"finished\""},
     .n = 3},
    {"a node", TWO_SUITES, .script = {{"a/x", {FAKE_NODE, 0}, 2}},
     .told = {"\"kind\": \"node_quarantined\", \"severity\": \"critical\", \"task\": null, \"about\": \"n0\"",
              "\"kind\": \"attempt_failed\"", "\"kind\": \"finished\""},
     .n = 3},
    {"less", TWO_SUITES, .script = {{"a/x", {7, 0}, 2}}, /* muster ran out of memory */
     .told = {"\"kind\": \"degraded\", \"severity\": \"warning\", \"task\": \"a/x\"", "\"kind\": \"attempt_failed\"",
              "\"kind\": \"finished\""},
     .n = 3},
    {"a budget", /* of 36 s for two of 20 s: near after 32.4 s */
     TWO_SUITES "budgets: {gpu_hours: 0.01}\n", .script = {{"a/x", {0}, 20}, {"a/y", {0}, 20}},
     .told = {"\"kind\": \"budget_near\", \"severity\": \"warning\", \"task\": null, \"about\": \"gpu_hours\"",
              "\"kind\": \"budget_spent\", \"severity\": \"critical\", \"task\": null, \"about\": \"gpu_hours\"",
              "\"kind\": \"finished\""},
     .n = 3},
    {"a budget with tasks left", TWO_SUITES "budgets: {walltime: 30s}\n",
     .script = {{"a/x", {0}, 40}, {"a/y", {0}, 20}}, .rc = MU_ELIMIT,
     .told = {"\"kind\": \"budget_near\", \"severity\": \"warning\", \"task\": null, \"about\": \"walltime\"",
              "\"kind\": \"budget_spent\"", "\"kind\": \"drained\", \"severity\": \"info\""},
     .n = 3},
    {"a deadline that has passed", TWO_SUITES "settings: [{for: a/y, deadline: \"2020-01-01T00:00:00Z\"}]\n",
     .told = {"\"kind\": \"deadline_missed\", \"severity\": \"critical\", \"task\": \"a/y\"", "\"kind\": \"finished\""},
     .n = 2},
    {"one worker more",
     "models: [a]\nsuites: [{name: x, tasks: x}, {name: y, tasks: y}]\n"
     "scaling: {most: 2, interval: 1s, stable: 1, up_cooldown: 0, drain: 1s}\n",
     .script = {{"a/x", {0}, 60}, {"a/y", {0}, 60}},
     .told = {"\"kind\": \"scaled\", \"severity\": \"info\", \"task\": null, \"about\": \"a\"",
              "\"kind\": \"finished\""},
     .n = 2},
    /* Of twelve the last is to be done within 60 s of the wall's clock, which stands still here; after eight a rate is
     * known, and by that it will not. */
    {"a deadline that comes near", TWELVE "settings: [{for: f/y, after: [\"*/x\", \"[a-e]/y\"], deadline: 60s}]\n",
     .script = {{"a/x", {0}, 100}, {"a/y", {0}, 100}, {"b/x", {0}, 100}, {"b/y", {0}, 100}},
     .told = {"\"kind\": \"deadline_near\", \"severity\": \"warning\", \"task\": \"f/y\"", "\"kind\": \"finished\""},
     .n = 2},
    {"cancelled", TWO_SUITES, .script = {{"a/x", {0}, 2}, {"a/y", {0}, 20}}, .rc = MU_ECANCELED, .stops_s = 5,
     .is_cancelled = true,
     .told = {"\"kind\": \"cancelled\", \"severity\": \"warning\"",
              "\"finished\": 1, \"failed\": 0, \"skipped\": 0, \"cancelled\": 1"},
     .n = 1},
    {"stopped", TWO_SUITES, .script = {{"a/x", {0}, 20}}, .rc = MU_ECANCELED, .stops_s = 5,
     .told = {"\"kind\": \"drained\", \"severity\": \"info\""}, .n = 1},
};

struct play {
    struct fake_launcher f;
    const struct scene *s;
    int64_t begin_ns;
    int fd; /* of the one who cancels; -1: not yet */
    char folder[600], got[640];
};

/* As `muster control` would, without a look at the answer. */
static void cancel(struct play *p)
{
    static const char line[] = "{\"action\": \"cancel\"}\n";
    struct mu_err err = MU_ERR_INIT;
    struct sockaddr_un a;
    int folder;
    XT_OK(mu_control_address(&a, &folder, p->folder, &err));
    p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    XT_EQ(connect(p->fd, (struct sockaddr *)&a, sizeof a), 0);
    XT_EQ(send(p->fd, line, sizeof line - 1, MSG_NOSIGNAL), (ssize_t)sizeof line - 1);
    close(folder);
}

static bool is_stopped(void *arg)
{
    struct play *p = arg;
    double passed_s = (double)(mu_now_ns(&p->f.clock) - p->begin_ns) * 1e-9;
    if (p->s->stops_s == 0 || passed_s < p->s->stops_s)
        return false;
    if (p->s->is_cancelled && p->fd < 0)
        cancel(p);
    return !p->s->is_cancelled;
}

static int play(struct play *p, const char *command)
{
    static const char *const nodes[] = {"n0", "n1"};
    static const struct mu_fleet_device devices[] = {
        {.node = 0, .tasks_max = 1, .memory = INT64_C(1) << 30, .speed = 1},
        {.node = 1, .tasks_max = 1, .memory = INT64_C(1) << 30, .speed = 0.5}};
    struct mu_err err = MU_ERR_INIT;
    struct mu_counts counts;
    char text[2048];
    int n = 0;
    while (n < 4 && p->s->script[n].task)
        n++;
    bool needs_two = p->s->script[0].status[0] == FAKE_NODE || p->s->says || /* one goes, the other stays */
                     strstr(p->s->text, "scaling");
    snprintf(text, sizeof text, "name: nightly\noutput: out\n%salerts: {command: \"%s\", timeout: 60s}\n", p->s->text,
             command);
    struct mu_campaign *c = campaign_of(text);
    fake_launcher_init(&p->f, p->s->script, n);
    p->f.says = p->s->says;
    p->begin_ns = mu_now_ns(&p->f.clock);
    mkdir(p->folder, 0777);
    struct mu_orchestra o = {.campaign = c,
                             .output = p->folder,
                             .program = "/bin/muster",
                             .launcher = &p->f.l,
                             .clock = &p->f.clock,
                             .nodes = nodes,
                             .devices = devices,
                             .n_devices = needs_two ? 2 : 1,
                             .cores = 8,
                             .is_stopped = is_stopped,
                             .arg = p};
    p->fd = -1;
    int rc = mu_orchestrate(&o, &counts, &err);
    if (p->fd >= 0)
        close(p->fd);
    mu_campaign_free(c);
    return rc;
}

static int count_lines(const char *text, const char *part)
{
    int n = 0;
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        const char *end = strchr(line, '\n'), *at = part ? strstr(line, part) : line;
        n += at && at < end;
    }
    return n;
}

static void check(const struct scene *s, int number)
{
    struct play p = {.s = s};
    struct mu_buf got = MU_BUF_INIT("what was told", 1 << 20);
    struct mu_err err = MU_ERR_INIT;
    char command[1400];
    xt_note("%s", s->name);
    snprintf(p.folder, sizeof p.folder, "%s/%d", xt_tmpdir(), number);
    snprintf(p.got, sizeof p.got, "%s.told", p.folder);
    snprintf(command, sizeof command, "cat >>'%s'; echo >>'%s'", p.got, p.got);
    XT_EQ(play(&p, command), s->rc);
    xt_note("%s", p.f.order);
    XT_OK(mu_file_read_all(&got, p.got, &err));
    for (size_t i = 0; i < MU_COUNT(s->told) && s->told[i]; i++)
        XT_CHECKF(count_lines(got.p, s->told[i]) == 1, "%s: not once \"%s\" in\n%s", s->name, s->told[i], got.p);
    XT_CHECKF(count_lines(got.p, NULL) == s->n, "%s: not %d lines:\n%s", s->name, s->n, got.p);
    mu_buf_fini(&got);
}

XT_TEST(what_happens_is_told_once)
{
    for (size_t i = 0; i < MU_COUNT(scenes); i++)
        check(&scenes[i], (int)i);
}

/* ---- sends that fail ---- */

static int n_warned;
static char warned[2048];

static void keep(void *arg, enum mu_log_level level, const char *line)
{
    (void)arg;
    if (level == MU_LOG_WARN && strstr(line, "an alert was not sent")) {
        n_warned++;
        snprintf(warned, sizeof warned, "%s", line);
    }
}

/* Two alerts at one time, so one warning. */
XT_TEST(sends_that_fail_are_told_once_a_minute)
{
    struct play p = {.s = &scenes[1]};
    snprintf(p.folder, sizeof p.folder, "%s/failing", xt_tmpdir());
    mu_log_sink_set(keep, NULL);
    XT_EQ(play(&p, "printf 'no such %b[2Jchannel' '\\\\0033'; exit 3"), MU_OK);
    mu_log_sink_set(NULL, NULL);
    XT_EQ(n_warned, 1);
    XT_CHECKF(strstr(warned, "task_failed of a/x, to the command: it ended with status 3: no such ?[2Jchannel"), "%s",
              warned);
}

/* ---- the end ---- */

/* Of a target that takes its time, which is 60 s here. */
XT_TEST(who_stops_a_campaign_does_not_wait_for_its_alerts)
{
    struct play p = {.s = &scenes[MU_COUNT(scenes) - 1]};
    int64_t begin = mu_now_ns(mu_clock_real());
    snprintf(p.folder, sizeof p.folder, "%s/hanging", xt_tmpdir());
    XT_EQ(play(&p, "sleep 1000"), MU_ECANCELED);
    double took_s = (double)(mu_now_ns(mu_clock_real()) - begin) * 1e-9;
    XT_CHECKF(took_s < 30, "it took %.1f s", took_s);
}

XT_MAIN()
