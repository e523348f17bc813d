/* campaign_predict.h - how long a campaign's tasks take on this machine: what they ask is counted, the planner says how
 * long that takes
 *
 * Tasks of one suite are counted once, with the tokenizer of the first model that has them: another one cuts the same
 * texts a little differently. A text that is generated counts with all the tokens it may have, so tasks that generate
 * are predicted too long rather than too short. */
#ifndef MU_CLI_CAMPAIGN_PREDICT_H
#define MU_CLI_CAMPAIGN_PREDICT_H

#include <muster/eval.h>

#include "model/spec.h"
#include "plan/machine.h"
#include "sched/campaign.h"
#include "tensor/matrix.h"

/* Work of a suite, looked at when it is first asked for; n_requests 0: nothing is known, such as without its data. */
struct mu_campaign_suite_work {
    bool is_counted;
    struct mu_eval_count count;
};

struct mu_campaign_predict_model {
    bool is_read, is_there;
    struct mu_spec spec;
    enum mu_wformat weights;
};

struct mu_campaign_predictor {
    const struct mu_campaign *c; /* borrowed */
    struct mu_machine machine;
    int devices;   /* of a node */
    bool is_least; /* wanted is what no task can be done sooner in: half of the prediction, texts of one token */
    struct mu_campaign_suite_work *suite;
    struct mu_campaign_predict_model *model;
    char how[256]; /* a clause: where the machine's numbers come from */
};

/* devices: equal parts of this machine's cores, 0: one. Measures the machine for half a second where it is not
 * calibrated. Release it also after a failure. */
int mu_campaign_predictor_open(struct mu_campaign_predictor *p, const struct mu_campaign *c, int64_t devices,
                               struct mu_err *e);
void mu_campaign_predictor_release(struct mu_campaign_predictor *p);

/* What a task asks for, counted with its model's tokenizer. context: the model's. Fails where its data, or that, is not
 * here. */
int mu_campaign_count(struct mu_eval_count *out, const struct mu_campaign *c, int task, int64_t context,
                      struct mu_err *e);

/* As mu_campaign_world asks; arg: a predictor. What cannot be predicted is not known: a model behind an endpoint, one
 * that is not here, a suite without its data. */
void mu_campaign_predict(void *arg, const struct mu_campaign *c, int task, struct mu_campaign_guess *out);

/* Deadlines, time-outs and budgets of a campaign that has not begun, against a start now. What is refused cannot be
 * done: what tasks take at the least is held against them. Prints all that is wrong, one line each; MU_EINVAL then. */
int mu_campaign_check_times(const struct mu_campaign *c, int64_t devices, struct mu_err *e);

#endif
