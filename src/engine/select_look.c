/* select_look.c - see select_look.h
 *
 * Memory and context are rated here and not refused: that is for the bill to say, which knows every byte and the ways
 * out. So what there is counts as no less than what is asked for. */
#include "engine/select_look.h"

#include <string.h>

#include <muster/model.h>

#include "base/check.h"
#include "base/memory_limit.h"
#include "comm/comm.h"
#include "model/spec.h"
#include "plan/bill.h"
#include "plan/machine.h"

#define CONCURRENCY_DEFAULT 8
#define READ_GUESS          1e9 /* bytes a second of a file, where nothing was measured */

/* Bytes a weight takes under the format asked for; 0: as in the files. */
static double format_bytes(const char *weights)
{
    static const double bytes[MU_WFORMAT_N] = {
        [MU_WF32] = 4, [MU_WBF16] = 2, [MU_WF16] = 2, [MU_WINT8] = 1, [MU_WINT4] = 0.5};
    enum mu_wformat f;
    return weights && mu_wformat_from_name(&f, weights, NULL) == MU_OK ? bytes[f] : 0;
}

static void look_at_model(struct mu_select_ask *ask, int64_t *context, uint64_t *file_bytes,
                          const struct mu_engine_opts *o)
{
    mu_model_card *card = NULL;
    struct mu_err none = MU_ERR_INIT;
    *context = 0, *file_bytes = 0;
    if (!o->model || mu_model_card_open(&card, o->model, &none) != MU_OK)
        return;
    const struct mu_model_facts *f = mu_model_card_facts(card);
    double each = format_bytes(o->weights);
    *context = f->context;
    *file_bytes = (uint64_t)f->n_bytes;
    ask->model_bytes = each > 0 ? (uint64_t)((double)f->n_params * each) : (uint64_t)f->n_bytes;
    if (ask->context == 0)
        ask->context = MU_MIN(f->context, MU_BILL_CONTEXT_WANTED);
    mu_model_card_close(card);
}

static uint64_t free_memory(const struct mu_engine_opts *o)
{
    size_t left = mu_memory_available(NULL);
    return o->memory_bytes_max ? o->memory_bytes_max : left / 10 * 9;
}

void mu_select_look(struct mu_select_ask *ask, struct mu_select_candidate *c, int n, const struct mu_engine_opts *o)
{
    int64_t context;
    uint64_t file_bytes, left = free_memory(o);
    double read = o->machine && o->machine->storage_rate > 0 ? o->machine->storage_rate : READ_GUESS;
    look_at_model(ask, &context, &file_bytes, o);
    ask->batch = o->work.requests;
    for (int i = 0; i < n; i++) {
        if (c[i].is_elsewhere) {
            c[i].at_a_time = o->concurrency > 0 ? o->concurrency : CONCURRENCY_DEFAULT;
            continue;
        }
        int nodes = strcmp(c[i].name, "distributed") == 0 ? mu_comm_nodes(o->world) : 1;
        c[i].bytes_free = left ? MU_MAX(left * (uint64_t)nodes, ask->model_bytes) : 0;
        c[i].context_max = context ? MU_MAX(context, ask->context) : 0;
        c[i].at_a_time = o->sequences_max > 0 ? o->sequences_max : MU_BILL_SEQUENCES_WANTED;
        c[i].start_s = (double)file_bytes / read;
    }
}
