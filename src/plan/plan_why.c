/* plan_why.c - the choice in sentences: why it, and what was given up on the way, in the order of falling back */
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "plan/bill.h"
#include "plan/plan_int.h"

void plan_say(struct mu_plan *p, const char *fmt, ...)
{
    va_list ap;
    if (p->n_reasons == MU_PLAN_REASONS_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(p->reasons[p->n_reasons++], MU_PLAN_TEXT_MAX, fmt, ap);
    va_end(ap);
}

const char *plan_layout_text(char buf[64], const struct mu_layout *l)
{
    int n = snprintf(buf, 64, "tp=%d", l->tp);
    if (l->pp > 1)
        n += snprintf(buf + n, (size_t)(64 - n), ",pp=%d", l->pp);
    if (l->dp > 1)
        n += snprintf(buf + n, (size_t)(64 - n), ",dp=%d", l->dp);
    if (l->ep > 1)
        n += snprintf(buf + n, (size_t)(64 - n), ",ep=%d", l->ep);
    if (l->cp > 1)
        snprintf(buf + n, (size_t)(64 - n), ",cp=%d", l->cp);
    return buf;
}

static void why_this(const struct plan_search *s)
{
    const struct mu_plan_choice *c = &s->p->choice;
    char layout[64], other[64];
    if (s->ask->layout) {
        plan_say(s->p, "%s was asked for", plan_layout_text(layout, &c->layout));
        return;
    }
    if (s->p->n_alternatives == 0) {
        plan_say(s->p, "%s is the only layout of %d that fits", plan_layout_text(layout, &c->layout),
                 s->p->n_fit + s->p->n_refused_in_all);
        return;
    }
    const struct mu_plan_choice *next = &s->p->alternatives[0];
    double gain = c->requests_per_s / next->requests_per_s;
    plan_layout_text(other, &next->layout);
    if (gain >= 1)
        plan_say(s->p, "%s is predicted to be the fastest of %d layouts that fit: %.2f times %s",
                 plan_layout_text(layout, &c->layout), s->p->n_fit, gain, other);
    else
        plan_say(s->p, "%s is predicted within %.0f%% of the fastest, %s, and fewer ranks wait for each other",
                 plan_layout_text(layout, &c->layout), 100 * (1 - gain) + 0.5, other);
}

static void say_batch(const struct plan_search *s)
{
    const struct mu_workload *c = &s->p->choice.work, *asked = &s->ask->work;
    long long tokens = (long long)(c->prompt + c->output);
    if (asked->batch > 0 && c->batch < asked->batch)
        plan_say(s->p, "batch %lld instead of %lld: more sequences of %lld tokens do not fit beside the weights",
                 (long long)c->batch, (long long)asked->batch, tokens);
    else if (asked->batch == 0)
        plan_say(s->p, "batch %lld: %s", (long long)c->batch,
                 asked->requests > 0 && c->batch >= asked->requests
                     ? "all requests"
                     : "chosen: of the batches that fit, more would gain less than a fiftieth");
}

static void say_replicas(const struct plan_search *s)
{
    const struct mu_plan_choice *c = &s->p->choice;
    int replicas = mu_layout_replicas(&c->layout), group = mu_layout_ranks(&c->layout) / replicas;
    char missing[24];
    if (group == 1 || !s->has_data)
        return;
    if (s->data_missing > 0)
        plan_say(s->p, "%d replica%s of %d devices instead of %d of one: one device lacks %s with a single sequence",
                 replicas, replicas > 1 ? "s" : "", group, s->p->devices,
                 mu_bytes_text(missing, (size_t)s->data_missing));
    else
        plan_say(s->p,
                 "%d replica%s of %d devices instead of %d of one: on one device only batch %lld fits, predicted "
                 "%.2f times slower",
                 replicas, replicas > 1 ? "s" : "", group, s->p->devices, (long long)s->data.work.batch,
                 c->requests_per_s / s->data.requests_per_s);
}

/* Heads that tensor ranks hold of the first layer: sums are cut at the halves of their tree where that is near. */
static void head_runs(const struct mu_layout *l, const struct mu_spec *s, int64_t *least, int64_t *most)
{
    *least = INT64_MAX, *most = 0;
    for (int t = 0; t < l->tp; t++) {
        struct mu_shard sh = {.tp_rank = t, .tp_size = l->tp, .n_lanes = 1};
        int64_t n = mu_shard_heads(&sh, &s->layers[0]).n;
        *least = MU_MIN(*least, n);
        *most = MU_MAX(*most, n);
    }
}

static void say_split(const struct plan_search *s)
{
    const struct mu_layout *l = &s->p->choice.layout;
    const struct mu_layer_spec *a = &s->ask->spec->layers[0];
    int64_t least, most;

    head_runs(l, s->ask->spec, &least, &most);
    if (least != most)
        plan_say(s->p, "%d heads over tp=%d are uneven: ranks hold %lld to %lld", a->n_heads, l->tp, (long long)least,
                 (long long)most);
    if (l->tp > 1 && a->attn == MU_ATTN_GROUPED && l->tp > a->n_kv_heads)
        plan_say(s->p, "tp=%d is above the %d KV heads, so each is on several ranks", l->tp, a->n_kv_heads);
    if (l->tp > 1 && a->attn == MU_ATTN_LATENT)
        plan_say(s->p, "the latent KV cache is whole on every tensor rank: its one head cannot be cut");
    if (l->pp > 1 && s->ask->spec->n_layers % l->pp != 0)
        plan_say(s->p, "%d layers over pp=%d are uneven: the first stage holds %d, the last %d", s->ask->spec->n_layers,
                 l->pp, l->stage_end[0], s->ask->spec->n_layers - l->stage_end[l->pp - 2]);
}

static void say_copies(const struct plan_search *s)
{
    const struct mu_layout *l = &s->p->choice.layout;
    int experts = mu_layout_experts(s->ask->spec), copies = s->ask->work.redundant_experts;
    int ranks = l->tp * mu_layout_lanes(l);
    if (copies > 0)
        plan_say(s->p, "%d redundant experts a layer: each rank holds %d, not %d", copies, (experts + copies) / ranks,
                 (experts + ranks - 1) / ranks);
}

static void say_format(const struct plan_search *s, enum mu_wformat wanted)
{
    if (s->format != wanted)
        plan_say(s->p, "%s weights instead of %s: under %s no layout of %d devices fits, even with one sequence",
                 mu_wformat_name(s->format), mu_wformat_name(wanted), mu_wformat_name(wanted), s->p->devices);
}

static void say_idle(const struct plan_search *s)
{
    if (s->p->choice.idle > 0 && !s->ask->layout)
        plan_say(s->p, "%d of %d devices stay idle: no layout that uses all of them fits", s->p->choice.idle,
                 s->p->devices);
    else if (s->p->choice.idle > 0)
        plan_say(s->p, "%d of %d devices stay idle under the layout asked for", s->p->choice.idle, s->p->devices);
}

void plan_explain(const struct plan_search *s, enum mu_wformat wanted)
{
    why_this(s);
    say_batch(s);
    say_replicas(s);
    say_split(s);
    say_copies(s);
    say_format(s, wanted);
    say_idle(s);
}
