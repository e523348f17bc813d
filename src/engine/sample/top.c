/* top.c - the best alternatives of a row by insertion: n is small, most tokens fail the first comparison */
#include "engine/sample/sampler.h"

#include <math.h>

void mu_top_logprobs(const float *logits, int64_t vocab, double lse, int n, struct mu_token_logprob *out)
{
    int filled = 0;
    for (int64_t id = 0; id < vocab; id++) {
        double x = logits[id];
        if (filled == n && !(x > out[n - 1].logprob))
            continue;
        int at = filled < n ? filled++ : n - 1;
        for (; at > 0 && out[at - 1].logprob < x; at--)
            out[at] = out[at - 1];
        out[at] = (struct mu_token_logprob){(int32_t)id, x};
    }
    for (int i = 0; i < filled; i++)
        out[i].logprob -= lse;
    for (int i = filled; i < n; i++)
        out[i] = (struct mu_token_logprob){-1, -INFINITY};
}
