/* metric_int.h - what the files of this folder share */
#ifndef MU_EVAL_METRIC_METRIC_INT_H
#define MU_EVAL_METRIC_METRIC_INT_H

#include "eval/metric/metric.h"
#include "eval/task.h"

#define MU_METRIC_LOGLIKELIHOOD (1u << MU_OUTPUT_LOGLIKELIHOOD)
#define MU_METRIC_ROLLING       (1u << MU_OUTPUT_ROLLING)
#define MU_METRIC_CHOICE        (1u << MU_OUTPUT_MULTIPLE_CHOICE)
#define MU_METRIC_GENERATE      (1u << MU_OUTPUT_GENERATE)

extern const struct mu_metric mu_metric_exact_match;

#endif
