/* xt.c - running tests one by one in one process, and their temporary folders */
#include "xt.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

#define EXIT_ALL_SKIPPED 77
#define ALLOC_LOOP_MAX   1000000

enum { RUNNING, FAILED, SKIPPED };

static struct xt_test *tests, **tests_end = &tests;
static jmp_buf leave;
static int state;
static char skip_reason[512];
static char tmpdir[128];

void xt_register(struct xt_test *t)
{
    *tests_end = t;
    tests_end = &t->next;
}

static bool is_speaker(void)
{
    const char *rank = getenv("XT_RANK");
    return !rank || strcmp(rank, "0") == 0;
}

void xt_note(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    printf("# ");
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
}

void xt_fail(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    printf("# %s:%d: ", file, line);
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
    state = FAILED;
    longjmp(leave, 1);
}

void xt_skip(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(skip_reason, sizeof skip_reason, fmt, ap);
    va_end(ap);
    state = SKIPPED;
    longjmp(leave, 1);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static void tmpdir_remove(void)
{
    if (tmpdir[0])
        nftw(tmpdir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    tmpdir[0] = 0;
}

const char *xt_tmpdir(void)
{
    if (!tmpdir[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(tmpdir, sizeof tmpdir, "%.90s/muster-test-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(tmpdir)) {
            tmpdir[0] = 0;
            xt_skip("cannot make a temporary folder");
        }
    }
    return tmpdir;
}

const char *xt_data(const char *relative)
{
    static char paths[8][1024];
    static int next;
    const char *root = getenv("MUSTER_TEST_DATA");
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%.500s/%.500s", root ? root : "../shared/data", relative);
    if (access(path, R_OK) != 0)
        xt_skip("%.200s is not there (set MUSTER_TEST_DATA to the data folder)", path);
    return path;
}

void xt_each_alloc_fails(int (*fn)(void *arg, struct mu_err *e), void *arg)
{
    size_t before = mu_mem_bytes_used();
    for (uint64_t n = 1; n < ALLOC_LOOP_MAX; n++) {
        struct mu_err err = MU_ERR_INIT;
        mu_mem_fail_at(n);
        int rc = fn(arg, &err);
        mu_mem_fail_at(0);
        size_t after = mu_mem_bytes_used();
        if (after != before)
            xt_fail(__FILE__, __LINE__, "allocation %llu failing leaks %lld bytes", (unsigned long long)n,
                    (long long)(after - before));
        if (rc == MU_OK)
            return;
        if (rc != MU_ENOMEM)
            xt_fail(__FILE__, __LINE__, "allocation %llu failing gives %s, not ENOMEM: %s", (unsigned long long)n,
                    mu_code_name(rc), err.text);
    }
    xt_fail(__FILE__, __LINE__, "still failing after %d allocations", ALLOC_LOOP_MAX);
}

double xt_nmse(const float *a, const float *b, size_t n)
{
    double diff = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        diff += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)b[i] * b[i];
    }
    return norm > 0 ? diff / norm : diff;
}

uint64_t xt_rand(uint64_t *s)
{
    uint64_t z = (*s += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

float xt_randf(uint64_t *s)
{
    return (float)(int32_t)(xt_rand(s) >> 40) * 0x1p-23f - 1.0f;
}

static void run_one(struct xt_test *t, int number, int *n_failed, int *n_skipped)
{
    state = RUNNING;
    if (setjmp(leave) == 0)
        t->run();
    mu_mem_fail_at(0);
    tmpdir_remove();
    if (state == FAILED)
        ++*n_failed;
    if (state == SKIPPED)
        ++*n_skipped;
    if (is_speaker()) {
        printf("%s %d - %s", state == FAILED ? "not ok" : "ok", number, t->name);
        printf(state == SKIPPED ? " # SKIP %s\n" : "\n", skip_reason);
    }
    fflush(stdout);
}

int xt_main(int argc, char **argv)
{
    const char *filter = argc > 1 ? argv[1] : "";
    bool list = strcmp(filter, "--list") == 0;
    int n = 0, n_failed = 0, n_skipped = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (struct xt_test *t = tests; t; t = t->next) {
        if (list)
            printf("%s\n", t->name);
        else if (strstr(t->name, filter))
            run_one(t, ++n, &n_failed, &n_skipped);
    }
    if (list)
        return 0;
    if (n == 0) {
        fprintf(stderr, "no test has \"%s\" in its name\n", filter);
        return 2;
    }
    if (is_speaker())
        printf("1..%d\n# %d passed, %d failed, %d skipped\n", n, n - n_failed - n_skipped, n_failed, n_skipped);
    if (n_failed)
        return 1;
    return n_skipped == n ? EXIT_ALL_SKIPPED : 0;
}
