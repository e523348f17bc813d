/* test_campaign_now.c - now.json as it is read: whole, in part, damaged */
#include "cli/campaign_now.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "xt.h"

static struct mu_err err;
static struct mu_now now;

static int parse(const char *text)
{
    return mu_now_parse(&now, mu_str(text), "now.json", &err);
}

XT_TEST(all_of_it_is_read)
{
    XT_OK(parse(
        "{\"at\": 1000.5, \"host\": \"n1\", \"pid\": 7, \"gpu_hours_max\": 12, \"running\": ["
        "{\"task\": \"b/x\", \"worker\": 18, \"devices\": \"2\", \"node\": \"n2\", \"seconds\": 1, \"done\": 0, "
        "\"total\": 0, \"per_s\": 0, \"alive_s\": -1},"
        "{\"task\": \"a/mmlu\", \"worker\": 17, \"devices\": \"0-1\", \"node\": \"n1\", \"seconds\": 12.5, "
        "\"done\": 120, \"total\": 400, \"per_s\": 3.5, \"alive_s\": 0.4}],"
        "\"workers\": [{\"worker\": 17, \"model\": \"a\", \"devices\": \"0\", \"node\": \"n1\", \"state\": "
        "\"running\"}],"
        "\"devices\": [{\"device\": 3, \"node\": \"n1\", \"memory\": 80, \"free\": 20, \"tasks\": 1, "
        "\"healthy\": false}], \"replicas\": [{\"model\": \"a\", \"allowed\": 3, \"workers\": 2, \"tasks_waiting\": 5, "
        "\"requests_waiting\": 4000, \"demand\": 30, \"capacity\": 12.5, \"why\": \"so\"}], \"later\": {}}"));
    XT_NEAR(now.at, 1000.5, 0);
    XT_STREQ(now.host, "n1");
    XT_EQ(now.pid, 7);
    XT_NEAR(now.gpu_hours_max, 12, 0);
    XT_EQ(now.n_running, 2);
    const struct mu_now_task *t = mu_now_find(&now, "a/mmlu");
    XT_CHECK(t && t->worker == 17 && t->seconds == 12.5 && t->done == 120 && t->total == 400 && t->per_s == 3.5);
    XT_STREQ(t->devices, "0-1");
    t = mu_now_find(&now, "b/x");
    XT_CHECK(t && t->alive_s == -1);
    XT_CHECK(!mu_now_find(&now, "c/y"));
    XT_STREQ(now.workers[0].state, "running");
    XT_CHECK(now.devices[0].device == 3 && now.devices[0].free == 20 && !now.devices[0].is_healthy);
    const struct mu_now_replicas *r = now.replicas;
    XT_CHECK(now.n_replicas == 1 && r->allowed == 3 && r->workers == 2 && r->tasks_waiting == 5);
    XT_CHECK(r->requests_waiting == 4000 && r->demand == 30 && r->capacity == 12.5 && strcmp(r->why, "so") == 0);
    mu_now_fini(&now);
    XT_CHECK(!mu_now_find(&now, "a/mmlu"));
}

XT_TEST(what_is_missing_is_empty)
{
    XT_OK(parse("{\"at\": 1, \"running\": [{\"task\": \"a\"}], \"devices\": [{\"device\": 0}]}"));
    XT_CHECK(now.n_running == 1 && now.running[0].total == 0 && now.running[0].node[0] == '\0');
    XT_CHECK(now.n_workers == 0 && now.devices[0].is_healthy && now.devices[0].memory == 0);
    mu_now_fini(&now);
}

XT_TEST(damage_is_told_and_leaves_nothing)
{
    static const char *const bad[] = {"",
                                      "{",
                                      "[]",
                                      "{}",
                                      "{\"at\": \"now\"}",
                                      "{\"at\": -5}",
                                      "{\"at\": 1e300}",
                                      "{\"at\": 1, \"running\": {}}",
                                      "{\"at\": 1, \"running\": [7]}",
                                      "{\"at\": 1, \"running\": [{}]}",
                                      "{\"at\": 1, \"running\": [{\"task\": 5}]}",
                                      "{\"at\": 1, \"running\": [{\"task\": \"a\", \"done\": -1}]}",
                                      "{\"at\": 1, \"running\": [{\"task\": \"a\", \"per_s\": \"fast\"}]}",
                                      "{\"at\": 1, \"workers\": [{\"model\": \"a\"}]}",
                                      "{\"at\": 1, \"devices\": [{\"device\": 0, \"healthy\": 1}]}",
                                      "{\"at\": 1, \"replicas\": [{\"allowed\": 1}]}",
                                      "{\"at\": 1, \"replicas\": [{\"model\": \"a\", \"allowed\": -1}]}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        XT_FAILS(parse(bad[i]), MU_EFORMAT, "now.json");
        XT_CHECK(!now.tree && !now.running && now.n_running == 0);
    }
}

XT_TEST(more_than_there_may_be_is_refused)
{
    struct mu_buf b = MU_BUF_INIT("text", MU_NOW_BYTES_MAX);
    XT_OK(mu_buf_puts(&b, "{\"at\": 1, \"running\": [", &err));
    for (int i = 0; i <= MU_NOW_RUNNING_MAX; i++)
        XT_OK(mu_buf_printf(&b, &err, "%s{\"task\": \"%d\"}", i ? "," : "", i));
    XT_OK(mu_buf_puts(&b, "]}", &err));
    XT_FAILS(parse(b.p), MU_ELIMIT, "at most 4096");
    mu_buf_fini(&b);
}

XT_TEST(a_file_that_is_not_there)
{
    char path[700];
    snprintf(path, sizeof path, "%s/now.json", xt_tmpdir());
    XT_FAILS(mu_now_load(&now, path, &err), MU_ENOENT, "now.json");
    XT_OK(mu_file_write_all(path, "{\"at\": 3}", 9, &err));
    XT_OK(mu_now_load(&now, path, &err));
    XT_NEAR(now.at, 3, 0);
    mu_now_fini(&now);
}

XT_TEST(shared_devices_are_told_in_one_line)
{
    char text[200];
    XT_OK(parse(
        "{\"at\": 1, \"share\": {\"devices\": 4, \"mine\": 2, \"others\": [{\"campaign\": \"b\", \"devices\": 1}, "
        "{\"campaign\": \"c\", \"devices\": 1}], \"is_lost\": false}}"));
    mu_now_share_text(&now, text, sizeof text);
    XT_STREQ(text, "devices: 2 of 4 (others: b 1, c 1)");
    mu_now_share_text(&now, text, 12); /* no room for more */
    XT_STREQ(text, "devices: 2 ");
    mu_now_fini(&now);
    XT_OK(parse("{\"at\": 1, \"share\": {\"devices\": 4, \"mine\": 4, \"others\": [], \"is_lost\": true}}"));
    mu_now_share_text(&now, text, sizeof text);
    XT_STREQ(text, "devices: 4 of 4; the others cannot be asked for now");
    mu_now_fini(&now);
    XT_OK(parse("{\"at\": 1}"));
    mu_now_share_text(&now, text, sizeof text);
    XT_STREQ(text, "");
    mu_now_fini(&now);
    XT_FAILS(parse("{\"at\": 1, \"share\": {\"devices\": \"all\"}}"), MU_EFORMAT, "devices");
}

static int parse_one(void *arg, struct mu_err *e)
{
    (void)arg;
    int rc = mu_now_parse(&now, MU_STR("{\"at\": 1, \"running\": [{\"task\": \"a\"}], \"workers\": [{\"worker\": 1}]}"),
                          "now.json", e);
    mu_now_fini(&now);
    return rc;
}

XT_TEST(no_memory_is_an_error)
{
    xt_each_alloc_fails(parse_one, NULL);
}

XT_MAIN()
