/* The report's page: what stands on it for runs written by hand, what is escaped, what is missing or broken. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/file.h"
#include "dash/report.h"
#include "xt.h"

/* ---- runs by hand ---- */

static const char *path_of(const char *run, const char *file)
{
    static char path[4][512];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s%s%s", xt_tmpdir(), run, file[0] ? "/" : "", file);
    return p;
}

static void put(const char *run, const char *file, const char *text)
{
    mkdir(path_of(run, ""), 0700);
    FILE *f = fopen(path_of(run, file), "w");
    XT_CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

#define RESULTS "results_2020-01-01.json"
#define SAMPLES "samples_t_2020-01-01.jsonl"

/* Samples of task t, right where `right` has a 1; '-': no such document. */
static void put_run(const char *run, const char *right)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf text = MU_BUF_INIT("samples", 1 << 20);
    for (int i = 0; right[i]; i++) {
        if (right[i] == '-')
            continue;
        XT_OK(
            mu_buf_printf(&text, &err,
                          "{\"doc_id\": %d, \"doc_hash\": \"same\", \"doc\": {}, \"target\": \"x\", \"filter\": "
                          "\"none\", \"metrics\": [\"acc\"], \"arguments\": {}, \"filtered_resps\": [], \"acc\": %c}\n",
                          i, right[i]));
    }
    put(run, RESULTS, "{\"results\": {\"t\": {\"acc,none\": 0.5, \"acc_stderr,none\": 0.1}}, \"model_name\": \"m\"}");
    put(run, SAMPLES, text.p);
    mu_buf_fini(&text);
}

static int report(const char *a, const char *b, struct mu_err *e)
{
    char pa[512], pb[512], out[512];
    snprintf(pa, sizeof pa, "%s", path_of(a, ""));
    snprintf(pb, sizeof pb, "%s", path_of(b ? b : a, ""));
    snprintf(out, sizeof out, "%s/page.html", xt_tmpdir());
    const char *paths[] = {pa, pb};
    struct mu_report_opts o = {.paths = paths, .n_paths = b ? 2 : 1, .out = out};
    return mu_report_write(&o, e);
}

/* The page, until the next call. */
static const char *page(const char *a, const char *b)
{
    static struct mu_buf text = MU_BUF_INIT("a page", 1 << 24);
    struct mu_err err = MU_ERR_INIT;
    char out[512];
    XT_OK(report(a, b, &err));
    snprintf(out, sizeof out, "%s/page.html", xt_tmpdir());
    mu_buf_fini(&text);
    text = (struct mu_buf)MU_BUF_INIT("a page", 1 << 24);
    XT_OK(mu_file_read_all(&text, out, &err));
    XT_OK(mu_buf_putc(&text, 0, &err));
    return text.p;
}

static void has(const char *html, const char *part)
{
    XT_CHECKF(strstr(html, part) != NULL, "the page lacks %s", part);
}

static void has_not(const char *html, const char *part)
{
    XT_CHECKF(strstr(html, part) == NULL, "the page has %s", part);
}

/* ---- two runs ---- */

#define NUM(x) "<td class=num>" x

XT_TEST(pairs_are_compared_by_mcnemars_test)
{
    /* 5 to 1 among those that differ: p = 2 (C(6,0) + C(6,1)) / 2^6 = 0.21875. The hashes are all the same. */
    put_run("a", "1111110000");
    put_run("b", "1000001000");
    const char *html = page("a", "b");
    has(html, NUM("10") NUM("0.6000") NUM("0.2000") NUM("-0.4000") NUM("1") NUM("5") NUM("1"));
    has(html, "<td class='num'>0.2188<td class=dim>McNemar, exact");
    has(html, "document 5 <span class=dim>A 1, B 0</span>");
    has(html, "document 6 <span class=dim>A 0, B 1</span>");
    has_not(html, "document 0 ");
    has(html, "1 comparison.");
    has(html, "<a href=#disagreements>");
}

XT_TEST(a_small_p_is_marked)
{
    /* 8 to 0: p = 2 / 2^8 = 0.0078125. */
    put_run("a", "11111111");
    put_run("b", "00000000");
    has(page("a", "b"), "<td class='num sig'>0.00781");
}

XT_TEST(documents_only_one_run_has_are_left_out)
{
    put_run("a", "110---");
    put_run("b", "-10111");
    has(page("a", "b"), NUM("2") NUM("0.5000") NUM("0.5000") NUM("+0.0000"));
    put_run("a", "11----");
    put_run("b", "--0111");
    const char *html = page("a", "b");
    has(html, "0 comparisons. The runs share no document");
    has_not(html, "class=doc>");
}

XT_TEST(one_run_has_no_links_to_comparisons)
{
    put_run("a", "110");
    const char *html = page("a", NULL);
    has(html, "<a href=#scores>");
    has(html, "<b>0.5000</b> <span class=dim>&plusmn; 0.1000</span>");
    has_not(html, "#compare>");
    has_not(html, "#disagreements>");
    has_not(html, "#slowest>");
}

/* ---- hostile and missing ---- */

#define EVIL_KEY "<script>alert(1)</script>\\\"'&\\u001b\\u2028"
#define EVIL     EVIL_KEY "\\u0000"

XT_TEST(what_documents_say_is_text)
{
    static const char sample[] =
        "{\"doc_id\": 0, \"doc_hash\": \"h\", \"doc\": {\"" EVIL_KEY "\": \"" EVIL "\"}, \"target\": \"" EVIL
        "\", \"filter\": \"none\", \"metrics\": [\"acc\"], \"arguments\": {\"gen_args_0\": {\"arg_0\": \"" EVIL
        "\", \"arg_1\": \"" EVIL "\"}}, \"filtered_resps\": [[\"" EVIL "\", true]], \"acc\": %d}\n";
    char text[2048];
    for (int i = 0; i < 2; i++) {
        const char *run = i ? "b" : "a";
        snprintf(text, sizeof text, sample, i);
        put(run, RESULTS,
            "{\"results\": {\"t\": {\"acc,none\": 1, \"" EVIL_KEY ",none\": 1}}, \"model_name\": \"" EVIL "\"}");
        put(run, SAMPLES, text);
    }
    const char *html = page("a", "b");
    has(html, "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;");
    has_not(html, "<script>alert");
    for (const char *p = html; *p; p++)
        XT_CHECKF((unsigned char)*p >= 0x20 || *p == '\n' || *p == '\t', "control character %d", *p);
}

XT_TEST(runs_without_samples_have_scores_only)
{
    put("bare", RESULTS,
        "{\"results\": {\"t\": {\"acc,none\": 0.25, \"alias\": \"t\", \"acc_stderr,none\": \"N/A\"}}}");
    const char *html = page("bare", "bare");
    has(html, "<b>0.2500</b><br>");
    has(html, "0 comparisons.");
    has_not(html, "#breakdown>");
}

XT_TEST(numbers_that_are_not_finite_are_shown_as_such)
{
    put("odd", RESULTS, "{\"results\": {\"t\": {\"a,none\": NaN, \"b,none\": -Infinity, \"NaN \\\" NaN,none\": 3}}}");
    const char *html = page("odd", NULL);
    has(html, "<td>a,none<td class=num><b class=poor>not a number</b>");
    has(html, "<td>b,none<td class=num><b class=poor>-infinity</b>");
    has(html, "<td>NaN &quot; NaN,none<td class=num><b>3.0000</b>");
}

XT_TEST(what_cannot_be_read_is_named)
{
    struct mu_err err = MU_ERR_INIT;
    XT_FAILS(report("nowhere", NULL, &err), MU_ENOENT, "nowhere does not exist");
    mkdir(path_of("empty", ""), 0700);
    XT_FAILS(report("empty", NULL, &err), MU_ENOENT, "empty holds no results_*.json");
    put("x", RESULTS, "{\"results\": ");
    XT_FAILS(report("x", NULL, &err), MU_EFORMAT, RESULTS);
    put("x", RESULTS, "[]");
    XT_FAILS(report("x", NULL, &err), MU_EFORMAT, "has no \"results\"");
    put("x", RESULTS, "{\"results\": {}}");
    XT_FAILS(report("x", NULL, &err), MU_EFORMAT, "has results of no task");
    put("x", RESULTS, "{\"results\": {\"t\": 5}}");
    put("x", SAMPLES, "{\"acc\": 1}\n{\"acc\": \n");
    XT_FAILS(report("x", NULL, &err), MU_EFORMAT, SAMPLES ", line 2, column 8");
    put("x", SAMPLES, "5\n");
    XT_FAILS(report("x", NULL, &err), MU_EFORMAT, "line 1: a sample is an object");
    put("x", SAMPLES, "{}\n{\"metrics\": 5, \"acc\": \"x\"}\n");
    XT_OK(report("x", "x", &err));
}

XT_TEST(a_page_replaces_files_only)
{
    struct mu_err err = MU_ERR_INIT;
    put_run("a", "1");
    const char *path = path_of("a", ""), *folder = xt_tmpdir();
    struct mu_report_opts o = {.paths = &path, .n_paths = 1, .out = folder};
    XT_FAILS(mu_report_write(&o, &err), MU_EUSAGE, "is a folder: name the page itself");
    o.out = "";
    XT_FAILS(mu_report_write(&o, &err), MU_EUSAGE, "needs a file's name");
    o.out = "/dev/null";
    XT_FAILS(mu_report_write(&o, &err), MU_EUSAGE, "/dev/null is no ordinary file");
}

static int report_once(void *arg, struct mu_err *e)
{
    (void)arg;
    return report("a", "b", e);
}

XT_TEST(every_failed_allocation_is_told)
{
    put_run("a", "1100");
    put_run("b", "10-0");
    xt_each_alloc_fails(report_once, NULL);
}

XT_MAIN()
