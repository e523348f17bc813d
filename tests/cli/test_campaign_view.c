/* test_campaign_view.c - what is seen of a campaign: by its events, by now.json, on a page of any size, as JSON */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "campaign_rig.h"
#include "cli/campaign_json.h"
#include "cli/campaign_page.h"
#include "sched/orchestrate.h"
#include "sched/scale.h"
#include "xt.h"

#define SEC 1000000000ll

static struct mu_err err;
static struct rig r;
static struct mu_view v;

/* A campaign of n tasks, and a look at it. */
static void begin(int n)
{
    rig_open(&r, xt_tmpdir(), n);
    XT_OK(mu_view_open(&v, r.folder, mu_wall_ns(), SEC, &err));
}

static void end(void)
{
    mu_view_close(&v);
    rig_close(&r);
}

static void look(int64_t after_ns)
{
    static int64_t mono_ns = SEC;
    mono_ns += after_ns;
    XT_OK(mu_view_refresh(&v, mu_wall_ns(), mono_ns, &err));
}

static void write_now(double at, const char *rest)
{
    char text[4096];
    snprintf(text, sizeof text, "{\"at\": %.3f, \"host\": \"n1\", \"pid\": 1%s%s}", at, rest[0] ? ", " : "", rest);
    rig_now(&r, text);
}

XT_TEST(no_campaign_is_no_view)
{
    XT_FAILS(mu_view_open(&v, xt_tmpdir(), 0, 0, &err), MU_ENOENT, "no campaign was run");
    char path[700];
    snprintf(path, sizeof path, "%s/%s", xt_tmpdir(), MU_ORCHESTRA_STORE);
    XT_CHECK(!mu_path_exists(path)); /* looking makes none */
}

/* As nobody, where the test is root. */
static int look_as_stranger(void)
{
    struct mu_view w;
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        return 2;
    int rc = mu_view_open(&w, xt_tmpdir(), mu_wall_ns(), mu_now_ns(mu_clock_real()), &err);
    if (rc != MU_OK)
        fprintf(stderr, "%s\n", err.text);
    rc = rc == MU_OK && w.counts.tasks == 3 ? 0 : 1;
    mu_view_close(&w);
    return rc;
}

/* Of a folder that may only be read, while it is written to and after. */
XT_TEST(who_may_only_read_sees_it)
{
    char path[700];
    int status = -1;
    rig_open(&r, xt_tmpdir(), 3);
    for (int is_over = 0; is_over < 2; is_over++) {
        if (is_over)
            rig_close(&r);
        snprintf(path, sizeof path, "%s/%s", xt_tmpdir(), MU_ORCHESTRA_STORE);
        XT_EQ(chmod(path, 0444), 0);
        XT_EQ(chmod(xt_tmpdir(), 0555), 0);
        pid_t child = fork();
        if (child == 0)
            _exit(look_as_stranger());
        XT_CHECK(waitpid(child, &status, 0) == child);
        XT_EQ(chmod(xt_tmpdir(), 0755), 0);
        XT_CHECKF(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %x", is_over ? "over" : "at work", status);
    }
}

XT_TEST(each_refresh_takes_what_is_new)
{
    begin(10);
    XT_EQ(v.counts.tasks, 10);
    XT_EQ(v.n_runs, 0);
    rig_start(&r, 3);
    rig_start(&r, 5);
    look(SEC);
    XT_EQ(v.n_runs, 2);
    XT_STREQ(v.runs[0].name, "a/0003");
    XT_STREQ(v.runs[0].devices, "3");
    XT_STREQ(v.runs[0].node, "n1");
    XT_CHECK(v.runs[0].left_s < 0 && v.runs[0].seconds >= 0 && v.runs[0].seconds < 60);
    rig_finish(&r, 3);
    look(SEC);
    XT_EQ(v.n_runs, 1);
    XT_EQ(v.counts.by_state[MU_TASK_FINISHED], 1);
    XT_NEAR(v.share, 0.1, 1e-9);
    end();
}

XT_TEST(progress_comes_from_now_json)
{
    double at = (double)time(NULL);
    begin(2);
    rig_start(&r, 0);
    rig_start(&r, 1);
    write_now(at,
              "\"running\": [{\"task\": \"a/0001\", \"devices\": \"1-2\", \"node\": \"n7\", \"seconds\": 60, \"done\": "
              "300, \"total\": 400, \"per_s\": 5, \"alive_s\": 0.5}, {\"task\": \"a/0009\"}]");
    look(SEC);
    XT_CHECK(mu_view_has_now(&v));
    mu_view_sort(&v, MU_ORDER_LEFT);
    XT_STREQ(v.runs[0].name, "a/0001"); /* the other's is not known */
    XT_NEAR(v.runs[0].left_s, 20, 1e-9);
    XT_STREQ(v.runs[0].devices, "1-2");
    XT_STREQ(v.runs[0].node, "n7");
    XT_NEAR(v.share, 0.75 / 2, 1e-9);
    XT_CHECK(v.left_s < 0); /* one that runs may take for ever */
    rig_finish(&r, 0);
    look(SEC);
    XT_NEAR(v.left_s, 20, 1e-9); /* all that is left runs, and tells */
    end();
}

XT_TEST(now_json_may_be_missing_damaged_or_old)
{
    char text[2000];
    double at = (double)time(NULL);
    begin(1);
    rig_start(&r, 0);
    look(SEC);
    mu_view_now_text(&v, text, sizeof text);
    XT_CHECKF(strstr(text, "there is no now.json"), "%s", text);
    rig_now(&r, "{\"at\": 5,");
    look(SEC);
    mu_view_now_text(&v, text, sizeof text);
    XT_CHECKF(strstr(text, "cannot be read"), "%s", text);
    XT_EQ(v.n_runs, 1);
    write_now(at - 60, "");
    look(SEC);
    mu_view_now_text(&v, text, sizeof text);
    XT_CHECKF(strstr(text, "s old"), "%s", text);
    XT_CHECK(!mu_view_has_now(&v) && v.now_age_s >= 59);
    write_now(at - 59, ""); /* it changes: another machine's clock is behind */
    look(SEC);
    XT_CHECK(mu_view_has_now(&v));
    look(6 * SEC);
    XT_CHECK(!mu_view_has_now(&v));
    rig_finish(&r, 0);
    look(SEC);
    mu_view_now_text(&v, text, sizeof text);
    XT_STREQ(text, ""); /* nobody runs, so nothing is missing */
    end();
}

XT_TEST(runs_are_sorted)
{
    begin(3);
    for (int i = 0; i < 3; i++)
        rig_start(&r, i);
    write_now((double)time(NULL),
              "\"running\": [{\"task\": \"a/0000\", \"seconds\": 5, \"done\": 1, \"total\": 100, \"per_s\": 1},"
              "{\"task\": \"a/0001\", \"seconds\": 90}, {\"task\": \"a/0002\", \"seconds\": 7, \"done\": 90, "
              "\"total\": 100, \"per_s\": 1}]");
    look(SEC);
    const int want[MU_ORDERS][3] = {
        [MU_ORDER_LEFT] = {2, 0, 1}, [MU_ORDER_TIME] = {1, 2, 0}, [MU_ORDER_NAME] = {0, 1, 2}};
    for (int o = 0; o < MU_ORDERS; o++) {
        mu_view_sort(&v, (enum mu_view_order)o);
        for (int i = 0; i < 3; i++)
            XT_EQ(v.runs[i].task, want[o][i]);
    }
    end();
}

XT_TEST(news_are_kept_and_told_once)
{
    begin(100);
    rig_start(&r, 0);
    rig_fail(&r, 0, MU_FAILURE_DEVICE, "Xid 79", true); /* the try and the end of it */
    for (int i = 1; i < 40; i++)
        rig_add(&r, (struct mu_event){.kind = MU_EVENT_TASK_SKIPPED, .task = i, .text = "a task before it failed"});
    rig_add(&r, (struct mu_event){.kind = MU_EVENT_DEVICE_QUARANTINED, .device = 2, .text = "Xid 79"});
    look(SEC);
    XT_EQ(v.n_events, 4);
    char subject[100];
    const struct mu_view_event *ev = &v.events[1];
    XT_CHECK(ev->kind == MU_EVENT_TASK_FAILED && ev->value == MU_FAILURE_DEVICE);
    XT_STREQ(ev->text, "Xid 79");
    mu_view_subject(&v, ev, subject, sizeof subject);
    XT_STREQ(subject, "a/0000");
    XT_EQ(v.events[2].more, 38);
    mu_view_subject(&v, &v.events[3], subject, sizeof subject);
    XT_STREQ(subject, "device 2 of n1");
    for (int i = 0; i < 2 * MU_VIEW_EVENTS; i++) {
        char text[32];
        snprintf(text, sizeof text, "alert %d", i);
        rig_add(&r, (struct mu_event){.kind = MU_EVENT_ALERT_SENT, .text = text});
    }
    look(SEC);
    XT_EQ(v.n_events, 4 + 2 * MU_VIEW_EVENTS);
    XT_STREQ(v.events[(v.n_events - 1) % MU_VIEW_EVENTS].text, "alert 127");
    end();
}

XT_TEST(long_texts_are_cut_between_letters)
{
    char text[MU_EVENT_TEXT_MAX] = "x";
    while (strlen(text) < 900)
        strcat(text, "模");
    begin(1);
    rig_add(&r, (struct mu_event){.kind = MU_EVENT_ALERT_SENT, .text = text});
    look(SEC);
    const char *kept = v.events[1].text;
    XT_CHECK(strlen(kept) > 500 && mu_utf8_valid_prefix(kept, strlen(kept)) == strlen(kept));
    end();
}

XT_TEST(who_runs_it)
{
    char text[600];
    begin(1);
    XT_EQ(v.life, MU_LIFE_ALIVE);
    mu_view_owner_text(&v, text, sizeof text);
    XT_CHECKF(strstr(text, "which is alive"), "%s", text);
    rig_start(&r, 0);
    look(SEC);
    XT_EQ(v.n_runs, 1);
    rig_close(&r);
    look(SEC);
    XT_EQ(v.life, MU_LIFE_NOBODY);
    XT_EQ(v.n_runs, 0); /* it ended with who started it */
    mu_view_owner_text(&v, text, sizeof text);
    XT_CHECKF(strstr(text, "goes on with it"), "%s", text);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct mu_state_log l;
        _exit(mu_state_log_open(&l, v.log_path.p, NULL, true, 0, NULL));
    }
    int status;
    XT_CHECK(waitpid(child, &status, 0) == child && status == 0);
    look(SEC);
    XT_EQ(v.life, MU_LIFE_GONE);
    XT_EQ(v.owner.pid, child);
    mu_view_owner_text(&v, text, sizeof text);
    XT_CHECKF(strstr(text, "is gone"), "%s", text);
    mu_view_close(&v);
}

/* The owner's row as one of another machine would stand there. */
static void change_owner(const char *sql)
{
    sqlite3 *db = NULL;
    XT_EQ(sqlite3_open(v.log_path.p, &db), SQLITE_OK);
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_close(db);
    XT_EQ(rc, SQLITE_OK);
}

XT_TEST(an_owner_elsewhere_is_known_by_its_renewals)
{
    char text[600];
    begin(1);
    change_owner("UPDATE owner SET boot = 'another', host = 'n9', pid = 1");
    look(SEC);
    XT_EQ(v.life, MU_LIFE_UNSURE);
    mu_view_owner_text(&v, text, sizeof text);
    XT_CHECKF(strstr(text, "process 1 on n9"), "%s", text);
    look(SEC);
    XT_EQ(v.life, MU_LIFE_UNSURE);
    change_owner("UPDATE owner SET renewals = renewals + 1");
    look(SEC);
    XT_EQ(v.life, MU_LIFE_ALIVE);
    look(20 * SEC);
    XT_EQ(v.life, MU_LIFE_ALIVE);
    look(3 * SEC); /* its span of 20 s and an eighth are over */
    XT_EQ(v.life, MU_LIFE_SILENT);
    mu_view_owner_text(&v, text, sizeof text);
    XT_CHECKF(strstr(text, "has not been heard of"), "%s", text);
    change_owner("UPDATE owner SET renewals = renewals + 1");
    look(SEC);
    XT_EQ(v.life, MU_LIFE_ALIVE);
    end();
}

XT_TEST(a_log_begun_anew_is_followed)
{
    char old[700], set_aside[710];
    begin(5);
    rig_start(&r, 0);
    look(SEC);
    snprintf(old, sizeof old, "%s/%s", r.folder, MU_ORCHESTRA_STORE);
    snprintf(set_aside, sizeof set_aside, "%s.1", old);
    rig_close(&r);
    XT_CHECK(rename(old, set_aside) == 0);
    XT_FAILS(mu_view_refresh(&v, mu_wall_ns(), SEC, &err), MU_ENOENT, "no campaign"); /* for a moment there is none */
    XT_EQ(v.counts.tasks, 5);
    rig_open(&r, xt_tmpdir(), 7);
    look(SEC);
    XT_EQ(v.counts.tasks, 7);
    XT_CHECK(v.n_runs == 0 && v.n_events == 1);
    end();
}

XT_TEST(a_damaged_log_is_told_and_the_view_stays)
{
    begin(5);
    rig_start(&r, 1);
    look(SEC);
    rig_close(&r);
    FILE *f = fopen(v.log_path.p, "r+b");
    XT_CHECK(f && fwrite("not a database at all", 1, 21, f) == 21 && fclose(f) == 0);
    struct mu_view again;
    XT_CHECK(mu_view_open(&again, r.folder, 0, 0, &err) != MU_OK && err.text[0]);
    XT_EQ(v.counts.tasks, 5);
    XT_CHECK(mu_view_refresh(&v, mu_wall_ns(), SEC, &err) != MU_OK);
    XT_EQ(v.n_runs, 1);
    XT_STREQ(v.runs[0].name, "a/0001");
    mu_view_close(&v);
}

/* ---- the page ---- */

static void check_page(int cols, int rows, enum mu_page_list list, bool has_help)
{
    struct mu_page p = {.is_utf8 = true};
    struct mu_page_choice c = {.folder = "runs/a long folder name 模型",
                               .trouble = "",
                               .rows = rows,
                               .list = list,
                               .first = 5,
                               .has_help = has_help};
    mu_page_begin(&p, cols);
    mu_campaign_page(&p, &v, &c);
    XT_EQ(p.rc, MU_OK);
    XT_CHECKF(has_help || rows == 0 || p.lines == MU_MAX(rows, 6), "%d lines for %d rows of %d", p.lines, rows, cols);
    for (char *at = p.text.p, *eol; (eol = strchr(at, '\n')); at = eol + 1) {
        *eol = '\0';
        XT_CHECKF(mu_text_width(at) <= cols, "%d columns of %d: \"%s\"", mu_text_width(at), cols, at);
        XT_EQ(mu_utf8_valid_prefix(at, strlen(at)), strlen(at));
    }
    mu_page_fini(&p);
}

static void fill_campaign(int n)
{
    begin(n);
    for (int i = 0; i < 30; i++)
        rig_start(&r, i);
    for (int i = 0; i < 10; i++)
        rig_finish(&r, i);
    rig_fail(&r, 10, MU_FAILURE_MEMORY, "a bill of 91 GB\x1b[2J", true);
    write_now((double)time(NULL),
              "\"running\": [{\"task\": \"a/0011\", \"seconds\": 5, \"done\": 1, \"total\": 100, \"per_s\": 1}],"
              "\"workers\": [{\"worker\": 1, \"model\": \"模型\", \"state\": \"running\"}, {\"worker\": 2}],"
              "\"devices\": [{\"device\": 0, \"memory\": 80e9, \"free\": 1e9}, {\"device\": 1, \"healthy\": false}]");
    look(SEC);
}

XT_TEST(a_page_fits_every_size)
{
    fill_campaign(60);
    for (int cols = 20; cols <= 300; cols += cols < 130 ? 1 : 17)
        for (int rows = 0; rows <= 80; rows += rows < 40 ? 1 : 13)
            check_page(cols, rows, (enum mu_page_list)(rows % MU_LISTS), rows % 7 == 3);
    end();
}

XT_TEST(a_page_shows_what_matters)
{
    static const char *const parts[] = {"open",
                                        "11 of 60 tasks ended",
                                        "1 failed or skipped",
                                        "1 out_of_memory",
                                        "which is alive",
                                        "critical",
                                        "running, 19",
                                        "a/0011",
                                        "1m39s",
                                        "模型",
                                        "device",
                                        "task failed a/0010 (out_of_memory): a bill of 91 GB?[2J",
                                        "q quit"};
    struct mu_page p = {.is_utf8 = true};
    struct mu_page_choice c = {.folder = "runs/x", .rows = 70};
    fill_campaign(60);
    mu_page_begin(&p, 100);
    mu_campaign_page(&p, &v, &c);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        XT_CHECKF(strstr(p.text.p, parts[i]), "the page lacks \"%s\":\n%s", parts[i], p.text.p);
    XT_CHECK(!strchr(p.text.p, '\x1b'));
    mu_page_fini(&p);
    end();
}

XT_TEST(a_list_ends_where_it_ends)
{
    struct mu_page p = {0};
    struct mu_page_choice c = {.folder = "x", .rows = 30, .list = MU_LIST_TO_COME, .first = MU_STATE_TASKS_MAX};
    fill_campaign(60);
    mu_page_begin(&p, 80);
    mu_campaign_page(&p, &v, &c);
    XT_EQ(c.first, 30 - c.page);
    XT_CHECKF(strstr(p.text.p, "a/0059"), "%s", p.text.p);
    c.list = MU_LIST_FAILED;
    mu_page_begin(&p, 80);
    mu_campaign_page(&p, &v, &c);
    XT_CHECK(c.first == 0 && strstr(p.text.p, "failed, 1"));
    mu_page_fini(&p);
    end();
}

/* By the events alone, and with what runs now. */
XT_TEST(replicas_are_shown)
{
    struct mu_page p = {.is_utf8 = true};
    struct mu_page_choice c = {.folder = "runs/x", .rows = 70};
    begin(4);
    rig_start(&r, 0);
    rig_add(&r, (struct mu_event){.kind = MU_EVENT_SCALED, .value = 2, .amount = MU_SCALE_BUSY, .text = "qwen"});
    rig_add(&r, (struct mu_event){.kind = MU_EVENT_SCALED, .value = 5, .amount = MU_SCALE_QUEUE, .text = "qwen"});
    look(SEC);
    XT_EQ(v.n_events, 3);
    mu_page_begin(&p, 100);
    mu_campaign_page(&p, &v, &c);
    XT_CHECKF(strstr(p.text.p, "workers allowed for models: qwen 5\n"), "%s", p.text.p);
    XT_CHECKF(strstr(p.text.p, "replicas scaled: qwen may have 5 workers: the queue is too long"), "%s", p.text.p);
    json_t *tree = mu_campaign_json(&v, false), *one = json_array_get(json_object_get(tree, "replicas"), 0);
    XT_EQ(json_integer_value(json_object_get(one, "allowed")), 5);
    XT_EQ(json_integer_value(json_object_get(tree, "scaled")), 2);
    json_decref(tree);
    write_now((double)time(NULL), "\"replicas\": [{\"model\": \"qwen\", \"allowed\": 5, \"workers\": 3}, "
                                  "{\"model\": \"llama\", \"allowed\": 1}]");
    look(SEC);
    mu_page_begin(&p, 100);
    mu_campaign_page(&p, &v, &c);
    XT_CHECKF(strstr(p.text.p, "workers of models, of those allowed: qwen 3 of 5, llama 0 of 1\n"), "%s", p.text.p);
    tree = mu_campaign_json(&v, false);
    one = json_array_get(json_object_get(tree, "replicas"), 0);
    XT_EQ(json_integer_value(json_object_get(one, "workers")), 3);
    json_decref(tree);
    mu_page_fini(&p);
    end();
}

/* ---- JSON ---- */

XT_TEST(json_has_the_old_keys_and_the_new)
{
    static const char *const keys[] = {"campaign", "tasks",  "left",    "active_seconds", "states",    "each",
                                       "at",       "events", "share",   "left_seconds",   "gpu_hours", "failures",
                                       "owner",    "queue",  "running", "workers",        "devices",   "last_events"};
    static const char *const of_each[] = {"task", "state", "priority", "attempts", "last_seconds", "failure"};
    fill_campaign(60);
    json_t *tree = mu_campaign_json(&v, true);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        XT_CHECKF(json_object_get(tree, keys[i]), "no key %s", keys[i]);
    XT_EQ(json_array_size(json_object_get(tree, "each")), 60);
    for (size_t i = 0; i < sizeof of_each / sizeof *of_each; i++)
        XT_CHECKF(json_object_get(json_array_get(json_object_get(tree, "each"), 10), of_each[i]), "%s", of_each[i]);
    XT_EQ(json_integer_value(json_object_get(json_object_get(tree, "states"), "finished")), 10);
    XT_EQ(json_array_size(json_object_get(tree, "running")), 19);
    json_decref(tree);
    tree = mu_campaign_json(&v, false);
    XT_CHECK(tree && !json_object_get(tree, "each"));
    json_decref(tree);
    end();
}

/* ---- what it costs ---- */

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

XT_TEST(a_refresh_of_100000_tasks_is_quick)
{
    struct mu_page p = {.is_utf8 = true};
    double best = 1e9;
    int n = XT_ASAN || XT_TSAN ? 5000 : 100000;
    begin(n);
    double folded = cpu_s();
    struct mu_view again;
    XT_OK(mu_view_open(&again, r.folder, mu_wall_ns(), SEC, &err));
    folded = cpu_s() - folded;
    mu_view_close(&again);
    for (int i = 0; i < 10; i++) {
        struct mu_page_choice c = {.folder = "x", .rows = 50, .list = MU_LIST_ALL, .first = n};
        rig_start(&r, n - 1 - i);
        double begun = cpu_s();
        look(SEC);
        mu_view_sort(&v, MU_ORDER_LEFT);
        mu_page_begin(&p, 120);
        mu_campaign_page(&p, &v, &c);
        best = MU_MIN(best, cpu_s() - begun);
    }
    xt_note("%d tasks: %.0f ms to open, %.2f ms a refresh", n, folded * 1e3, best * 1e3);
    XT_CHECKF(best < 0.05, "a refresh takes %.1f ms", best * 1e3);
    mu_page_fini(&p);
    end();
}

static int open_and_draw(void *arg, struct mu_err *e)
{
    struct mu_view w;
    struct mu_page p = {0};
    struct mu_page_choice c = {.folder = "x", .rows = 40};
    int rc = mu_view_open(&w, arg, SEC, SEC, e);
    if (rc != MU_OK)
        return rc;
    mu_page_begin(&p, 80);
    mu_campaign_page(&p, &w, &c);
    rc = p.rc == MU_OK ? MU_OK : mu_fail_nomem(e, 0, "a page");
    if (rc == MU_OK && w.now_failed.code == MU_ENOMEM)
        rc = mu_fail_nomem(e, 0, "now.json"); /* the page says so, and goes on */
    mu_page_fini(&p);
    mu_view_close(&w);
    return rc;
}

XT_TEST(no_memory_is_an_error)
{
    fill_campaign(31);
    xt_each_alloc_fails(open_and_draw, r.folder);
    end();
}

XT_MAIN()
