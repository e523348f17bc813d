/* visible_gpus.c - see visible_gpus.h */
#include "cli/visible_gpus.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "plan/machine.h"
#include "sched/slurm/words.h"

#define LIST_BYTES 8192 /* of one variable; a GPU's name has 40 */

struct mu_str mu_gpus_at(struct mu_str list, int place)
{
    struct mu_str name;
    do
        name = mu_slurm_next_word(&list, ", ");
    while (name.n > 0 && place-- > 0);
    return name;
}

static int narrow(const char *variable, int place, FILE *f, struct mu_err *e)
{
    const char *text = getenv(variable);
    char was[LIST_BYTES], own[LIST_BYTES];
    if (!text || strlen(text) >= sizeof was)
        return MU_OK;
    snprintf(was, sizeof was, "%s", text); /* setting it ends the old text */
    mu_slurm_keep(own, sizeof own, mu_gpus_at(mu_str(was), place));
    if (!own[0] || strcmp(own, was) == 0)
        return MU_OK;
    if (setenv(variable, own, 1) != 0)
        return mu_fail_nomem(e, strlen(own), variable);
    if (f)
        fprintf(f, "gpus    %s=%s of %s\n", variable, own, was);
    return MU_OK;
}

int mu_gpus_keep(const char *places, int rank, FILE *f, struct mu_err *e)
{
    static const char *const variables[] = {"CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"}; /* Slurm sets both */
    int64_t place;
    if (!mu_slurm_whole(mu_gpus_at(mu_str(places), rank), MU_NODE_DEVICES_MAX - 1, &place))
        return mu_fail(e, MU_EUSAGE, "--gpus \"%.100s\": rank %d needs a number from 0 to %d at its place", places,
                       rank, MU_NODE_DEVICES_MAX - 1);
    for (size_t i = 0; i < MU_COUNT(variables); i++)
        MU_TRY_RETURN(narrow(variables[i], (int)place, i == 0 ? f : NULL, e));
    return MU_OK;
}
