/* alert_int.h - what the files of alerts share */
#ifndef MU_SCHED_ALERT_INT_H
#define MU_SCHED_ALERT_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/breaker.h"
#include "base/buf.h"
#include "sched/alert.h"

#define MU_ALERT_TASK_BYTES  512
#define MU_ALERT_ABOUT_BYTES 128
#define MU_ALERT_BODY_BYTES  ((size_t)32 << 10)
#define MU_ALERT_NAME_BYTES  192
#define MU_ALERT_LOOK_NS     50000000ll /* between looks at whether the end has come */

/* An alert as it waits; texts are cut and valid UTF-8, "" for none. */
struct mu_alert_note {
    enum mu_alert_kind kind;
    enum mu_alert_severity severity;
    int64_t wall_s, repeats;
    bool has_counts;
    int32_t tasks, left, running, finished, failed, skipped, cancelled;
    char task[MU_ALERT_TASK_BYTES], about[MU_ALERT_ABOUT_BYTES], sentence[MU_ALERT_TEXT_BYTES];
};

struct mu_alert_target {
    struct mu_alerts *all;
    const char *where; /* the command, or the URL */
    char name[MU_ALERT_NAME_BYTES];
    int tries_max;
    /* One try, begun at begin_ns of the real clock. *may_again: the same may work later. */
    int (*send)(struct mu_alert_target *t, struct mu_str body, int64_t begin_ns, bool *may_again, struct mu_err *e);

    pthread_t thread;
    bool has_thread;
    struct mu_buf body; /* the thread's own, as the next */
    struct mu_breaker breaker;
    uint64_t random;

    /* guarded by the lock */
    struct mu_alert_note *note;    /* [MU_ALERT_QUEUE_MAX] */
    int order[MU_ALERT_QUEUE_MAX]; /* all slots of note; the first n wait, the oldest first */
    int n;
    bool is_sending, has_ended; /* has_ended: its thread does nothing more */
};

/* alert_text.c */
void mu_alert_note_fill(struct mu_alert_note *n, const struct mu_alert *a);
int mu_alert_json(struct mu_buf *out, const struct mu_alert_note *n, const char *campaign, const char *host,
                  struct mu_err *e);                          /* replaces out */
void mu_alert_copy(char *to, size_t bytes, const char *text); /* cut at a character, what is no UTF-8 as "?" */

/* When a send that began now must have ended. */
int64_t mu_alert_until_ns(const struct mu_alert_target *t, int64_t begin_ns);

/* alert_command.c, alert_webhook.c */
int mu_alert_send_command(struct mu_alert_target *t, struct mu_str body, int64_t begin_ns, bool *may_again,
                          struct mu_err *e);
int mu_alert_send_webhook(struct mu_alert_target *t, struct mu_str body, int64_t begin_ns, bool *may_again,
                          struct mu_err *e);
/* "https://hooks.example.com:8443"; false: no http or https URL. */
bool mu_alert_webhook_name(const char *url, char *out, size_t bytes);

#endif
