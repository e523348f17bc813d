/* log.h - what the program says about itself, on standard error
 *
 * One line a message. Level by mu_log_level_set(); a sink can be put in place of standard error. Thread-safe. */
#ifndef MU_BASE_LOG_H
#define MU_BASE_LOG_H

enum mu_log_level { MU_LOG_ERROR, MU_LOG_WARN, MU_LOG_INFO, MU_LOG_DEBUG };

void mu_log(enum mu_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void mu_log_level_set(enum mu_log_level level); /* default MU_LOG_INFO */
void mu_log_sink_set(void (*sink)(void *arg, enum mu_log_level level, const char *line), void *arg); /* NULL: stderr */

#endif
