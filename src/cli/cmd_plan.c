/* cmd_plan.c - `muster plan`: which layout a model should run in, what it takes, and why */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "cli/cmd.h"
#include "cli/plan_inputs.h"
#include "cli/print_json.h"
#include "model/model.h"
#include "plan/plan.h"
#include <muster/engine.h>

#define NAME_BYTES 256 /* of a model */

struct plan_args {
    const char *machine, *cluster, *task, *weights, *kv_dtype, *strategy, *layout;
    int64_t nodes, devices, prompt, output, batch, requests, shared, redundant_experts;
    uint64_t memory;
    bool all, json;
};

/* Nodes for a number of devices: a preset is as large as asked for, a cluster as large as it is. */
static int size_machine(struct mu_machine *m, const struct plan_args *a, bool is_preset, struct mu_err *e)
{
    int64_t nodes = a->nodes > 0 ? a->nodes : m->nodes;
    if (is_preset && a->nodes == 0 && a->devices > m->devices)
        nodes = (a->devices + m->devices - 1) / m->devices;
    if (!is_preset && a->nodes > m->nodes)
        return mu_fail(e, MU_EUSAGE, "--nodes %lld: %s has %d", (long long)a->nodes, m->name, m->nodes);
    if (a->devices > nodes * m->devices)
        return mu_fail(e, MU_EUSAGE, "--devices %lld: %lld nodes of %d have %lld", (long long)a->devices,
                       (long long)nodes, m->devices, (long long)nodes * m->devices);
    m->nodes = (int)nodes;
    return MU_OK;
}

static int get_machine(struct mu_machine *m, const struct plan_args *a, struct mu_err *e)
{
    char how[MU_PLAN_HOW_MAX];
    bool is_preset = a->machine != NULL;
    if (a->machine && a->cluster)
        return mu_fail(e, MU_EUSAGE, "--machine and --cluster were both given; a plan is for one machine");
    if (a->machine) {
        MU_TRY_RETURN(mu_machine_preset(m, a->machine, e));
    } else if (a->cluster) {
        MU_TRY_RETURN(mu_plan_machine_load(m, a->cluster, e));
    } else {
        MU_TRY_RETURN(mu_plan_machine_here(m, (int)a->devices, 0, how, e));
        fprintf(stderr, "machine: %s\n", how);
    }
    if (m->is_host && a->devices > 0) {
        if (a->devices > (int64_t)m->nodes * MU_NODE_DEVICES_MAX)
            return mu_fail(e, MU_EUSAGE, "--devices %lld: at most %d on a node", (long long)a->devices,
                           MU_NODE_DEVICES_MAX);
        mu_machine_resize(m, m->nodes, (int)((a->devices + m->nodes - 1) / m->nodes));
    }
    MU_TRY_RETURN(size_machine(m, a, is_preset, e));
    if (a->memory > 0)
        m->device.memory = (double)a->memory;
    return MU_OK;
}

static int get_formats(struct mu_workload *w, const char *model, const struct plan_args *a, const struct mu_spec *s,
                       const struct mu_machine *m, struct mu_err *e)
{
    w->kv_dtype = m->is_host ? MU_F32 : MU_BF16;
    MU_TRY_RETURN(mu_plan_weights(&w->weights, model, s, a->weights, e));
    if (a->kv_dtype)
        MU_TRY_RETURN(mu_kv_type_from_name(&w->kv_dtype, a->kv_dtype, e));
    return mu_model_check_kv(s, w->kv_dtype, e);
}

static void get_lengths(struct mu_workload *w, const struct plan_args *a, const struct mu_spec *s)
{
    bool generates = strcmp(a->task, "generate") == 0;
    w->output = a->output >= 0 ? a->output : generates ? MU_MIN(256, s->context / 4) : 0;
    w->prompt = a->prompt > 0 ? a->prompt : MU_MAX(MU_MIN(MU_WORK_PROMPT, s->context / 2), 1);
    w->scored = w->output > 0 ? 0 : MU_MIN(MU_WORK_SCORED, w->prompt);
    w->shared = a->shared;
    w->batch = a->batch;
    w->requests = a->requests;
    w->redundant_experts = (int)a->redundant_experts;
}

static int get_layout(struct mu_layout *l, const struct plan_args *a, const struct mu_machine *m, struct mu_err *e)
{
    int64_t devices = a->devices > 0 ? a->devices : (int64_t)m->nodes * m->devices;
    struct mu_layout alone;
    MU_TRY_RETURN(mu_layout_parse(&alone, a->layout, 0, e));
    if (strstr(a->layout, "dp=") || devices % ((int64_t)alone.tp * alone.pp) != 0) {
        *l = alone;
        return MU_OK;
    }
    return mu_layout_parse(l, a->layout, (int)devices, e);
}

static int show(const struct mu_plan *p, const struct mu_plan_ask *ask, const struct plan_args *a, const char *model,
                struct mu_err *e)
{
    struct mu_str last = mu_path_name(model);
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%.*s", (int)last.n, last.p);
    if (a->json)
        MU_TRY_RETURN(mu_print_json(mu_plan_json(p, ask, name, a->all), "the plan", e));
    else
        mu_plan_print(p, ask, name, a->all, stdout);
    if (p->is_refused)
        return mu_fail(e, MU_ENOMEM, "none of %d layouts fits %d devices", p->n_refused_in_all, p->devices);
    return MU_OK;
}

static int plan_run(void *args, int n_operands, char **operands, struct mu_err *e)
{
    const struct plan_args *a = args;
    struct mu_spec spec = MU_SPEC_INIT;
    struct mu_machine machine;
    struct mu_layout layout;
    struct mu_plan_ask ask = {.spec = &spec, .machine = &machine, .devices = (int)a->devices};
    struct mu_plan *p = NULL;
    int rc = MU_OK;

    if (n_operands != 1)
        return mu_fail(e, MU_EUSAGE, "plan takes one model, %d were given", n_operands);
    ask.is_weights_fixed = a->weights != NULL;
    MU_TRY(mu_strategy_from_name(&ask.strategy, a->strategy, e));
    MU_TRY(mu_plan_spec_open(&spec, operands[0], e));
    MU_TRY(get_machine(&machine, a, e));
    MU_TRY(get_formats(&ask.work, operands[0], a, &spec, &machine, e));
    get_lengths(&ask.work, a, &spec);
    if (a->layout && strcmp(a->layout, "auto") != 0) {
        MU_TRY(get_layout(&layout, a, &machine, e));
        ask.layout = &layout;
    }
    MU_TRY(mu_plan_make(&p, &ask, e));
    MU_TRY(show(p, &ask, a, operands[0], e));
out:
    mu_plan_free(p);
    mu_spec_fini(&spec);
    return rc;
}

static void plan_defaults(void *p)
{
    *(struct plan_args *)p = (struct plan_args){.task = "score", .strategy = "auto", .output = -1};
}

#define FIELD(name) offsetof(struct plan_args, name)

static const struct mu_opt plan_opts[] = {
    {MU_OPT_TEXT, "machine", 'm', FIELD(machine), "KIND",
     .help =
         "Nodes of eight GPUs of this kind: a100, a100-40, a100-pcie, a100-pcie-40, h100, h100-pcie, h200, h800, b200, "
         "gb200, v100, v100-16, t4; with -ethernet behind it, 100 Gb/s Ethernet between nodes.",
     .dflt = "this machine"},
    {MU_OPT_TEXT, "cluster", 0, FIELD(cluster), "FILE", .help = "A machine described in a file (docs/cluster.md)."},
    {MU_OPT_INT, "nodes", 0, FIELD(nodes), "N", .lo = 0, .hi = MU_NODES_MAX, .help = "Nodes.",
     .dflt = "what the devices need, or the file says"},
    {MU_OPT_INT, "devices", 'd', FIELD(devices), "N", .lo = 0, .hi = MU_COMM_RANKS_MAX,
     .help = "Use at most so many devices, over all nodes. On CPUs: so many ranks.", .dflt = "all"},
    {MU_OPT_SIZE, "memory", 0, FIELD(memory), "SIZE", .help = "What one rank may take of its device.",
     .dflt = "all of it"},
    {MU_OPT_TEXT, "task", 't', FIELD(task), "TASK", .choices = "score|generate",
     .help = "Score prompts, or generate behind them.", .dflt = "score"},
    {MU_OPT_INT, "prompt", 'p', FIELD(prompt), "N", .lo = 0, .hi = 1e6, .help = "Tokens of a prompt.", .dflt = "512"},
    {MU_OPT_INT, "output", 'o', FIELD(output), "N", .lo = 0, .hi = 1e6, .help = "Tokens generated.",
     .dflt = "0, or 256 with --task generate"},
    {MU_OPT_INT, "shared", 0, FIELD(shared), "N", .lo = 0, .hi = 1e6,
     .help = "Leading prompt tokens that all requests share.", .dflt = "0"},
    {MU_OPT_INT, "batch", 'b', FIELD(batch), "N", .lo = 0, .hi = 1e6, .help = "Sequences of one replica at a time.",
     .dflt = "what fits and is useful"},
    {MU_OPT_INT, "requests", 'r', FIELD(requests), "N", .lo = 0, .hi = 1e12,
     .help = "Requests in all; loading then counts in the choice.", .dflt = "no end"},
    {MU_OPT_INT, "redundant-experts", 0, FIELD(redundant_experts), "N", .lo = 0, .hi = MU_REDUNDANT_MAX,
     .help = "Copies a layer beyond one of each expert, for ranks that share experts (ep).", .dflt = "0"},
    {MU_OPT_TEXT, "weights", 'w', FIELD(weights), "FORMAT", .choices = "f32|bf16|f16|int8|int4",
     .help = "Hold the weights in this format and no other.",
     .dflt = "the checkpoint's own, then int8, then int4 where memory is short"},
    {MU_OPT_TEXT, "kv-dtype", 0, FIELD(kv_dtype), "TYPE", .choices = "f32|bf16|f16|int8",
     .help = "Type of the KV cache.", .dflt = "bf16 on GPUs, f32 on CPUs"},
    {MU_OPT_TEXT, "strategy", 's', FIELD(strategy), "NAME", .choices = "auto|tensor|pipeline|hybrid|data|expert",
     .help = "Which splits of a replica to look at; replicas fill the machine.", .dflt = "auto"},
    {MU_OPT_TEXT, "layout", 'l', FIELD(layout), "LAYOUT", .help = "Look at this one only, such as tp=4,pp=2.",
     .dflt = "auto"},
    {MU_OPT_FLAG, "all", 'a', FIELD(all), .help = "Show every rank, and all alternatives and refusals that are kept."},
    {MU_OPT_FLAG, "json", 0, FIELD(json), .help = "Print JSON for programs."},
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_plan = {
    .name = "plan",
    .summary = "choose how a model is laid out over devices",
    .operands = "MODEL",
    .story =
        "Looks at every way to share a model among devices (tensor, pipeline, data and expert parallel, any product of "
        "them, any number of devices), works out the memory of each rank and the time by parts, and shows the choice, "
        "why, the best alternatives, and what was refused and why. Nothing is loaded: a laptop can plan for a "
        "cluster.\n\n"
        "MODEL is a checkpoint folder, a config.json, a .gguf file, or a model known by name (muster models). The "
        "machine is one of known kinds, a file, or this one: its GPUs by hwloc and NVIDIA's management library where "
        "they are there, else its CPUs.\n\n"
        "Where memory is short a plan falls back in this order, and says so: a smaller batch, fewer replicas, more "
        "tensor and pipeline ranks, int8 weights, 4-bit weights. When nothing fits, the status is 7 and the sentence "
        "names the missing bytes.",
    .examples = "  muster plan Llama-2-70b --machine a100 --devices 6\n"
                "  muster plan DeepSeek-V3 --machine h200 --devices 16 --task generate\n"
                "  muster plan models/muster-llama-tiny --devices 2\n"
                "  muster plan config.json --cluster site.yaml --json | jq .plan.layout.text\n",
    .opts = plan_opts,
    .args_size = sizeof(struct plan_args),
    .defaults = plan_defaults,
    .run = plan_run,
};
