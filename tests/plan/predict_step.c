/* predict_step.c - the time model's seconds for a checkpoint on a machine file, for predicted.sh
 *
 *   predict_step MACHINE.json CONFIG.json RANKS FORMAT prefill TOKENS
 *   predict_step MACHINE.json CONFIG.json RANKS FORMAT decode CONTEXT BATCH
 *
 * Prints seconds of the prefill, or of one decoding step at that context, with its parts. The machine's devices are
 * shared among the ranks, which are one tensor group. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "plan/cost.h"

static int fail(const struct mu_err *e)
{
    fprintf(stderr, "predict_step: %s\n", e->text);
    return 1;
}

static int open_all(struct mu_machine *m, struct mu_spec *s, char **argv, struct mu_err *e)
{
    json_t *machine = NULL, *config = NULL;
    int rc = MU_OK;
    MU_TRY(mu_json_load(&machine, argv[1], e));
    MU_TRY(mu_machine_from_tree(m, machine, argv[1], e));
    MU_TRY(mu_json_load(&config, argv[2], e));
    MU_TRY(mu_spec_from_config(s, config, argv[2], e));
    mu_machine_resize(m, 1, atoi(argv[3]));
out:
    json_decref(machine);
    json_decref(config);
    return rc;
}

static void print(const struct mu_cost_step *c)
{
    printf("%.6g compute %.4g memory %.4g comm %.4g launch %.4g\n", c->total, c->compute, c->memory, c->comm,
           c->launch);
}

int main(int argc, char **argv)
{
    struct mu_err e = MU_ERR_INIT;
    struct mu_spec s = MU_SPEC_INIT;
    struct mu_machine m;
    struct mu_cost_step step;
    struct mu_cost c;
    struct mu_workload w = {.batch = 1, .kv_dtype = MU_F32};
    bool is_decode = argc == 8 && strcmp(argv[5], "decode") == 0;

    if (argc != 7 + is_decode) {
        fprintf(stderr, "usage: predict_step MACHINE CONFIG RANKS FORMAT prefill TOKENS | decode CONTEXT BATCH\n");
        return 2;
    }
    if (open_all(&m, &s, argv, &e) != MU_OK || mu_wformat_from_name(&w.weights, argv[4], &e) != MU_OK)
        return fail(&e);
    struct mu_layout l = {.tp = atoi(argv[3]), .pp = 1, .dp = 1, .ep = 1};
    w.prompt = atoi(argv[6]);
    if (is_decode) {
        w.batch = atoi(argv[7]);
        if (mu_cost_step_of(&step, &s, &l, &m, &w, w.batch, w.prompt, w.batch, &e) != MU_OK)
            return fail(&e);
        print(&step);
    } else {
        if (mu_cost_of(&c, &s, &l, &m, &w, &e) != MU_OK)
            return fail(&e);
        print(&c.prefill);
    }
    mu_spec_fini(&s);
    return 0;
}
