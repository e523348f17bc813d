/* worker_line.c - any bytes as a line between an orchestrator and a worker: what is taken is said again alike */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sched/launcher.h"
#include "sched/worker_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_same(const struct mu_worker_line *a, const struct mu_worker_line *b)
{
    if (a->kind != b->kind || a->task != b->task || a->status != b->status)
        abort();
    if (a->kind == MU_LINE_TASK && strcmp(a->config, b->config) != 0)
        abort();
    if (strncmp(a->why, b->why, strlen(b->why)) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_buf text = MU_BUF_INIT("a line", 8 * MU_WORKER_TASK_BYTES);
    struct mu_worker_line l, again;
    char *line = mu_strndup((const char *)data, n);
    if (line && mu_worker_line_parse(&l, line, NULL) == MU_OK) {
        if (l.kind != MU_LINE_OTHER && mu_worker_line_print(&text, &l, NULL) == MU_OK) {
            if (l.kind == MU_LINE_ENDED && text.n >= MU_WORKER_LINE_BYTES)
                abort();
            if (mu_worker_line_parse(&again, text.p, NULL) == MU_OK)
                check_same(&l, &again);
            mu_worker_line_fini(&again);
        }
        mu_worker_line_fini(&l);
    }
    mu_buf_fini(&text);
    mu_free(line);
    return 0;
}
