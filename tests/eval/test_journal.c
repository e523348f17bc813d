/* test_journal.c - what is committed is there after anything; what is damaged, locked or foreign has its sentence */
#include "xt.h"

#include <fcntl.h>
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
#include "base/json.h"
#include "base/log.h"
#include "eval/journal.h"

static const char *file(void)
{
    static char path[700];
    snprintf(path, sizeof path, "%s/journal.sqlite", xt_tmpdir());
    return path;
}

static struct mu_key key_of(int n)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_key_maker m;
    struct mu_key k;
    XT_OK(mu_key_begin(&m, &err));
    mu_key_text(&m, "test");
    mu_key_bytes(&m, &n, sizeof n);
    mu_key_end(&m, &k);
    return k;
}

static json_t *answer_of(int n)
{
    uint64_t state = (uint64_t)n;
    double bits;
    do {
        uint64_t r = xt_rand(&state);
        memcpy(&bits, &r, sizeof bits);
    } while (!isfinite(bits));
    return json_pack("{s:[f,b]}", "ll", bits, n % 2);
}

static struct mu_journal *open_journal(enum mu_journal_mode mode)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_journal *j = NULL;
    XT_OK(mu_journal_open(&j, file(), mode, &err));
    return j;
}

static int put(struct mu_journal *j, int n, struct mu_err *e)
{
    struct mu_key k = key_of(n);
    json_t *a = answer_of(n);
    int rc = mu_journal_put(j, &k, a, e);
    json_decref(a);
    return rc;
}

/* Whether it is there; what is there must have the same bits. */
static bool has(struct mu_journal *j, int n)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_key k = key_of(n);
    json_t *got = NULL, *want = answer_of(n);
    XT_OK(mu_journal_get(j, &k, &got, &err));
    bool is_there = got != NULL;
    if (got) {
        double a = json_real_value(json_array_get(json_object_get(got, "ll"), 0));
        double b = json_real_value(json_array_get(json_object_get(want, "ll"), 0));
        XT_CHECKF(memcmp(&a, &b, sizeof a) == 0, "answer %d reads back as %.17g, not %.17g", n, a, b);
    }
    json_decref(got);
    json_decref(want);
    return is_there;
}

static void fill(int n)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_journal *j = open_journal(MU_JOURNAL_RESUME);
    for (int i = 0; i < n; i++)
        XT_OK(put(j, i, &err));
    mu_journal_close(j);
}

XT_TEST(answers_read_back_with_the_same_bits)
{
    struct mu_journal_counts c;
    fill(1000);
    struct mu_journal *j = open_journal(MU_JOURNAL_RESUME);
    for (int i = 0; i < 1000; i++)
        XT_CHECK(has(j, i));
    XT_CHECK(!has(j, 1000));
    mu_journal_counts(j, &c);
    XT_EQ(c.n_answers, 1000);
    XT_EQ(c.n_hits, 1000);
    XT_EQ(c.n_puts, 0);
    mu_journal_close(j);
    mu_journal_close(NULL);
}

XT_TEST(texts_with_any_character_read_back)
{
    struct mu_err err = MU_ERR_INIT;
    static const char text[] = "zero \0 quote \" line \n \xe2\x82\xac end";
    struct mu_key k = key_of(1);
    struct mu_journal *j = open_journal(MU_JOURNAL_RESUME);
    json_t *a = json_pack("{s:s#}", "text", text, (int)sizeof text - 1), *b = NULL;
    XT_OK(mu_journal_put(j, &k, a, &err));
    XT_OK(mu_journal_put(j, &k, a, &err));  /* twice is once */
    XT_OK(mu_journal_get(j, &k, &b, &err)); /* also before the commit */
    XT_CHECK(json_equal(a, b));
    json_decref(a);
    json_decref(b);
    struct mu_journal_counts c;
    mu_journal_counts(j, &c);
    XT_EQ(c.n_answers, 1);
    mu_journal_close(j);
}

XT_TEST(a_key_depends_on_where_its_parts_end)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_key_maker m;
    struct mu_key a, b;
    XT_OK(mu_key_begin(&m, &err));
    mu_key_text(&m, "ab");
    mu_key_text(&m, "c");
    mu_key_end(&m, &a);
    XT_OK(mu_key_begin(&m, &err));
    mu_key_text(&m, "a");
    mu_key_text(&m, "bc");
    mu_key_end(&m, &b);
    XT_CHECK(memcmp(&a, &b, sizeof a) != 0);
}

XT_TEST(notes_are_kept_and_replaced)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_journal *j = open_journal(MU_JOURNAL_RESUME);
    json_t *v = json_pack("{s:i}", "n", 1), *got = NULL;
    XT_OK(mu_journal_noted(j, "model", &got, &err));
    XT_CHECK(got == NULL);
    XT_OK(mu_journal_note(j, "model", v, &err));
    json_object_set_new(v, "n", json_integer(2));
    XT_OK(mu_journal_note(j, "model", v, &err));
    mu_journal_close(j);
    j = open_journal(MU_JOURNAL_RESUME);
    XT_OK(mu_journal_noted(j, "model", &got, &err));
    XT_CHECK(json_equal(v, got));
    json_decref(v);
    json_decref(got);
    mu_journal_close(j);
}

XT_TEST(fresh_forgets_also_what_is_damaged)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_journal_counts c;
    fill(300);
    struct mu_journal *j = open_journal(MU_JOURNAL_FRESH);
    XT_CHECK(!has(j, 0));
    mu_journal_counts(j, &c);
    XT_EQ(c.n_answers, 0);
    XT_OK(put(j, 5, &err));
    mu_journal_close(j);
    j = open_journal(MU_JOURNAL_RESUME);
    XT_CHECK(has(j, 5));
    mu_journal_close(j);

    XT_EQ(truncate(file(), 5000), 0);
    XT_FAILS(mu_journal_open(&j, file(), MU_JOURNAL_RESUME, &err), MU_EFORMAT, ".recover");
    j = open_journal(MU_JOURNAL_FRESH);
    XT_CHECK(!has(j, 5));
    mu_journal_close(j);
}

/* Flip a byte where `what` is, or at an offset when what is NULL. */
static void flip(const char *what, long at)
{
    static char all[1 << 20];
    FILE *f = fopen(file(), "r+b");
    XT_CHECK(f);
    size_t n = fread(all, 1, sizeof all, f);
    char *p = what ? memmem(all, n, what, strlen(what)) : all + at;
    XT_CHECK(p && p < all + n);
    *p ^= 0x15;
    fseek(f, p - all, SEEK_SET);
    fputc(*p, f);
    fclose(f);
}

static void be_silent(void *arg, enum mu_log_level level, const char *line)
{
    (void)level, (void)line;
    ++*(int *)arg;
}

XT_TEST(damage_is_found_in_pages_and_in_answers)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_key k = key_of(7);
    int n_warnings = 0;
    json_t *v = json_pack("{s:s}", "text", "forty-two apples"), *got = NULL;
    struct mu_journal *j = open_journal(MU_JOURNAL_RESUME);
    XT_OK(mu_journal_put(j, &k, v, &err));
    mu_journal_close(j);
    flip("forty-two", 0);
    j = open_journal(MU_JOURNAL_RESUME);
    mu_log_sink_set(be_silent, &n_warnings);
    XT_OK(mu_journal_get(j, &k, &got, &err)); /* as if it were not there */
    mu_log_sink_set(NULL, NULL);
    XT_CHECK(got == NULL);
    XT_EQ(n_warnings, 1);
    XT_OK(mu_journal_put(j, &k, v, &err)); /* and it can be put again */
    mu_journal_close(j);
    j = open_journal(MU_JOURNAL_RESUME);
    XT_OK(mu_journal_get(j, &k, &got, &err));
    XT_CHECK(json_equal(v, got));
    json_decref(got);
    json_decref(v);
    mu_journal_close(j);

    fill(500);
    flip(NULL, 3 * 4096 + 3); /* head of a page */
    XT_FAILS(mu_journal_open(&j, file(), MU_JOURNAL_RESUME, &err), MU_EFORMAT, ".recover");
}

/* Any byte of the file flipped: an open that works may lose answers but never gives a wrong one. */
XT_TEST(no_flipped_byte_gives_a_wrong_answer)
{
    struct mu_err err = MU_ERR_INIT;
    uint64_t state = 11;
    int n_warnings = 0, n_refused = 0;
    mu_log_sink_set(be_silent, &n_warnings);
    for (int round = 0; round < 60; round++) {
        struct stat st;
        struct mu_journal *j = NULL;
        unlink(file());
        fill(200);
        XT_EQ(stat(file(), &st), 0);
        flip(NULL, (long)(xt_rand(&state) % (uint64_t)st.st_size));
        int rc = mu_journal_open(&j, file(), MU_JOURNAL_RESUME, &err);
        XT_CHECKF(rc == MU_OK || rc == MU_EFORMAT || rc == MU_EUNSUPPORTED || rc == MU_EIO, "%s: %s", mu_code_name(rc),
                  err.text);
        n_refused += rc != MU_OK;
        for (int i = 0; rc == MU_OK && i < 200; i++) {
            struct mu_key k = key_of(i);
            json_t *got = NULL;
            if (mu_journal_get(j, &k, &got, &err) == MU_OK && got) {
                json_decref(got);
                has(j, i);
            }
        }
        mu_journal_close(j);
    }
    mu_log_sink_set(NULL, NULL);
    xt_note("60 flipped bytes: %d files refused, %d answers dropped", n_refused, n_warnings);
}

XT_TEST(files_of_others_are_left_alone)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_journal *j = NULL;
    sqlite3 *db = NULL;
    FILE *f = fopen(file(), "wb");
    for (int i = 0; i < 3000; i++)
        fputs("not a database ", f);
    fclose(f);
    XT_FAILS(mu_journal_open(&j, file(), MU_JOURNAL_RESUME, &err), MU_EFORMAT, "is not a journal of muster");
    XT_FAILS(mu_journal_open(&j, file(), MU_JOURNAL_FRESH, &err), MU_EFORMAT, "is not a journal of muster");
    XT_EQ(access(file(), F_OK), 0);
    unlink(file());

    sqlite3_open(file(), &db);
    sqlite3_exec(db, "CREATE TABLE theirs (x)", NULL, NULL, NULL);
    sqlite3_close(db);
    XT_FAILS(mu_journal_open(&j, file(), MU_JOURNAL_RESUME, &err), MU_EFORMAT, "another program");
    XT_FAILS(mu_journal_open(&j, file(), MU_JOURNAL_FRESH, &err), MU_EFORMAT, "another program");
    unlink(file());

    fill(3);
    sqlite3_open(file(), &db);
    sqlite3_exec(db, "PRAGMA user_version = 2", NULL, NULL, NULL);
    sqlite3_close(db);
    XT_FAILS(mu_journal_open(&j, file(), MU_JOURNAL_RESUME, &err), MU_EUNSUPPORTED, "is a journal of version 2");

    XT_FAILS(mu_journal_open(&j, "/no/such/folder/j", MU_JOURNAL_RESUME, &err), MU_ENOENT, "/no/such/folder");
}

XT_TEST(a_second_opener_hears_who_was_first)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_journal *second = NULL, *j = open_journal(MU_JOURNAL_RESUME);
    char who[64];
    snprintf(who, sizeof who, "process %d on ", (int)getpid());
    XT_FAILS(mu_journal_open(&second, file(), MU_JOURNAL_RESUME, &err), MU_EPEER, who);
    pid_t pid = fork();
    if (pid == 0)
        _exit(mu_journal_open(&second, file(), MU_JOURNAL_FRESH, &err) == MU_EPEER && strstr(err.text, who) ? 0 : 1);
    int status;
    waitpid(pid, &status, 0);
    XT_EQ(status, 0);
    mu_journal_close(j);
    mu_journal_close(open_journal(MU_JOURNAL_RESUME));
}

/* Puts without end, telling after every commit how many are safe. */
static void write_for_ever(int to, int first)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_journal *j = NULL;
    if (mu_journal_open(&j, file(), MU_JOURNAL_RESUME, &err) != MU_OK)
        _exit(2);
    for (int i = first;; i++) {
        if (put(j, i, &err) != MU_OK)
            _exit(3);
        if (i % 7 == 6) {
            if (mu_journal_commit(j, &err) != MU_OK)
                _exit(4);
            int safe = i + 1;
            if (write(to, &safe, sizeof safe) != sizeof safe)
                _exit(5);
        }
    }
}

XT_TEST(what_is_committed_survives_kill_9)
{
    uint64_t state = 5;
    int safe = 0;
    file(); /* the folder is the parent's */
    for (int round = 0; round < 20; round++) {
        int pipes[2], n, status;
        XT_EQ(pipe(pipes), 0);
        pid_t pid = fork();
        if (pid == 0) {
            close(pipes[0]);
            write_for_ever(pipes[1], safe);
        }
        close(pipes[1]);
        struct timespec wait = {0, (long)(xt_rand(&state) % 60000000)};
        nanosleep(&wait, NULL);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        XT_CHECK(WIFSIGNALED(status));
        while (read(pipes[0], &n, sizeof n) == sizeof n)
            safe = n;
        close(pipes[0]);
        struct mu_journal *j = open_journal(MU_JOURNAL_RESUME);
        for (int i = 0; i < safe; i++)
            XT_CHECKF(has(j, i), "answer %d of %d is lost", i, safe);
        mu_journal_close(j);
    }
    xt_note("%d answers were safe after 20 kills", safe);
    XT_CHECK(safe > 0);
}

/* A file may not grow past a limit: what a full disk looks like from inside. */
static int write_until_full(void)
{
    struct rlimit limit = {200000, 200000};
    struct mu_err err = MU_ERR_INIT;
    struct mu_journal *j = NULL;
    int safe = 0, rc = MU_OK;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    if (mu_journal_open(&j, file(), MU_JOURNAL_RESUME, &err) != MU_OK)
        return 1;
    for (int i = 0; rc == MU_OK && i < 100000; i++) {
        rc = put(j, i, &err);
        if (rc == MU_OK && i % 50 == 49 && (rc = mu_journal_commit(j, &err)) == MU_OK)
            safe = i + 1;
    }
    if (rc != MU_ENOSPC || !strstr(err.text, "no space for")) {
        fprintf(stderr, "# %s: %s\n", mu_code_name(rc), err.text);
        return 2;
    }
    for (int i = 0; i < safe; i++) {
        struct mu_key k = key_of(i);
        json_t *a = NULL;
        if (mu_journal_get(j, &k, &a, &err) != MU_OK || !a)
            return 3;
        json_decref(a);
    }
    mu_journal_close(j);
    FILE *f = fopen(file(), "rb");
    return f && safe > 0 ? 0 : 4;
}

XT_TEST(a_full_disk_has_its_sentence_and_keeps_earlier_answers)
{
    int status;
    file(); /* the folder is the parent's */
    pid_t pid = fork();
    if (pid == 0)
        _exit(write_until_full());
    waitpid(pid, &status, 0);
    XT_EQ(status, 0);
    struct mu_journal_counts c;
    struct mu_journal *j = open_journal(MU_JOURNAL_RESUME);
    mu_journal_counts(j, &c);
    XT_CHECKF(c.n_answers > 0 && c.n_answers % 50 == 0, "%" PRId64 " answers are there, put by 50", c.n_answers);
    for (int i = 0; i < c.n_answers; i++)
        XT_CHECK(has(j, i));
    mu_journal_close(j);
}

static int open_put_get(void *arg, struct mu_err *e)
{
    struct mu_journal *j = NULL;
    struct mu_key k = {{1}};
    json_t *got = NULL, *v = arg;
    int rc = MU_OK;
    MU_TRY(mu_journal_open(&j, file(), MU_JOURNAL_RESUME, e));
    MU_TRY(mu_journal_put(j, &k, v, e));
    MU_TRY(mu_journal_note(j, "n", v, e));
    MU_TRY(mu_journal_commit(j, e));
    MU_TRY(mu_journal_get(j, &k, &got, e));
out:
    json_decref(got);
    mu_journal_close(j);
    return rc;
}

XT_TEST(no_failing_allocation_leaks_or_lies)
{
    fill(2);
    json_t *v = json_pack("{s:[f,b]}", "ll", -1.5, 1);
    xt_each_alloc_fails(open_put_get, v);
    json_decref(v);
}

XT_MAIN()
