/* mailbox.c - see mailbox.h */
#include "engine/ranks/mailbox.h"

#include "base/check.h"
#include "base/mem.h"

static int finish(struct mu_mailbox *m, struct mu_mail *mail, struct mu_err *e)
{
    struct mu_err why = MU_ERR_INIT;
    int rc = mu_comm_wait(mail->op, &why);
    if (rc == MU_EPEER && !mu_comm_is_dead(m->c))
        rc = MU_OK;
    if (rc != MU_OK && e)
        *e = why;
    mail->op = NULL;
    mu_free(mail->large);
    mail->large = NULL;
    m->n--;
    return rc;
}

int mu_mailbox_look(struct mu_mailbox *m, struct mu_err *e)
{
    for (int i = 0; i < MU_MAILS_MAX && m->n > 0; i++) {
        bool is_done;
        if (!m->mail[i].op)
            continue;
        MU_TRY_RETURN(mu_comm_test(m->mail[i].op, &is_done, e));
        if (is_done)
            MU_TRY_RETURN(finish(m, &m->mail[i], e));
    }
    return MU_OK;
}

int mu_mailbox_flush(struct mu_mailbox *m, struct mu_err *e)
{
    int rc = MU_OK;
    for (int i = 0; i < MU_MAILS_MAX; i++) {
        if (!m->mail[i].op)
            continue;
        int one = finish(m, &m->mail[i], rc == MU_OK ? e : NULL);
        rc = rc == MU_OK ? one : rc;
    }
    return rc;
}

static struct mu_mail *free_place(struct mu_mailbox *m)
{
    for (int i = 0; i < MU_MAILS_MAX; i++) {
        if (!m->mail[i].op)
            return &m->mail[i];
    }
    return NULL;
}

int mu_mailbox_post(struct mu_mailbox *m, struct mu_comm *c, int to, int tag, const struct mu_buf *b, struct mu_err *e)
{
    m->c = c;
    MU_TRY_RETURN(mu_mailbox_look(m, e));
    if (m->n == MU_MAILS_MAX)
        MU_TRY_RETURN(finish(m, &m->mail[0], e));
    struct mu_mail *mail = free_place(m);
    char *p = mail->small;
    if (b->n > sizeof mail->small) {
        p = mail->large = mu_alloc(b->n);
        if (!p)
            return mu_fail_nomem(e, b->n, "a message to another rank");
    }
    memcpy(p, b->p, b->n);
    int rc = mu_comm_start_send(&mail->op, c, to, tag, p, b->n, e);
    if (rc != MU_OK) {
        mu_free(mail->large);
        mail->large = NULL;
        mail->op = NULL;
        return rc;
    }
    m->n++;
    return MU_OK;
}
