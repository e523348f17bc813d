/* campaign_plan_page.c - see campaign_plan_page.h */
#include "cli/campaign_plan_page.h"

#include <stdio.h>

#include "base/check.h"
#include "cli/campaign_place.h"
#include "cli/campaign_predict.h"
#include "cli/campaign_world.h"
#include "cli/print_json.h"

struct page {
    const struct mu_campaign *c;
    struct mu_campaign_machine machine;
    struct mu_campaign_predictor predictor;
    struct mu_campaign_plan *plan;
    struct mu_campaign_places places;
};

static int look(struct page *x, const char *launcher, int64_t devices, struct mu_err *e)
{
    struct mu_campaign_world world = mu_campaign_world_here();
    MU_TRY_RETURN(mu_campaign_machine_look(&x->machine, x->c, launcher, devices, 0, e));
    MU_TRY_RETURN(mu_campaign_predictor_open(&x->predictor, x->c, devices, e));
    world.arg = &x->predictor;
    world.predict = mu_campaign_predict;
    MU_TRY_RETURN(mu_campaign_plan(x->c, &world, &x->plan, e));
    return mu_campaign_place(&x->places, x->c, x->plan, &x->machine, e);
}

/* ---- for people ---- */

static void print_seconds(double s)
{
    if (s < 0)
        printf("  %9s", "unknown");
    else
        printf("  %8.*fs", s < 10, s);
}

static void print_row(const struct page *x, int i)
{
    const struct mu_campaign_plan_row *r = &x->plan->row[i];
    const struct mu_campaign_task *t = &x->c->task[r->task];
    char where[96];
    printf("  %4d  %-40s  %-10s  %7d", i + 1, t->id, mu_priority_name(t->urgency), MU_MAX(r->devices, 1));
    print_seconds(r->seconds);
    if (x->places.is_known) {
        print_seconds(x->places.seat[i].is_placed ? x->places.seat[i].start_s : -1);
        printf("  %-*s", t->n_wait > 0 ? 10 : 0, mu_campaign_seat_text(where, &x->places.seat[i], &x->machine));
    }
    for (int w = 0; w < t->n_wait; w++)
        printf("%s%s", w ? ", " : "  ", x->c->set[t->wait[w]].pattern);
    printf("\n");
}

static void print_sums(const struct page *x)
{
    const struct mu_campaign_plan *p = x->plan;
    const struct mu_campaign_places *s = &x->places;
    printf("machine: %s\n", x->predictor.how);
    if (p->n_unknown < p->n)
        printf("predicted: %.0f s one after the other, %.0f s of waits at least, %.2f device hours\n", p->seconds,
               p->chain_s, p->gpu_hours);
    if (s->is_known)
        printf("placed: %.0f s to the end of the last task by %s on %d device%s, %.0f%% of their time used\n",
               s->makespan_s, s->strategy, x->machine.n_devices, x->machine.n_devices == 1 ? "" : "s",
               100 * s->utilisation);
    else
        printf("not placed: %s\n", s->why);
    if (p->n_unknown > 0)
        printf(
            "unknown: of models behind an endpoint, models that fit on no number of devices, suites whose data is not "
            "here\n");
}

static void print_page(const struct page *x)
{
    const struct mu_campaign_plan *p = x->plan;
    printf("%s: %d tasks, %d models, %d suites, results in %s\n", x->c->name, p->n, x->c->n_models, x->c->n_suites,
           x->c->output);
    printf("  %4s  %-40s  %-10s  %7s  %9s", "", "task", "priority", "devices", "predicted");
    if (x->places.is_known)
        printf("  %9s  %-10s", "starts at", "on");
    printf("  %s\n", "waits for");
    for (int i = 0; i < p->n; i++)
        print_row(x, i);
    print_sums(x);
}

/* ---- for programs ---- */

static json_t *known(double s)
{
    return s < 0 ? json_null() : json_real(s);
}

static json_t *row_json(const struct page *x, int i)
{
    const struct mu_campaign_plan_row *r = &x->plan->row[i];
    const struct mu_campaign_task *t = &x->c->task[r->task];
    const struct mu_campaign_seat *s = x->places.is_known ? &x->places.seat[i] : NULL;
    json_t *o = json_pack("{s:s, s:s, s:i, s:i, s:o}", "task", t->id, "priority", mu_priority_name(t->urgency), "depth",
                          r->depth, "devices", r->devices, "seconds", known(r->seconds));
    if (o && s && s->is_placed) {
        json_t *on = json_array();
        for (int d = 0; d < s->n; d++)
            json_array_append_new(on, json_integer(s->device[d]));
        json_object_set_new(o, "starts_s", json_real(s->start_s));
        json_object_set_new(o, "on", on);
    }
    return o;
}

static int print_json(const struct page *x, struct mu_err *e)
{
    const struct mu_campaign_plan *p = x->plan;
    json_t *rows = json_array();
    for (int i = 0; i < p->n; i++)
        json_array_append_new(rows, row_json(x, i));
    return mu_print_json(json_pack("{s:s, s:s, s:i, s:i, s:i, s:f, s:f, s:f, s:o, s:o}", "campaign", x->c->name,
                                   "output", x->c->output, "tasks", p->n, "without_prediction", p->n_unknown, "devices",
                                   x->machine.n_devices, "seconds", p->seconds, "chain_s", p->chain_s, "device_hours",
                                   p->gpu_hours, "makespan_s", known(x->places.is_known ? x->places.makespan_s : -1),
                                   "order", rows),
                         "the plan", e);
}

int mu_campaign_show_plan(const struct mu_campaign *c, const char *launcher, int64_t devices, bool as_json,
                          struct mu_err *e)
{
    struct page x = {.c = c};
    int rc = look(&x, launcher, devices, e);
    if (rc == MU_OK && as_json)
        rc = print_json(&x, e);
    else if (rc == MU_OK)
        print_page(&x);
    mu_campaign_places_release(&x.places);
    mu_campaign_plan_free(x.plan);
    mu_campaign_predictor_release(&x.predictor);
    mu_campaign_machine_release(&x.machine);
    return rc;
}
