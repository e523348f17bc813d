/* run_windows.c - a long text as windows that predict each token once
 *
 * Source: lm_eval/utils.py get_rolling_token_windows with context_len 1, then make_disjoint_window. The first window
 * predicts its tokens from the prefix on; each later one predicts up to max new tokens and is filled to max tokens of
 * input with what comes before them, so the last one has the longest context. */
#include "base/check.h"
#include "eval/run_int.h"

bool mu_run_window(int64_t n, int64_t max, int64_t i, struct mu_run_window *out)
{
    int64_t first = i * max, end = MU_MIN(first + max, n);
    if (first >= n)
        return false;
    /* Tokens [first, end) of the text are ids [first + 1, end + 1); the input ends before the last of them. */
    out->continuation = first + 1;
    out->n_continuation = end - first;
    out->context = i == 0 ? 0 : end - max;
    out->n_context = out->continuation - out->context;
    return true;
}
