/* task.c - fuzz target: any text as a task file, loaded and checked */
#include <stdint.h>

#include "base/log.h"
#include "eval/task_int.h"

static void ignore(void *arg, int line, const char *field, const char *sentence)
{
    (void)arg, (void)line, (void)field, (void)sentence;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_err err;
    mu_log_level_set(MU_LOG_ERROR);
    mu_task_text_check("fuzz", (struct mu_str){(const char *)data, n}, ignore, NULL, &err);
    return 0;
}
