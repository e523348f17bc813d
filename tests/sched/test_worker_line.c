/* test_worker_line.c - lines between an orchestrator and its workers: what is said is read back, what is not ours is
 * left alone, and no line outgrows what a launcher takes. */
#include <stdio.h>

#include "base/mem.h"
#include "sched/launcher.h"
#include "sched/worker_line.h"
#include "xt.h"

static struct mu_buf text = MU_BUF_INIT("a line", 1 << 20);

static const char *print(const struct mu_worker_line *l)
{
    struct mu_err e = MU_ERR_INIT;
    XT_EQ(mu_worker_line_print(&text, l, &e), MU_OK);
    return text.p;
}

static void parse(struct mu_worker_line *out, const char *line)
{
    struct mu_err e = MU_ERR_INIT;
    XT_EQ(mu_worker_line_parse(out, line, &e), MU_OK);
}

/* The very lines of the header: others read them too. */
XT_TEST(lines_are_spelt_as_the_header_says)
{
    struct mu_worker_line task = {.kind = MU_LINE_TASK, .task = 17, .config = "/runs/a/mmlu/task.json"};
    struct mu_worker_line alive = {.kind = MU_LINE_ALIVE, .task = 17, .done = 120, .total = 400, .per_s = 3.5};
    struct mu_worker_line begun = {.kind = MU_LINE_BEGUN, .task = 17, .done = 40, .documents = 100};
    struct mu_worker_line ended = {.kind = MU_LINE_ENDED, .task = 17};
    XT_STREQ(print(&task), "{\"task\": 17, \"config\": \"/runs/a/mmlu/task.json\"}");
    XT_STREQ(print(&alive), "{\"alive\": 17, \"done\": 120, \"total\": 400, \"per_s\": 3.500}");
    XT_STREQ(print(&begun), "{\"begun\": 17, \"done\": 40, \"documents\": 100}");
    XT_STREQ(print(&ended), "{\"ended\": 17, \"status\": 0, \"why\": \"\"}");
    ended.load_s = 2.5;
    XT_STREQ(print(&ended), "{\"ended\": 17, \"status\": 0, \"load_s\": 2.500, \"why\": \"\"}");
    mu_buf_fini(&text);
}

XT_TEST(a_task_is_read)
{
    struct mu_worker_line l;
    parse(&l, "{\"config\": \"/a b/\\\"q\\\".json\", \"task\": 3}");
    XT_EQ(l.kind, MU_LINE_TASK);
    XT_EQ(l.task, 3);
    XT_STREQ(l.config, "/a b/\"q\".json");
    mu_worker_line_fini(&l);
}

XT_TEST(what_a_load_took_is_read)
{
    struct mu_worker_line l;
    parse(&l, "{\"ended\": 9, \"status\": 0, \"load_s\": 2.5, \"why\": \"\"}");
    XT_EQ(l.kind, MU_LINE_ENDED);
    XT_NEAR(l.load_s, 2.5, 0);
    mu_worker_line_fini(&l);
    parse(&l, "{\"ended\": 9, \"status\": 0, \"load_s\": -1, \"why\": \"\"}");
    XT_EQ(l.kind, MU_LINE_OTHER);
    mu_worker_line_fini(&l);
}

XT_TEST(signs_of_life_are_read)
{
    struct mu_worker_line l;
    parse(&l, "{\"alive\": -1}");
    XT_EQ(l.kind, MU_LINE_ALIVE);
    XT_EQ(l.task, -1);
    XT_NEAR(l.total, 0, 0);
    mu_worker_line_fini(&l);
    parse(&l, "{\"alive\": 9, \"done\": 5, \"total\": 10, \"per_s\": 0.25, \"later\": [1]}");
    XT_EQ(l.task, 9);
    XT_NEAR(l.done, 5, 0);
    XT_NEAR(l.total, 10, 0);
    XT_NEAR(l.per_s, 0.25, 0);
    mu_worker_line_fini(&l);
}

XT_TEST(a_beginning_is_read)
{
    struct mu_worker_line l;
    parse(&l, "{\"begun\": 4, \"done\": 7, \"documents\": 12}");
    XT_EQ(l.kind, MU_LINE_BEGUN);
    XT_EQ(l.task, 4);
    XT_NEAR(l.done, 7, 0);
    XT_NEAR(l.documents, 12, 0);
    mu_worker_line_fini(&l);
}

XT_TEST(an_end_is_read)
{
    struct mu_worker_line l;
    parse(&l, "{\"ended\": 4, \"status\": 7, \"why\": \"no memory for \\u00e4\"}");
    XT_EQ(l.kind, MU_LINE_ENDED);
    XT_EQ(l.task, 4);
    XT_EQ(l.status, 7);
    XT_STREQ(l.why, "no memory for \xc3\xa4");
    mu_worker_line_fini(&l);
}

XT_TEST(what_is_not_ours_is_other)
{
    static const char *const lines[] = {
        "",
        "loading weights",
        "{",
        "[]",
        "17",
        "{}",
        "{\"task\": 1}",
        "{\"task\": 1, \"config\": \"\"}",
        "{\"task\": 1, \"config\": 7}",
        "{\"task\": -1, \"config\": \"a\"}",
        "{\"task\": 1.5, \"config\": \"a\"}",
        "{\"task\": 99999999999999999999, \"config\": \"a\"}",
        "{\"task\": 1, \"config\": \"a\\u0000b\"}",
        "{\"task\": 1, \"task\": 2, \"config\": \"a\"}",
        "{\"task\": 1, \"alive\": 1, \"config\": \"a\"}",
        "{\"alive\": -2}",
        "{\"alive\": \"1\"}",
        "{\"alive\": 1, \"done\": -1}",
        "{\"alive\": 1, \"total\": \"9\"}",
        "{\"alive\": 1, \"per_s\": 1e300}",
        "{\"begun\": -1}",
        "{\"begun\": 1, \"documents\": -1}",
        "{\"begun\": 1, \"alive\": 1}",
        "{\"ended\": -1, \"status\": 0, \"why\": \"\"}",
        "{\"ended\": 1, \"status\": 256, \"why\": \"\"}",
        "{\"ended\": 1, \"status\": -1, \"why\": \"\"}",
        "{\"ended\": 1, \"status\": 0}",
        "{\"ended\": 1, \"why\": \"\"}",
        "{\"ended\": 1, \"status\": 0, \"why\": \"\"} more",
        "{\"ended\": 1, \"status\": 0, \"why\": \"\xff\"}",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct mu_worker_line l;
        parse(&l, lines[i]);
        if (l.kind != MU_LINE_OTHER)
            xt_note("line %zu: %s", i, lines[i]);
        XT_EQ(l.kind, MU_LINE_OTHER);
        mu_worker_line_fini(&l);
    }
}

/* Every byte of it may need six in JSON, and a launcher cuts what is longer than its line. */
XT_TEST(a_long_why_is_cut_at_a_character_and_the_line_fits)
{
    static const char *const bits[] = {"\x01", "\xc3\xa4", "\xe2\x82\xac", "\"", "a"};
    for (size_t b = 0; b < sizeof bits / sizeof bits[0]; b++) {
        struct mu_worker_line said = {.kind = MU_LINE_ENDED, .task = INT64_MAX, .status = 255}, heard;
        size_t n = strlen(bits[b]), room = sizeof said.why - 1;
        for (size_t at = 0; at + n <= room; at += n)
            memcpy(said.why + at, bits[b], n + 1);
        parse(&heard, print(&said));
        XT_CHECK(text.n < MU_WORKER_LINE_BYTES);
        XT_EQ(heard.kind, MU_LINE_ENDED);
        XT_EQ(heard.task, INT64_MAX);
        XT_EQ(heard.status, 255);
        size_t kept = strlen(heard.why);
        XT_EQ(kept % n, 0);
        XT_CHECK(kept >= (MU_WORKER_LINE_BYTES - 80) / 6 / n * n && kept <= room);
        XT_CHECK(strncmp(heard.why, said.why, kept) == 0);
        mu_worker_line_fini(&heard);
    }
    mu_buf_fini(&text);
}

XT_TEST(bytes_that_are_no_text_are_left_out)
{
    struct mu_worker_line said = {.kind = MU_LINE_ENDED, .task = 1, .why = "a\xff\xc3z\xe2\x82"}, heard;
    parse(&heard, print(&said));
    XT_STREQ(heard.why, "az");
    mu_worker_line_fini(&heard);
    mu_buf_fini(&text);
}

XT_TEST(numbers_that_are_none_are_zero)
{
    struct mu_worker_line said = {.kind = MU_LINE_ALIVE, .task = 1, .done = NAN, .total = -3, .per_s = INFINITY}, heard;
    parse(&heard, print(&said));
    XT_EQ(heard.kind, MU_LINE_ALIVE);
    XT_NEAR(heard.done, 0, 0);
    XT_NEAR(heard.total, 0, 0);
    XT_CHECK(isfinite(heard.per_s));
    mu_worker_line_fini(&heard);
    mu_buf_fini(&text);
}

XT_TEST(want_of_memory_is_told)
{
    struct mu_err e = MU_ERR_INIT;
    struct mu_worker_line l;
    int rc = MU_ENOMEM;
    for (uint64_t n = 1; rc == MU_ENOMEM && n < 100; n++) {
        mu_mem_fail_at(n);
        rc = mu_worker_line_parse(&l, "{\"task\": 1, \"config\": \"a\"}", &e);
        mu_mem_fail_at(0);
        XT_EQ(l.kind, rc == MU_OK ? MU_LINE_TASK : MU_LINE_OTHER);
        mu_worker_line_fini(&l);
    }
    XT_EQ(rc, MU_OK);
}

XT_MAIN()
