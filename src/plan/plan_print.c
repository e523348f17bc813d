/* plan_print.c - a plan for people */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "plan/bill.h"
#include "plan/plan_int.h"

#define SHOWN_ALTERNATIVES 5
#define SHOWN_REFUSED      6

static const char *plural(int n)
{
    return n == 1 ? "" : "s";
}

static char *time_text(char buf[24], double s)
{
    if (s < 1e-3)
        snprintf(buf, 24, "%.0f us", s * 1e6);
    else if (s < 1)
        snprintf(buf, 24, "%.3g ms", s * 1e3);
    else if (s < 600)
        snprintf(buf, 24, "%.3g s", s);
    else if (s < 36000)
        snprintf(buf, 24, "%.0f min", s / 60);
    else
        snprintf(buf, 24, "%.1f h", s / 3600);
    return buf;
}

/* "68.98 G", "0.26 M" */
static char *count_text(char buf[24], int64_t n)
{
    snprintf(buf, 24, n >= 1000000000 ? "%.2f G" : "%.2f M", (double)n * (n >= 1000000000 ? 1e-9 : 1e-6));
    return buf;
}

static void print_head(const struct mu_plan *p, const struct mu_plan_ask *ask, const char *name, FILE *f)
{
    const struct mu_machine *m = ask->machine;
    char memory[24], count[24];
    fprintf(f, "%s, %s parameters", name, count_text(count, ask->spec->n_params));
    if (ask->spec->n_params_active != ask->spec->n_params)
        fprintf(f, " (%s a token)", count_text(count, ask->spec->n_params_active));
    fprintf(f, ", on %d of %d node%s x %d %s, %s each\n", p->devices, m->nodes, plural(m->nodes), m->devices,
            m->device.name[0] ? m->device.name : "devices", mu_bytes_text(memory, (size_t)m->device.memory));
    fprintf(f, "%s %" PRId64 " prompt and %" PRId64 " output tokens a request\n\n",
            ask->work.output > 0 ? "generating:" : "scoring:", ask->work.prompt, ask->work.output);
}

static void print_choice(const struct mu_plan_choice *c, FILE *f)
{
    const struct mu_layout *l = &c->layout;
    char text[64];
    int replicas = mu_layout_replicas(l), lanes = mu_layout_lanes(l);
    fprintf(f, "plan      %s: %d replica%s of %d device%s, batch %" PRId64 "%s, %s weights, %s KV cache\n",
            plan_layout_text(text, l), replicas, plural(replicas), l->tp * l->pp * lanes, plural(l->tp * l->pp * lanes),
            c->work.batch, lanes > 1 ? " a lane" : "", mu_wformat_name(c->work.weights),
            mu_kv_type_name(c->work.kv_dtype));
    if (l->ep > 1)
        fprintf(f, "          attention: %d group%s of %d rank%s; experts: %d group%s of %d ranks\n", l->dp * l->pp,
                plural(l->dp * l->pp), l->tp, plural(l->tp), replicas * l->pp, plural(replicas * l->pp), l->tp * lanes);
    if (l->pp == 1)
        return;
    fprintf(f, "          layers of the stages:");
    for (int i = 0; i < l->pp; i++)
        fprintf(f, " %d", l->stage_end[i] - (i > 0 ? l->stage_end[i - 1] : 0));
    fprintf(f, "\n");
}

static void print_line(const char *name, size_t bytes, const char *note, FILE *f)
{
    char text[24];
    if (bytes > 0)
        fprintf(f, "  %-12s %10s  %s\n", name, mu_bytes_text(text, bytes), note);
}

static void print_bill(const struct mu_plan_choice *c, const struct mu_machine *m, FILE *f)
{
    const struct mu_rank_bill *b = &c->bill;
    struct mu_layout_place at = mu_layout_place_of(&c->layout, c->fullest);
    char note[96], all[24];
    fprintf(f, "\nmemory of the fullest rank (%d: stage %d, lane %d, tensor rank %d)\n", c->fullest, at.stage, at.lane,
            at.t);
    snprintf(note, sizeof note, "%s", mu_wformat_name(c->work.weights));
    if (b->weights_holders > 1)
        snprintf(note, sizeof note, "%s, a share of one copy for %d ranks", mu_wformat_name(c->work.weights),
                 b->weights_holders);
    print_line("weights", b->weights, note, f);
    snprintf(note, sizeof note, "%" PRId64 " pages of %d tokens", c->limits.pages, MU_KV_PAGE);
    print_line("KV cache", b->kv, note, f);
    snprintf(note, sizeof note, "%" PRId64 " rows", c->limits.rows);
    print_line("activations", b->activations, note, f);
    print_line("work", b->work, "scratch of operations", f);
    snprintf(note, sizeof note, "%" PRId64 " rows", c->limits.logit_rows);
    print_line("logits", b->logits, note, f);
    print_line("comm", b->comm, "buffers of its groups", f);
    print_line("runtime", b->runtime,
               m->is_host ? "program, libraries, bookkeeping" : "context, kernels, unusable rests", f);
    snprintf(note, sizeof note, "of %s, %.0f%%", mu_bytes_text(all, (size_t)m->device.memory),
             100 * (double)b->total / m->device.memory);
    print_line("in all", b->total, note, f);
}

static void print_ranks(const struct mu_plan_choice *c, const struct mu_plan_ask *ask, FILE *f)
{
    int n = mu_layout_ranks(&c->layout) / mu_layout_replicas(&c->layout);
    char weights[24], kv[24], total[24];
    fprintf(f, "\nranks of a replica\n  %5s %6s %5s %7s %12s %12s %12s\n", "rank", "stage", "lane", "tensor", "weights",
            "KV cache", "in all");
    for (int r = 0; r < n; r++) {
        struct mu_layout_place at = mu_layout_place_of(&c->layout, r);
        struct mu_rank_bill b;
        mu_plan_rank_bill(&b, c, ask->spec, ask->machine, r);
        fprintf(f, "  %5d %6d %5d %7d %12s %12s %12s\n", r, at.stage, at.lane, at.t, mu_bytes_text(weights, b.weights),
                mu_bytes_text(kv, b.kv), mu_bytes_text(total, b.total));
    }
}

static void print_step(const char *name, const struct mu_cost_step *t, FILE *f)
{
    char text[6][24];
    fprintf(f, "  %-8s %10s %10s %10s %10s %10s %10s\n", name, time_text(text[0], t->compute),
            time_text(text[1], t->memory), time_text(text[2], t->comm), time_text(text[3], t->bubble),
            time_text(text[4], t->launch), time_text(text[5], t->total));
}

static void print_time(const struct mu_plan_choice *c, FILE *f)
{
    char load[24], all[24];
    fprintf(f, "\ntime, by the constants of %s\n  %-8s %10s %10s %10s %10s %10s %10s\n", c->work.engine->name, "",
            "compute", "memory", "comm", "bubble", "launch", "in all");
    print_step("prefill", &c->cost.prefill, f);
    if (c->cost.decode.total > 0)
        print_step("decode", &c->cost.decode, f);
    fprintf(f, "  %.1f requests/s, %.0f tokens/s", c->requests_per_s, c->cost.tokens_per_s);
    if (c->work.output > 0)
        fprintf(f, ", %.0f of them output", c->cost.output_per_s);
    if (c->cost.load_s > 0)
        fprintf(f, "; loading %s", time_text(load, c->cost.load_s));
    if (c->work.requests > 0)
        fprintf(f, "; %" PRId64 " requests %s", c->work.requests, time_text(all, c->cost.total_s));
    fprintf(f, "\n");
}

static void print_alternatives(const struct mu_plan *p, int most, FILE *f)
{
    int n = MU_MIN(p->n_alternatives, most);
    char layout[64], memory[24];
    if (n == 0)
        return;
    fprintf(f, "\nalternatives (%d layout%s fit)\n  %-24s %6s %6s %12s %12s %8s\n", p->n_fit, p->n_fit == 1 ? "" : "s",
            "layout", "batch", "idle", "memory", "tokens/s", "rate");
    for (int i = 0; i < n; i++) {
        const struct mu_plan_choice *c = &p->alternatives[i];
        fprintf(f, "  %-24s %6" PRId64 " %6d %12s %12.0f %7.0f%%\n", plan_layout_text(layout, &c->layout),
                c->work.batch, c->idle, mu_bytes_text(memory, c->bill.total), c->cost.tokens_per_s,
                100 * c->requests_per_s / p->choice.requests_per_s);
    }
}

static void print_refused(const struct mu_plan *p, int most, FILE *f)
{
    char layout[64];
    int n = MU_MIN(p->n_refused, most);
    if (n == 0)
        return;
    fprintf(f, "\nrefused (%d)\n", p->n_refused_in_all);
    for (int i = 0; i < n; i++)
        fprintf(f, "  %s: %s\n", plan_layout_text(layout, &p->refused[i].layout), p->refused[i].why);
    if (p->n_refused_in_all > n)
        fprintf(f, "  and %d more\n", p->n_refused_in_all - n);
}

void mu_plan_print(const struct mu_plan *p, const struct mu_plan_ask *ask, const char *name, bool all, FILE *f)
{
    print_head(p, ask, name, f);
    if (p->is_refused) {
        fprintf(f, "%s\n", p->refusal);
        print_refused(p, all ? MU_PLAN_REFUSED_MAX : SHOWN_REFUSED, f);
        return;
    }
    print_choice(&p->choice, f);
    for (int i = 0; i < p->n_reasons; i++)
        fprintf(f, "%s%s\n", i == 0 ? "why       " : "          ", p->reasons[i]);
    print_bill(&p->choice, ask->machine, f);
    if (all)
        print_ranks(&p->choice, ask, f);
    print_time(&p->choice, f);
    print_alternatives(p, all ? MU_PLAN_ALTERNATIVES_MAX : SHOWN_ALTERNATIVES, f);
    print_refused(p, all ? MU_PLAN_REFUSED_MAX : SHOWN_REFUSED, f);
}

/* ---- predicted against measured ---- */

static const char *rate_text(char buf[24], double tokens_per_s)
{
    snprintf(buf, 24, tokens_per_s < 100 ? "%.1f" : "%.0f", tokens_per_s);
    return buf;
}

static double off_percent(double measured, double predicted)
{
    return 100 * (measured / predicted - 1);
}

char *mu_plan_seen_text(char buf[256], const struct mu_plan_seen *seen)
{
    char a[24], b[24];
    int n = 0;
    buf[0] = 0;
    if (seen->tokens_measured > 0 && seen->tokens_predicted > 0)
        n = snprintf(buf, 256, "predicted %s tokens/s, measured %s (%+.0f%%)", rate_text(a, seen->tokens_predicted),
                     rate_text(b, seen->tokens_measured), off_percent(seen->tokens_measured, seen->tokens_predicted));
    if (seen->bytes_measured > 0 && seen->bytes_predicted > 0)
        snprintf(buf + n, (size_t)(256 - n), "%spredicted %s, measured %s (%+.0f%%)", n > 0 ? "; " : "",
                 mu_bytes_text(a, (size_t)seen->bytes_predicted), mu_bytes_text(b, (size_t)seen->bytes_measured),
                 off_percent(seen->bytes_measured, seen->bytes_predicted));
    return buf;
}
