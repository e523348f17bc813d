/* loop.h - a running for loop, as the template sees it in the variable `loop` */
#ifndef MU_TOK_JINJA_LOOP_H
#define MU_TOK_JINJA_LOOP_H

#include "tok/jinja/render.h"

struct mu_jloop {
    const struct mu_jnode *node;
    struct mu_jscope *scope; /* around the loop */
    struct mu_jv over;       /* what it goes through */
    struct mu_jiter it;
    struct mu_jlist *rest; /* items read ahead to know the length; NULL: none */
    size_t rest_at;
    int64_t index0, length; /* length -1: not known yet */
    int64_t depth0;
    bool has_after;
    struct mu_jv after, previous, current;
    struct mu_jlist *changed; /* arguments of the last changed() */
};

/* The next item, or is_end; steps index and previous on. */
int mu_j_loop_step(struct mu_jin *J, struct mu_jloop *loop, bool *is_end);

/* Run the loop over a value: {% for %} or loop(value). */
int mu_j_run_loop(struct mu_jin *J, const struct mu_jnode *n, struct mu_jscope *scope, const struct mu_jv *over,
                  int64_t depth0);

#endif
