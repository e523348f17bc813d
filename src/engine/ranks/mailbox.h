/* mailbox.h - messages on their way out, so that nobody waits for a receiver
 *
 * A message is copied and started; it leaves the box when it is sent. Small ones are kept in the box itself, so that
 * token events allocate nothing. What was on its way to a rank that is lost while the world lives is forgotten. Used by
 * the polling thread. */
#ifndef MU_ENGINE_MAILBOX_H
#define MU_ENGINE_MAILBOX_H

#include "base/buf.h"
#include "comm/comm.h"

#define MU_MAILS_MAX  128
#define MU_MAIL_SMALL 512

struct mu_mail {
    struct mu_comm_op *op; /* NULL: free */
    char *large;           /* owned, or NULL */
    _Alignas(8) char small[MU_MAIL_SMALL];
};

struct mu_mailbox {
    struct mu_comm *c; /* of the last message */
    struct mu_mail mail[MU_MAILS_MAX];
    int n; /* on their way */
};

/* When the box is full it waits for one to leave. */
int mu_mailbox_post(struct mu_mailbox *m, struct mu_comm *c, int to, int tag, const struct mu_buf *b, struct mu_err *e);
int mu_mailbox_look(struct mu_mailbox *m, struct mu_err *e); /* forget what is sent */
int mu_mailbox_flush(struct mu_mailbox *m, struct mu_err *e);

static inline bool mu_mailbox_is_filling(const struct mu_mailbox *m)
{
    return m->n > MU_MAILS_MAX / 2;
}

#endif
