/* log.c - lines to standard error or to a sink */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/harmless.h"

#define LOG_LINE_MAX 2048

static atomic_int level_now = MU_LOG_INFO;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void (*sink_fn)(void *arg, enum mu_log_level level, const char *line);
static void *sink_arg;

void mu_log_level_set(enum mu_log_level level)
{
    atomic_store(&level_now, (int)level);
}

void mu_log_sink_set(void (*sink)(void *arg, enum mu_log_level level, const char *line), void *arg)
{
    pthread_mutex_lock(&lock);
    sink_fn = sink;
    sink_arg = arg;
    pthread_mutex_unlock(&lock);
}

void mu_log(enum mu_log_level level, const char *fmt, ...)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    if ((int)level > atomic_load(&level_now))
        return;
    char line[LOG_LINE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    mu_harmless(line, sizeof line, line);
    pthread_mutex_lock(&lock);
    if (sink_fn)
        sink_fn(sink_arg, level, line);
    else if (level == MU_LOG_INFO)
        fprintf(stderr, "%s\n", line);
    else
        fprintf(stderr, "%s: %s\n", names[level], line);
    pthread_mutex_unlock(&lock);
}
