/* engine_int.h - what an engine is: one small table
 *
 * Members: light (one process, one device), distributed (many ranks), remote (a server). Every engine begins with
 * struct mu_engine. can_handle says in its sentence why not; it reads nothing but the options. Internal to src/engine.
 */
#ifndef MU_ENGINE_ENGINE_INT_H
#define MU_ENGINE_ENGINE_INT_H

#include <muster/engine.h>

enum mu_engine_capability {
    MU_CAN_SCORE = 1,
    MU_CAN_GENERATE = 2,
    MU_CAN_PROMPT_LOGPROBS = 4,
    MU_CAN_STREAM = 8,
    MU_CAN_CANCEL = 16,
    MU_CAN_SAME_BITS = 32, /* results do not depend on the batch */
    MU_CAN_OURS = 63       /* all of it: what an engine of our own does */
};

struct mu_forecast; /* forecast.h */

struct mu_runner;

struct mu_engine_ops {
    const char *name;
    unsigned capabilities; /* enum mu_engine_capability */
    int (*can_handle)(const struct mu_engine_opts *o, struct mu_err *why);
    int (*open)(mu_engine **out, const struct mu_engine_opts *o, struct mu_err *e);
    int (*submit)(mu_engine *eng, const struct mu_request *r, uint64_t *id, struct mu_err *e); /* any thread */
    int (*poll)(mu_engine *eng, struct mu_result **out, int64_t timeout_ns, struct mu_err *e); /* may block so long */
    int (*cancel)(mu_engine *eng, uint64_t id, struct mu_err *e);                              /* any thread */
    int (*optimize_memory)(mu_engine *eng, size_t *bytes_freed, struct mu_err *e);
    void (*status)(mu_engine *eng, struct mu_engine_status *out); /* any thread */
    void (*info)(const mu_engine *eng, struct mu_engine_info *out);
    void (*seen)(mu_engine *eng, struct mu_engine_seen *out);    /* NULL: nothing is known */
    const struct mu_forecast *(*forecast)(const mu_engine *eng); /* likewise */
    const struct mu_bill *(*bill)(const mu_engine *eng);         /* NULL where memory is another machine's */
    struct mu_runner *(*runner)(mu_engine *eng);                 /* the first replica's; NULL: there is none */
    void (*close)(mu_engine *eng);
};

struct mu_engine {
    const struct mu_engine_ops *ops;
};

extern const struct mu_engine_ops mu_engine_light;
extern const struct mu_engine_ops mu_engine_distributed;
extern const struct mu_engine_ops mu_engine_remote;

#endif
