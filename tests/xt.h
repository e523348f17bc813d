/* xt.h - the one test harness: TAP on standard output
 *
 *   XT_TEST(softmax_rows_sum_to_one) { ... XT_NEAR(sum, 1.0, 1e-6); }
 *   XT_MAIN()
 *
 * A failed check prints file, line and values, and leaves the test; the others go on. `test_x NAME` runs the
 * tests whose name contains NAME, `test_x --list` lists them. With XT_RANK and XT_RANKS in the environment the
 * output is prefixed for rank 0 only, so that a test program run on many ranks prints one plan.
 * Data outside the repository is found by xt_data(); a test that needs it skips with the reason. */
#ifndef XT_H
#define XT_H

#include <math.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <muster/err.h>

struct xt_test {
    const char *name;
    void (*run)(void);
    struct xt_test *next;
};

void xt_register(struct xt_test *t);
int xt_main(int argc, char **argv);

#define XT_TEST(fn)                                                                                                    \
    static void xt_run_##fn(void);                                                                                     \
    __attribute__((constructor)) static void xt_add_##fn(void)                                                         \
    {                                                                                                                  \
        static struct xt_test t = {#fn, xt_run_##fn, NULL};                                                            \
        xt_register(&t);                                                                                               \
    }                                                                                                                  \
    static void xt_run_##fn(void)

#define XT_MAIN()                                                                                                      \
    int main(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        return xt_main(argc, argv);                                                                                    \
    }

/* TSan makes everything some twenty times slower and looks for races only: a test whose cases run the same threads over
 * other numbers may take every XT_STRIDEth, and a test of numbers alone may skip. */
#if defined(__SANITIZE_THREAD__)
#define XT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define XT_TSAN 1
#endif
#endif
#ifndef XT_TSAN
#define XT_TSAN 0
#endif
#define XT_STRIDE (XT_TSAN ? 6 : 1)

/* ASan makes everything three to ten times slower. Of many cases that each go many ways (three or more), a test may
 * take what xt_takes(): under ASan every third way of each case, beginning with another one each time, so that every
 * case and every way is taken; elsewhere all of them. Cases that XT_STRIDE has thinned out already thin out their ways
 * alike. */
#if defined(__SANITIZE_ADDRESS__)
#define XT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define XT_ASAN 1
#endif
#endif
#ifndef XT_ASAN
#define XT_ASAN 0
#endif

static inline bool xt_takes(size_t which, size_t way)
{
    return (which + way) % (XT_ASAN ? 3 : XT_STRIDE) == 0;
}

/* These end the running test. */
void xt_fail(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4), noreturn));
void xt_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn)); /* say what is missing */
void xt_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));           /* a line beside the result */

#define XT_CHECK(cond)                                                                                                 \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            xt_fail(__FILE__, __LINE__, "%s", #cond);                                                                  \
    } while (0)

#define XT_CHECKF(cond, ...)                                                                                           \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            xt_fail(__FILE__, __LINE__, __VA_ARGS__);                                                                  \
    } while (0)

#define XT_EQ(a, b)                                                                                                    \
    do {                                                                                                               \
        long long xt_a_ = (long long)(a), xt_b_ = (long long)(b);                                                      \
        if (xt_a_ != xt_b_)                                                                                            \
            xt_fail(__FILE__, __LINE__, "%s is %lld, %s is %lld", #a, xt_a_, #b, xt_b_);                               \
    } while (0)

#define XT_STREQ(a, b)                                                                                                 \
    do {                                                                                                               \
        const char *xt_a_ = (a), *xt_b_ = (b);                                                                         \
        if (!xt_a_ || !xt_b_ || strcmp(xt_a_, xt_b_) != 0)                                                             \
            xt_fail(__FILE__, __LINE__, "%s is \"%s\", not \"%s\"", #a, xt_a_ ? xt_a_ : "(null)",                      \
                    xt_b_ ? xt_b_ : "(null)");                                                                         \
    } while (0)

#define XT_NEAR(a, b, tol)                                                                                             \
    do {                                                                                                               \
        double xt_a_ = (a), xt_b_ = (b);                                                                               \
        if (!(fabs(xt_a_ - xt_b_) <= (tol)))                                                                           \
            xt_fail(__FILE__, __LINE__, "%s is %.9g, %s is %.9g, apart %.3g", #a, xt_a_, #b, xt_b_,                    \
                    fabs(xt_a_ - xt_b_));                                                                              \
    } while (0)

/* The call must succeed; its sentence is shown when it does not. `call` uses the variable `err`. */
#define XT_OK(call)                                                                                                    \
    do {                                                                                                               \
        int xt_rc_ = (call);                                                                                           \
        if (xt_rc_ != MU_OK)                                                                                           \
            xt_fail(__FILE__, __LINE__, "%s: %s: %s", #call, mu_code_name(xt_rc_), err.text);                          \
    } while (0)

/* The call must fail with this code and a sentence that contains `part`. */
#define XT_FAILS(call, want, part)                                                                                     \
    do {                                                                                                               \
        int xt_rc_ = (call);                                                                                           \
        if (xt_rc_ != (want))                                                                                          \
            xt_fail(__FILE__, __LINE__, "%s gave %s, not %s: %s", #call, mu_code_name(xt_rc_), #want,                  \
                    xt_rc_ ? err.text : "");                                                                           \
        if (!strstr(err.text, part))                                                                                   \
            xt_fail(__FILE__, __LINE__, "the sentence \"%s\" lacks \"%s\"", err.text, part);                           \
    } while (0)

/* Make the 1st, 2nd, ... allocation fail until the body runs through: `rc` must be MU_ENOMEM or MU_OK each time
 * and nothing may leak. fn returns the code of the operation and frees what it made. */
void xt_each_alloc_fails(int (*fn)(void *arg, struct mu_err *e), void *arg);

/* Path of a file under the shared data folder (environment MUSTER_TEST_DATA, else ../shared/data), or skips the
 * running test, saying so, when it is not there. The string lives until the next 8 calls. */
const char *xt_data(const char *relative);

/* A fresh folder for this test, removed when the test ends. Lives until the test ends. */
const char *xt_tmpdir(void);

/* sum((a-b)^2) / sum(b^2) over n values. */
double xt_nmse(const float *a, const float *b, size_t n);

/* A small seeded generator for test inputs (splitmix64); uniform in [-1, 1). */
uint64_t xt_rand(uint64_t *state);
float xt_randf(uint64_t *state);

#endif
