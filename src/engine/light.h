/* light.h - the light engine put together from parts; mu_engine_open() makes the real ones, tests bring fakes */
#ifndef MU_ENGINE_LIGHT_H
#define MU_ENGINE_LIGHT_H

#include "engine/batcher.h"
#include "engine/checkpoint.h"
#include "engine/engine_int.h"
#include "engine/forecast.h"
#include "engine/runner_model.h"
#include "plan/bill.h"

struct mu_light_parts {
    struct mu_runner *runner; /* moved: the engine closes it, also when opening fails */
    int (*model_sizes)(void *arg, const struct mu_bill_limits *l, struct mu_model_sizes *out, struct mu_err *e);
    void *sizes_arg; /* needed while opening only */
    enum mu_wformat weights;
    enum mu_dtype kv_dtype;
    struct mu_model_runner_opts formats; /* the rest of what the checkpoint and the options say of them; no shard */
    struct mu_detok detok;               /* ops NULL: no text */
    char arch[48];
    const char *level;
    int64_t n_params, n_params_active;
    int threads;
    int32_t bos, eos[MU_ENGINE_EOS_MAX];
    int n_eos;
    double repetition; /* as generation_config.json names it; 0: not named */

    /* Released last, after the runner. */
    struct mu_checkpoint *checkpoint; /* moved, may be NULL */
    struct mu_device *device;         /* moved, NULL when borrowed */

    const struct mu_bill *bill;     /* settled and shown already, needed while opening only; NULL: made here */
    const struct mu_layout *layout; /* of the ranks, needed while opening only; NULL: one rank */
};

void mu_light_parts_close(struct mu_light_parts *p);

/* From options to parts, in two steps (light_open.c): checkpoint and device; then the runner of one shard, NULL for the
 * whole model. On failure the caller closes the parts. model must stay where it is until the engine is open. */
struct mu_light_model {
    struct mu_spec *spec; /* the checkpoint's */
    struct mu_device *device;
    struct mu_model_runner_opts runner;
};
int mu_light_parts_begin(struct mu_light_parts *p, const struct mu_engine_opts *o, struct mu_err *e);
int mu_light_parts_model(struct mu_light_parts *p, struct mu_light_model *model, const struct mu_engine_opts *o,
                         const struct mu_shard *shard, struct mu_err *e);

/* The bill of an engine of these parts, or of a rank that only follows one. sharers: ranks that live off the same
 * memory, at least 1. */
int mu_light_bill_make(struct mu_bill *out, const struct mu_engine_opts *o, const struct mu_light_parts *parts,
                       int sharers, bool is_follower, struct mu_err *e);

int mu_light_open_parts(mu_engine **out, const struct mu_engine_opts *o, const struct mu_light_parts *parts,
                        struct mu_err *e);

/* light.c: the members of struct mu_engine_ops. */
int mu_light_submit(mu_engine *eng, const struct mu_request *r, uint64_t *id, struct mu_err *e);
/* The same under a number that the caller chose, of no request in flight. */
int mu_light_submit_as(mu_engine *eng, const struct mu_request *r, uint64_t id, struct mu_err *e);
struct mu_runner *mu_light_runner(mu_engine *eng); /* borrowed; for the polling thread */
void mu_light_job_limits(const mu_engine *eng, struct mu_job_limits *out);
/* Requests that wait to start, and those that run. */
void mu_light_counts(mu_engine *eng, int *n_queued, int *n_running);
int mu_light_poll(mu_engine *eng, struct mu_result **out, int64_t timeout_ns, struct mu_err *e);
int mu_light_cancel(mu_engine *eng, uint64_t id, struct mu_err *e);
int mu_light_optimize_memory(mu_engine *eng, size_t *bytes_freed, struct mu_err *e);
/* A part of it: used pages to the front, at most pages_max of each lane; between polls. */
int mu_light_compact(mu_engine *eng, int pages_max, int *n_moved, struct mu_err *e);
void mu_light_status(mu_engine *eng, struct mu_engine_status *out);
void mu_light_seen(mu_engine *eng, struct mu_engine_seen *out);
const struct mu_forecast *mu_light_forecast(const mu_engine *eng);
void mu_light_info(const mu_engine *eng, struct mu_engine_info *out);
const struct mu_bill *mu_light_bill(const mu_engine *eng);
void mu_light_close(mu_engine *eng);

#endif
