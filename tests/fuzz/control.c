/* control.c - fuzz target: any line as a request to a running campaign, and as its answer; what is read is written, and
 * read the same */
#include <stdint.h>
#include <stdlib.h>

#include "sched/control.h"

static void compare(const struct mu_control_request *a, const struct mu_control_request *b)
{
    if (a->action != b->action || a->priority != b->priority || a->n_patterns != b->n_patterns)
        abort();
    for (int i = 0; i < a->n_patterns; i++)
        if (strcmp(a->pattern[i], b->pattern[i]) != 0)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_buf text = MU_BUF_INIT("a request", (size_t)1 << 20);
    struct mu_control_request r, again;
    struct mu_str line = {(const char *)data, n};
    struct mu_err e;
    json_t *answer;
    if (mu_control_answer_parse(&answer, line, &e) == MU_OK)
        json_decref(answer);
    if (mu_control_request_parse(&r, line, &e) != MU_OK)
        return 0;
    if (mu_control_request_print(&text, &r, &e) != MU_OK || text.p[text.n - 1] != '\n')
        abort();
    if (mu_control_request_parse(&again, (struct mu_str){text.p, text.n - 1}, &e) != MU_OK)
        abort();
    compare(&r, &again);
    mu_control_request_fini(&again);
    mu_control_request_fini(&r);
    mu_buf_fini(&text);
    return 0;
}
