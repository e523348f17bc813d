/* session_int.h - shared by session.c, which opens models, session_ranks.c and session_keep.c */
#ifndef MU_CLI_SESSION_INT_H
#define MU_CLI_SESSION_INT_H

#include "cli/model_opts.h"

/* session.c: one step each, whatever is open. */
int mu_session_open_texts(struct mu_session *s, const struct mu_model_args *args, bool needs_tok, struct mu_err *e);
int mu_session_open_device(struct mu_session *s, const struct mu_model_args *args, struct mu_err *e);
int mu_session_load(struct mu_session *s, const struct mu_model_args *args, struct mu_err *e);
void mu_session_drop_engine(struct mu_session *s); /* and its device */
void mu_session_drop(struct mu_session *s);        /* the tokenizer too; ranks stay joined */

/* session_ranks.c: the others of a kept session are to follow the engine that is opened next. */
int mu_session_call_ranks(struct mu_session *s, const struct mu_model_args *args, struct mu_err *e);
void mu_session_leave_ranks(struct mu_session *s); /* no engine is open, and none comes */

/* session_keep.c: opened, or found open. */
int mu_session_keep_texts(struct mu_session *s, const struct mu_model_args *args, bool needs_tok, struct mu_err *e);
int mu_session_keep_engine(struct mu_session *s, const struct mu_model_args *args, struct mu_err *e);

#endif
