/* test_event_log.c - what append returned is there after anything, once; who may append; what is damaged has its
 * sentence */
#include "sched/event_log.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/check.h"
#include "base/hash.h"
#include "xt.h"

#define MS  1000000ll
#define SEC 1000000000ll

static const char *file(void)
{
    static char path[700];
    snprintf(path, sizeof path, "%s/campaign.sqlite", xt_tmpdir());
    return path;
}

static struct mu_event_log *open_log(const struct mu_event_log_opts *o)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_event_log *l = NULL;
    XT_OK(mu_event_log_open(&l, file(), o, &err));
    return l;
}

static struct mu_event_log *open_own(const struct mu_event_log_opts *o)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_event_log *l = open_log(o);
    XT_OK(mu_event_log_own(l, 0, &err));
    return l;
}

/* The nth of a long row of events, each of another kind than the last, each with a key of its own. */
static struct mu_event nth(int n, char text[32], char key[32])
{
    struct mu_event ev = {.kind = MU_EVENT_ALERT_SENT, .text = text, .key = key};
    snprintf(text, 32, "alert \"%d\" \xe2\x82\xac", n);
    snprintf(key, 32, "key %d", n);
    if (n % 3 == 1)
        ev = (struct mu_event){.kind = MU_EVENT_TASK_FINISHED, .task = n, .attempt = 7};
    if (n % 3 == 2)
        ev = (struct mu_event){.kind = MU_EVENT_GROUP_STARTED,
                               .group = n,
                               .node = 3,
                               .job = -1,
                               .value = 4,
                               .amount = INT64_MAX - n,
                               .text = text};
    return ev;
}

static int append_nth(struct mu_event_log *l, int n, struct mu_err *e)
{
    char text[32], key[32];
    struct mu_event ev = nth(n, text, key);
    return mu_event_log_append(l, &ev, 1, NULL, NULL, e);
}

struct seen {
    int64_t n, fence;
};

/* The events are the row from 0 on, each once. */
static int see(void *arg, const struct mu_event *ev, struct mu_err *e)
{
    struct seen *s = arg;
    char text[32], key[32], natural[MU_EVENT_KEY_MAX];
    struct mu_event want = nth((int)s->n, text, key);
    XT_EQ(ev->seq, s->n + 1);
    XT_EQ(ev->kind, want.kind);
    XT_CHECKF(ev->fence >= s->fence, "event %d was written by %d after %d", (int)ev->seq, (int)ev->fence,
              (int)s->fence);
    if (ev->kind == MU_EVENT_TASK_FINISHED) {
        XT_EQ(ev->task, want.task);
        XT_EQ(ev->attempt, 7);
        XT_EQ(ev->group, -1);
        XT_CHECK(!ev->text);
    } else {
        XT_STREQ(ev->text, text);
        XT_EQ(ev->amount, want.amount);
    }
    mu_event_key(&want, natural);
    XT_STREQ(ev->key, natural);
    XT_CHECK(ev->wall_ns > 1600000000ll * SEC);
    s->n++;
    s->fence = ev->fence;
    (void)e;
    return MU_OK;
}

static int64_t count_row(struct mu_event_log *l)
{
    struct mu_err err = MU_ERR_INIT;
    struct seen s = {0, 0};
    XT_OK(mu_event_log_replay(l, 0, see, &s, &err));
    return s.n;
}

static void fill(int n)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_event_log *l = open_own(NULL);
    for (int i = 0; i < n; i++)
        XT_OK(append_nth(l, i, &err));
    mu_event_log_close(l);
}

/* ---- appending and reading ---- */

static void append_and_read(bool is_many_nodes)
{
    const struct mu_event_log_opts o = {.is_many_nodes = is_many_nodes};
    struct mu_err err = MU_ERR_INIT;
    struct mu_event_log *reader = open_log(&o), *l = open_own(&o);
    struct seen s = {0, 0};
    for (int i = 0; i < 50; i++)
        XT_OK(append_nth(l, i, &err));
    XT_EQ(count_row(reader), 50); /* another process may look while one owns */
    for (int i = 50; i < 60; i++)
        XT_OK(append_nth(l, i, &err));
    s.n = 50;
    XT_OK(mu_event_log_replay(reader, 50, see, &s, &err));
    XT_EQ(s.n, 60);
    XT_FAILS(append_nth(reader, 60, &err), MU_EPEER, "does not own");
    mu_event_log_close(l);
    mu_event_log_close(reader);
    l = open_log(&o);
    XT_EQ(mu_event_log_last(l), 60);
    XT_EQ(count_row(l), 60);
    mu_event_log_close(l);
    mu_event_log_close(NULL);
}

XT_TEST(events_read_back_in_their_order)
{
    append_and_read(false);
}

XT_TEST(events_read_back_from_a_file_of_many_nodes)
{
    append_and_read(true);
    char wal[720];
    snprintf(wal, sizeof wal, "%s-wal", file());
    XT_CHECK(access(wal, F_OK) != 0);
}

XT_TEST(a_file_that_was_wal_changes_to_a_rollback_journal_and_back)
{
    struct mu_err err = MU_ERR_INIT;
    const struct mu_event_log_opts many = {.is_many_nodes = true};
    int64_t n = 0;
    for (int i = 0; i < 6; i++) {
        struct mu_event_log *l = open_own(i % 2 ? &many : NULL);
        for (int k = 0; k < 5; k++)
            XT_OK(append_nth(l, (int)n++, &err));
        mu_event_log_close(l);
    }
    struct mu_event_log *l = open_log(&many);
    XT_EQ(count_row(l), n);
    mu_event_log_close(l);
}

XT_TEST(what_is_done_twice_counts_once)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_event_log *l = open_own(NULL);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 9; i++)
            XT_OK(append_nth(l, i, &err));
    XT_EQ(count_row(l), 9);
    XT_EQ(mu_event_log_last(l), 9);
    /* A batch of old and new, in which one comes twice itself. */
    char text[4][32], key[4][32];
    struct mu_event batch[4];
    const int which[] = {3, 9, 9, 10};
    for (int i = 0; i < 4; i++)
        batch[i] = nth(which[i], text[i], key[i]);
    XT_OK(mu_event_log_append(l, batch, 4, NULL, NULL, &err));
    XT_EQ(count_row(l), 11);
    /* Another text, such as a sentence that names a time, is the same action. */
    struct mu_event failed = {.kind = MU_EVENT_TASK_FAILED, .task = 1, .value = 2, .text = "at 10:00"};
    XT_OK(mu_event_log_append(l, &failed, 1, NULL, NULL, &err));
    failed.text = "at 11:00";
    XT_OK(mu_event_log_append(l, &failed, 1, NULL, NULL, &err));
    XT_EQ(mu_event_log_last(l), 12);
    mu_event_log_close(l);
}

XT_TEST(a_key_cannot_stand_for_two_actions)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_event_log *l = open_own(NULL);
    struct mu_event ev = {.kind = MU_EVENT_PAUSED, .key = "command 7"};
    XT_OK(mu_event_log_append(l, &ev, 1, NULL, NULL, &err));
    ev.kind = MU_EVENT_RESUMED;
    XT_FAILS(mu_event_log_append(l, &ev, 1, NULL, NULL, &err), MU_EINVAL, "stands for event 1 (campaign paused)");
    struct mu_event open = {.kind = MU_EVENT_OPENED, .text = "aaaa"};
    XT_OK(mu_event_log_append(l, &open, 1, NULL, NULL, &err));
    open.text = "bbbb"; /* another campaign on the same store */
    XT_FAILS(mu_event_log_append(l, &open, 1, NULL, NULL, &err), MU_EINVAL, "\"campaign opened\" stands for event 2");
    struct mu_event job = {.kind = MU_EVENT_JOB_SUBMITTED, .job = 0, .text = "71"};
    XT_OK(mu_event_log_append(l, &job, 1, NULL, NULL, &err));
    job.text = "72"; /* submitted twice: that is no repetition of one action */
    XT_FAILS(mu_event_log_append(l, &job, 1, NULL, NULL, &err), MU_EINVAL, "stands for event 3");
    mu_event_log_close(l);
}

static int refuse_third(void *arg, const struct mu_event *ev, struct mu_err *e)
{
    ++*(int *)arg;
    return ev->seq % 3 == 0 ? mu_fail(e, MU_EINVAL, "the third is refused") : MU_OK;
}

XT_TEST(a_batch_is_there_whole_or_not_at_all)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_event_log *l = open_own(NULL);
    char text[6][32], key[6][32];
    struct mu_event batch[6];
    int n_seen = 0;
    for (int i = 0; i < 6; i++)
        batch[i] = nth(i, text[i], key[i]);
    XT_FAILS(mu_event_log_append(l, batch, 6, refuse_third, &n_seen, &err), MU_EINVAL, "the third");
    XT_EQ(n_seen, 3);
    XT_EQ(count_row(l), 0);
    batch[4].kind = 9999;
    XT_FAILS(mu_event_log_append(l, batch, 6, NULL, NULL, &err), MU_EFORMAT, "9999");
    XT_EQ(count_row(l), 0);
    batch[4] = nth(4, text[4], key[4]);
    XT_OK(mu_event_log_append(l, batch, 6, NULL, NULL, &err));
    XT_EQ(count_row(l), 6);
    XT_OK(mu_event_log_append(l, NULL, 0, NULL, NULL, &err));
    mu_event_log_close(l);
}

XT_TEST(events_out_of_their_bounds_are_refused)
{
    struct mu_err err = MU_ERR_INIT;
    static char long_text[MU_EVENT_TEXT_MAX + 8];
    memset(long_text, 'x', MU_EVENT_TEXT_MAX);
    const struct {
        struct mu_event ev;
        const char *part;
    } cases[] = {
        {{.kind = MU_EVENT_TASK_READY, .task = -1, .attempt = 1}, "task -1 is below 0"},
        {{.kind = MU_EVENT_TASK_READY, .task = 0, .attempt = 0}, "attempt 0 is below 1"},
        {{.kind = MU_EVENT_GROUP_STARTED, .job = -2, .value = 1}, "job -2 is below -1"},
        {{.kind = MU_EVENT_BUDGET_SPENT, .amount = -5}, "amount of -5"},
        {{.kind = MU_EVENT_ALERT_SENT, .text = long_text}, "at most 1023"},
        {{.kind = MU_EVENT_ALERT_SENT, .text = "\xff"}, "not UTF-8"},
        {{.kind = MU_EVENT_ALERT_SENT, .text = "x", .key = "#1"}, "must"},
        {{.kind = MU_EVENT_ALERT_SENT, .text = "x", .key = ""}, "must"},
    };
    for (size_t i = 0; i < MU_COUNT(cases); i++)
        XT_FAILS(mu_event_check(&cases[i].ev, &err), MU_EINVAL, cases[i].part);
    XT_FAILS(mu_event_check(&(struct mu_event){.kind = 5}, &err), MU_EFORMAT, "5 is no kind");
    XT_FAILS(mu_event_check(&(struct mu_event){.kind = -1}, &err), MU_EFORMAT, "-1 is no kind");
    XT_OK(mu_event_check(&(struct mu_event){.kind = MU_EVENT_PAUSED, .task = -7}, &err)); /* not its member */
}

/* ---- files that are not as they should be ---- */

static void change(const char *sql)
{
    sqlite3 *db = NULL;
    char *why = NULL;
    XT_EQ(sqlite3_open(file(), &db), SQLITE_OK);
    int rc = sqlite3_exec(db, sql, NULL, NULL, &why);
    XT_CHECKF(rc == SQLITE_OK, "%s: %s", sql, why ? why : "?");
    sqlite3_close(db);
}

XT_TEST(newer_foreign_and_cut_files_have_their_sentences)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_event_log *l = NULL;
    fill(300);
    change("PRAGMA user_version = 3");
    XT_FAILS(mu_event_log_open(&l, file(), NULL, &err), MU_EUNSUPPORTED, "is a campaign store of version 3");
    change("PRAGMA user_version = 2");
    XT_EQ(truncate(file(), 5000), 0);
    XT_FAILS(mu_event_log_open(&l, file(), NULL, &err), MU_EFORMAT, ".recover");
    unlink(file());
    change("CREATE TABLE theirs (x)");
    XT_FAILS(mu_event_log_open(&l, file(), NULL, &err), MU_EFORMAT, "another program");
    unlink(file());
    FILE *f = fopen(file(), "wb");
    for (int i = 0; i < 3000; i++)
        fputs("not a database ", f);
    fclose(f);
    XT_FAILS(mu_event_log_open(&l, file(), NULL, &err), MU_EFORMAT, "is not a campaign store of muster");
    XT_FAILS(mu_event_log_open(&l, "/no/such/folder/j", NULL, &err), MU_EIO, "/no/such/folder");
}

XT_TEST(a_gap_a_changed_row_and_an_unknown_kind_are_found)
{
    struct mu_err err = MU_ERR_INIT;
    static const struct {
        const char *sql, *part;
    } cases[] = {
        {"DELETE FROM event WHERE seq = 7", "event 6 is followed by event 8"},
        {"UPDATE event SET task = 5 WHERE seq = 2", "damaged"},
        {"UPDATE event SET text = 'alert \"9\"' WHERE seq = 1", "damaged"},
        {"UPDATE event SET key = 'key of another' WHERE seq = 4", "damaged"},
        {"UPDATE event SET sum = sum + 1 WHERE seq = 20", "damaged"},
    };
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct seen s = {0, 0};
        unlink(file());
        fill(20);
        change(cases[i].sql);
        struct mu_event_log *l = open_log(NULL);
        XT_FAILS(mu_event_log_replay(l, 0, see, &s, &err), MU_EFORMAT, cases[i].part);
        mu_event_log_close(l);
    }
    unlink(file());
    fill(20);
    struct mu_event_log *l = open_log(NULL);
    change("DELETE FROM event WHERE seq = 20"); /* the tail is missed by who has seen it */
    struct seen s = {0, 0};
    XT_FAILS(mu_event_log_replay(l, 0, see, &s, &err), MU_EFORMAT, "ends with event 19 and had 20");
    mu_event_log_close(l);
}

/* Any byte flipped: an open and replay that work give the events as they were. */
XT_TEST(no_flipped_byte_gives_another_event)
{
    static char all[1 << 20];
    uint64_t state = 11;
    int n_refused = 0;
    fill(200);
    FILE *f = fopen(file(), "rb");
    size_t bytes = fread(all, 1, sizeof all, f);
    fclose(f);
    for (int round = 0; round < 80; round++) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_event_log *l = NULL;
        struct seen s = {0, 0};
        size_t at = xt_rand(&state) % bytes;
        all[at] ^= 0x15;
        f = fopen(file(), "wb");
        fwrite(all, 1, bytes, f);
        fclose(f);
        all[at] ^= 0x15;
        int rc = mu_event_log_open(&l, file(), NULL, &err);
        if (rc == MU_OK)
            rc = mu_event_log_replay(l, 0, see, &s, &err); /* see() holds them against what was written */
        XT_CHECKF(rc == MU_OK || rc == MU_EFORMAT || rc == MU_EUNSUPPORTED || rc == MU_EIO, "%s: %s", mu_code_name(rc),
                  err.text);
        XT_CHECK(rc != MU_OK || s.n == 200);
        n_refused += rc != MU_OK;
        mu_event_log_close(l);
    }
    XT_CHECK(n_refused > 0);
    xt_note("80 flipped bytes: %d files refused", n_refused);
}

static int keep(void *arg, const struct mu_event *ev, struct mu_err *e)
{
    (void)e;
    *(struct mu_event *)arg = *ev;
    return MU_OK;
}

XT_TEST(an_event_of_a_kind_to_come_is_an_error)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_event_log *l = open_own(NULL);
    struct mu_event ev = {.kind = MU_EVENT_PAUSED, .key = "a"};
    XT_OK(mu_event_log_append(l, &ev, 1, NULL, NULL, &err));
    XT_OK(mu_event_log_replay(l, 0, keep, &ev, &err));
    /* As event_log.c sums a row, so that all is well but the kind. */
    const int64_t row[] = {1, ev.fence, ev.wall_ns, ev.mono_ns, 99, -1, -1, -1, -1, -1, -1, -1, 0};
    int64_t sum = (int64_t)mu_hash64("a", 1, mu_hash64("", 0, mu_hash64(row, sizeof row, 0)));
    char sql[128];
    snprintf(sql, sizeof sql, "UPDATE event SET kind = 99, sum = %" PRId64, sum);
    change(sql);
    XT_FAILS(mu_event_log_replay(l, 0, NULL, NULL, &err), MU_EFORMAT, "event 1 is of kind 99, which version 2 does");
    mu_event_log_close(l);
}

/* ---- kill -9 and a full disk ---- */

/* Appends without end in batches of 1 to 5, telling after each how many are safe; begins with a batch it may have
 * appended before. */
static void write_for_ever(int to, int first, bool is_many_nodes)
{
    const struct mu_event_log_opts o = {.is_many_nodes = is_many_nodes};
    struct mu_err err = MU_ERR_INIT;
    struct mu_event_log *l = NULL;
    if (mu_event_log_open(&l, file(), &o, &err) != MU_OK || mu_event_log_own(l, 0, &err) != MU_OK) {
        fprintf(stderr, "# %s\n", err.text);
        _exit(2);
    }
    for (int i = first;;) {
        char text[5][32], key[5][32];
        struct mu_event batch[5];
        int n = 1 + i % 5;
        for (int k = 0; k < n; k++)
            batch[k] = nth(i + k, text[k], key[k]);
        if (mu_event_log_append(l, batch, n, NULL, NULL, &err) != MU_OK) {
            fprintf(stderr, "# %s\n", err.text);
            _exit(3);
        }
        i += n;
        if (write(to, &i, sizeof i) != sizeof i)
            _exit(5);
    }
}

static void kill_writers(bool is_many_nodes, int rounds)
{
    const struct mu_event_log_opts o = {.is_many_nodes = is_many_nodes};
    uint64_t state = 5;
    int safe = 0;
    int64_t n_doubted = 0;
    file(); /* the folder is the parent's */
    for (int round = 0; round < rounds; round++) {
        int pipes[2], n, status;
        XT_EQ(pipe(pipes), 0);
        pid_t pid = fork();
        if (pid == 0) {
            close(pipes[0]);
            write_for_ever(pipes[1], safe, is_many_nodes);
        }
        close(pipes[1]);
        struct timespec wait = {0, (long)(xt_rand(&state) % 120000000)};
        nanosleep(&wait, NULL);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        XT_CHECK(WIFSIGNALED(status));
        while (read(pipes[0], &n, sizeof n) == sizeof n)
            safe = n;
        close(pipes[0]);
        struct mu_event_log *l = open_log(&o);
        int64_t there = count_row(l); /* each as it was written, each once */
        XT_CHECKF(there >= safe, "%d were safe, %d are there", safe, (int)there);
        n_doubted += there - safe; /* appended, and nobody knows: the next writer does them again */
        mu_event_log_close(l);
    }
    xt_note("%d events were safe after %d kills, %d more had been appended untold and were done again", safe, rounds,
            (int)n_doubted);
    XT_CHECK(safe > 0);
}

XT_TEST(what_is_appended_survives_kill_9_and_counts_once)
{
    kill_writers(false, 25);
}

XT_TEST(what_is_appended_survives_kill_9_on_many_nodes)
{
    kill_writers(true, 25);
}

/* A file may not grow past a limit: what a full disk looks like from inside. */
static int write_until_full(bool is_many_nodes)
{
    const struct mu_event_log_opts o = {.is_many_nodes = is_many_nodes};
    struct rlimit limit = {150000, 150000};
    struct mu_err err = MU_ERR_INIT;
    struct mu_event_log *l = NULL;
    int safe = 0, rc = MU_OK;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    if (mu_event_log_open(&l, file(), &o, &err) != MU_OK || mu_event_log_own(l, 0, &err) != MU_OK)
        return 1;
    while (rc == MU_OK && safe < 100000)
        if ((rc = append_nth(l, safe, &err)) == MU_OK)
            safe++;
    if (rc != MU_ENOSPC || !strstr(err.text, "no space for") ||
        !strstr(err.text, "events of earlier appends are kept")) {
        fprintf(stderr, "# %s: %s\n", mu_code_name(rc), err.text);
        return 2;
    }
    if (mu_event_log_last(l) != safe || count_row(l) != safe || safe < 10)
        return 3;
    mu_event_log_close(l);
    FILE *f = fopen(file(), "rb");
    return f ? 0 : 4;
}

static void fill_disk(bool is_many_nodes)
{
    const struct mu_event_log_opts o = {.is_many_nodes = is_many_nodes};
    struct mu_err err = MU_ERR_INIT;
    int status;
    file(); /* the folder is the parent's */
    pid_t pid = fork();
    if (pid == 0)
        _exit(write_until_full(is_many_nodes));
    waitpid(pid, &status, 0);
    XT_EQ(status, 0);
    struct mu_event_log *l = open_own(&o); /* with room again it goes on */
    int64_t n = count_row(l);
    XT_CHECK(n > 0);
    XT_OK(append_nth(l, (int)n, &err));
    XT_EQ(count_row(l), n + 1);
    mu_event_log_close(l);
}

XT_TEST(a_full_disk_has_its_sentence_and_loses_nothing)
{
    fill_disk(false);
}

XT_TEST(a_full_disk_loses_nothing_on_many_nodes)
{
    fill_disk(true);
}

static int open_append_replay(void *arg, struct mu_err *e)
{
    struct mu_event_log *l = NULL;
    int rc = MU_OK;
    (void)arg;
    MU_TRY(mu_event_log_open(&l, file(), NULL, e));
    MU_TRY(mu_event_log_own(l, 0, e));
    MU_TRY(append_nth(l, 0, e));
    MU_TRY(append_nth(l, 2, e));
    MU_TRY(mu_event_log_replay(l, 0, NULL, NULL, e));
out:
    mu_event_log_close(l);
    return rc;
}

XT_TEST(no_failing_allocation_leaks_or_lies)
{
    fill(1);
    xt_each_alloc_fails(open_append_replay, NULL);
}

/* ---- who owns it ---- */

XT_TEST(a_second_orchestrator_hears_who_is_first)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_event_log *l = open_own(NULL), *second = open_log(NULL);
    struct mu_owner o;
    char who[64];
    snprintf(who, sizeof who, "in use by process %d on ", (int)getpid());
    XT_FAILS(mu_event_log_own(second, 0, &err), MU_EPEER, who);
    XT_FAILS(append_nth(second, 0, &err), MU_EPEER, "does not own");
    XT_OK(mu_event_log_owner(second, &o, &err));
    XT_EQ(o.fence, 1);
    XT_EQ(o.pid, getpid());
    XT_OK(mu_event_log_disown(l, &err));
    XT_OK(mu_event_log_own(second, 0, &err)); /* given up: at once */
    XT_EQ(mu_event_log_fence(second), 2);
    XT_EQ(mu_event_log_fence(l), 0);
    mu_event_log_close(l);
    mu_event_log_close(second);
}

XT_TEST(a_late_append_of_an_owner_that_was_taken_over_is_refused)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_clock clock[2];
    struct mu_event_log *l[2];
    for (int i = 0; i < 2; i++) { /* two machines, whose clocks have nothing in common */
        mu_clock_fake_init(&clock[i], 1000 * SEC * (i + 1));
        l[i] = open_log(&(struct mu_event_log_opts){.span_ns = 8 * SEC, .clock = &clock[i]});
    }
    XT_OK(mu_event_log_own(l[0], 0, &err));
    XT_OK(append_nth(l[0], 0, &err));
    XT_FAILS(mu_event_log_try_own(l[1], &err), MU_EPEER, "taken over after 9 s of silence");
    mu_clock_fake_advance(&clock[1], 8 * SEC);
    XT_FAILS(mu_event_log_try_own(l[1], &err), MU_EPEER, "silent for 8 s");
    XT_OK(mu_event_log_renew(l[0], &err)); /* its own clock stood still: it is asleep half the time */
    mu_clock_fake_advance(&clock[1], 8 * SEC);
    XT_FAILS(mu_event_log_try_own(l[1], &err), MU_EPEER, "silent for 0 s");
    mu_clock_fake_advance(&clock[1], 9 * SEC);
    XT_OK(mu_event_log_try_own(l[1], &err));
    XT_EQ(mu_event_log_fence(l[1]), 2);
    XT_FAILS(append_nth(l[0], 1, &err), MU_EPEER, "this one must stop");
    XT_FAILS(append_nth(l[0], 1, &err), MU_EPEER, "does not own");
    XT_OK(append_nth(l[1], 1, &err));
    XT_EQ(count_row(l[0]), 2);
    mu_event_log_close(l[0]); /* gives up nothing that is another's */
    XT_OK(append_nth(l[1], 2, &err));
    XT_EQ(count_row(l[1]), 3);
    mu_event_log_close(l[1]);
}

XT_TEST(renewing_is_due_after_a_third_of_the_span)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_clock clock;
    mu_clock_fake_init(&clock, 5 * SEC);
    struct mu_event_log *l = open_own(&(struct mu_event_log_opts){.span_ns = 9 * SEC, .clock = &clock});
    XT_EQ(mu_event_log_renew_in_ns(l), 3 * SEC);
    mu_clock_fake_advance(&clock, 2 * SEC);
    XT_EQ(mu_event_log_renew_in_ns(l), SEC);
    XT_OK(append_nth(l, 0, &err)); /* an append renews */
    XT_EQ(mu_event_log_renew_in_ns(l), 3 * SEC);
    mu_clock_fake_advance(&clock, 20 * SEC);
    XT_EQ(mu_event_log_renew_in_ns(l), 0);
    XT_OK(mu_event_log_renew(l, &err)); /* late, but nobody came */
    mu_event_log_close(l);
}

/* A process that owns the log and does nothing more. */
static pid_t fork_owner(void)
{
    int pipes[2];
    char c;
    XT_EQ(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_event_log *l = NULL;
        const struct mu_event_log_opts o = {.span_ns = 400 * MS};
        if (mu_event_log_open(&l, file(), &o, &err) != MU_OK || mu_event_log_own(l, 0, &err) != MU_OK ||
            append_nth(l, 0, &err) != MU_OK || write(pipes[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(pipes[1]);
    XT_EQ(read(pipes[0], &c, 1), 1);
    close(pipes[0]);
    return pid;
}

XT_TEST(a_process_that_is_gone_is_taken_over_at_once)
{
    struct mu_err err = MU_ERR_INIT;
    file();
    pid_t pid = fork_owner();
    struct mu_event_log *l = open_log(NULL);
    XT_FAILS(mu_event_log_try_own(l, &err), MU_EPEER, "in use by process");
    kill(pid, SIGKILL);
    siginfo_t end;
    XT_EQ(waitid(P_PID, (id_t)pid, &end, WEXITED | WNOWAIT), 0);
    XT_OK(mu_event_log_try_own(l, &err)); /* also while nobody has waited for it: a zombie does nothing more */
    waitpid(pid, NULL, 0);
    XT_OK(append_nth(l, 1, &err));
    XT_EQ(count_row(l), 2);
    mu_event_log_close(l);
}

XT_TEST(a_process_that_is_stopped_is_taken_over_after_its_span)
{
    struct mu_err err = MU_ERR_INIT;
    file();
    pid_t pid = fork_owner();
    kill(pid, SIGSTOP);
    struct mu_event_log *l = open_log(NULL);
    int64_t begun = mu_now_ns(mu_clock_real());
    XT_FAILS(mu_event_log_own(l, 100 * MS, &err), MU_EPEER, "silent");
    XT_OK(mu_event_log_own(l, 20 * SEC, &err));
    int64_t took = mu_now_ns(mu_clock_real()) - begun;
    XT_CHECKF(took >= 450 * MS, "taken over after %d ms, its span is 400", (int)(took / MS));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    mu_event_log_close(l);
}

XT_TEST(a_pid_that_is_another_process_now_is_gone)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_event_log *l = open_own(NULL), *second = open_log(NULL);
    change("UPDATE owner SET start = start + 1");
    XT_OK(mu_event_log_try_own(second, &err));
    mu_event_log_close(second);
    second = open_log(NULL);
    XT_OK(mu_event_log_try_own(second, &err));
    change("UPDATE owner SET start = start + 1, boot = 'another'"); /* on another machine: nobody knows from here */
    struct mu_event_log *third = open_log(NULL);
    XT_FAILS(mu_event_log_try_own(third, &err), MU_EPEER, "in use by");
    mu_event_log_close(l);
    mu_event_log_close(second);
    mu_event_log_close(third);
}

/* ---- turns of a job ---- */

static struct mu_event_log *open_turn(const char *job, int turn)
{
    return open_log(&(struct mu_event_log_opts){.job = job, .turn = turn});
}

XT_TEST(an_owner_of_an_earlier_turn_ends_and_gives_up)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_event_log *l = open_turn("here:71", 0), *next = open_turn("here:71", 1);
    XT_OK(mu_event_log_own(l, 0, &err));
    XT_OK(append_nth(l, 0, &err));
    XT_FAILS(mu_event_log_own(next, 0, &err), MU_EPEER, "in use by process");
    XT_FAILS(append_nth(l, 1, &err), MU_EPEER, "job here:71 was queued again, and its turn 1 goes on here");
    XT_FAILS(mu_event_log_renew(l, &err), MU_EPEER, "this one, turn 0, must stop");
    XT_FAILS(mu_event_log_try_own(next, &err), MU_EPEER, "in use by process"); /* it has not ended its work yet */
    XT_OK(mu_event_log_disown(l, &err));
    XT_OK(mu_event_log_own(next, 0, &err));
    XT_OK(append_nth(next, 1, &err));
    XT_EQ(count_row(next), 2);
    mu_event_log_close(l);
    mu_event_log_close(next);
}

XT_TEST(an_earlier_turn_does_not_come_back)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_event_log *l = open_turn("here:71", 2), *before = open_turn("here:71", 1);
    XT_OK(mu_event_log_own(l, 0, &err));
    mu_event_log_close(l); /* drained, and waits for its next turn */
    int64_t begun = mu_now_ns(mu_clock_real());
    XT_FAILS(mu_event_log_own(before, 20 * SEC, &err), MU_EPEER, "turn 2 goes on here");
    XT_CHECK(mu_now_ns(mu_clock_real()) - begun < 10 * SEC); /* no use to wait */
    mu_event_log_close(before);
}

XT_TEST(turns_of_other_jobs_are_nobody_s_concern)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_event_log *l = open_turn("here:71", 0), *other = open_turn("here:72", 5), *alone = open_log(NULL);
    XT_OK(mu_event_log_own(l, 0, &err));
    XT_FAILS(mu_event_log_own(other, 0, &err), MU_EPEER, "in use by process");
    XT_FAILS(mu_event_log_own(alone, 0, &err), MU_EPEER, "in use by process");
    XT_OK(append_nth(l, 0, &err));
    XT_OK(mu_event_log_disown(l, &err));
    XT_OK(mu_event_log_own(alone, 0, &err));
    mu_event_log_close(alone);
    XT_OK(mu_event_log_own(other, 0, &err));
    mu_event_log_close(other);
    mu_event_log_close(l);
}

/* Where it was cut off from the batch system alone it renews, until it finds that it has no turn any more. */
static int renew_until_told(void)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_event_log *l = NULL;
    const struct mu_event_log_opts o = {.span_ns = 300 * MS, .job = "here:71", .turn = 3};
    int rc = mu_event_log_open(&l, file(), &o, &err);
    if (rc == MU_OK)
        rc = mu_event_log_own(l, 0, &err);
    for (int i = 0; rc == MU_OK && i < 200; i++) {
        usleep(100000);
        rc = mu_event_log_renew(l, &err);
    }
    usleep(500000); /* its work ends */
    mu_event_log_close(l);
    return rc == MU_EPEER ? 0 : 1;
}

XT_TEST(a_turn_waits_for_the_one_before)
{
    struct mu_err err = MU_ERR_INIT;
    int status;
    file();
    pid_t pid = fork();
    if (pid == 0)
        _exit(renew_until_told());
    struct mu_event_log *l = open_turn("here:71", 4);
    struct mu_owner o = {0};
    for (int i = 0; o.fence == 0 && i < 100 && usleep(50000) == 0; i++)
        XT_OK(mu_event_log_owner(l, &o, &err));
    XT_EQ(o.pid, pid);
    XT_OK(mu_event_log_own(l, 20 * SEC, &err));
    XT_EQ(mu_event_log_fence(l), 2);
    mu_event_log_close(l);
    waitpid(pid, &status, 0);
    XT_EQ(status, 0);
}

XT_TEST(a_log_from_before_there_were_turns_has_them_now)
{
    struct mu_err err = MU_ERR_INIT;
    fill(2);
    change("DROP TABLE claim");
    struct mu_event_log *reader = open_log(&(struct mu_event_log_opts){.is_reader = true});
    XT_EQ(count_row(reader), 2);
    mu_event_log_close(reader);
    struct mu_event_log *l = open_turn("here:71", 1);
    XT_OK(mu_event_log_own(l, 0, &err));
    XT_EQ(count_row(l), 2);
    mu_event_log_close(l);
}

XT_TEST(a_job_with_an_endless_name_is_refused)
{
    char name[400];
    struct mu_err err = MU_ERR_INIT;
    struct mu_event_log *l = NULL;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    XT_FAILS(mu_event_log_open(&l, file(), &(struct mu_event_log_opts){.job = name}, &err), MU_ELIMIT, "127 bytes");
}

/* Takes the log over and over again, by force, and appends until it loses it: counts what it appended. */
static int race(uint64_t seed, int64_t until_ns, bool is_many_nodes)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_event_log *l = NULL;
    int n = 0;
    if (mu_event_log_open(&l, file(), &(struct mu_event_log_opts){.span_ns = 1, .is_many_nodes = is_many_nodes},
                          &err) != MU_OK)
        return 255;
    while (mu_now_ns(mu_clock_real()) < until_ns) {
        int rc = mu_event_log_try_own(l, &err); /* a lease of a nanosecond is over at the next look */
        for (int i = 0; rc == MU_OK && i < 3; i++) {
            char key[32];
            snprintf(key, sizeof key, "%d of %d", n, (int)seed);
            struct mu_event ev = {.kind = MU_EVENT_ALERT_SENT, .text = key, .key = key};
            rc = mu_event_log_append(l, &ev, 1, NULL, NULL, &err);
            n += rc == MU_OK;
            usleep((useconds_t)(xt_rand(&seed) % 5000));
        }
        if (rc != MU_OK && rc != MU_EPEER)
            return 254;
    }
    mu_event_log_close(l);
    return n > 250 ? 250 : n;
}

struct raced {
    int64_t n, last_fence, takeovers;
};

static int see_raced(void *arg, const struct mu_event *ev, struct mu_err *e)
{
    struct raced *r = arg;
    if (ev->fence < r->last_fence)
        return mu_fail(e, MU_EINTERNAL, "event %" PRId64 " of owner %" PRId64 " after owner %" PRId64, ev->seq,
                       ev->fence, r->last_fence);
    r->takeovers += ev->fence != r->last_fence;
    r->last_fence = ev->fence;
    r->n++;
    return MU_OK;
}

static void let_race(bool is_many_nodes)
{
    struct mu_err err = MU_ERR_INIT;
    struct raced r = {0, 0, 0};
    int64_t until = mu_now_ns(mu_clock_real()) + 1500 * MS;
    pid_t pid[3];
    int told = 0;
    file();
    for (int i = 0; i < 3; i++)
        if ((pid[i] = fork()) == 0)
            _exit(race((uint64_t)i + 1, until, is_many_nodes));
    for (int i = 0; i < 3; i++) {
        int status;
        waitpid(pid[i], &status, 0);
        XT_CHECKF(WIFEXITED(status) && WEXITSTATUS(status) <= 250, "a racer ended with %d", status);
        told += WEXITSTATUS(status);
    }
    struct mu_event_log *l = open_log(NULL);
    XT_OK(mu_event_log_replay(l, 0, see_raced, &r, &err));
    XT_CHECKF(r.n >= told, "%d appends were told, %d are there", told, (int)r.n);
    XT_CHECKF(r.takeovers > 3, "only %d owners appended", (int)r.takeovers);
    xt_note("%d events by %d owners in turn", (int)r.n, (int)r.takeovers);
    mu_event_log_close(l);
}

XT_TEST(owners_that_race_never_append_after_another_took_over)
{
    let_race(false);
}

XT_TEST(owners_that_race_never_append_after_another_took_over_on_many_nodes)
{
    let_race(true);
}

XT_MAIN()
