/* seat_layout.c - the layout that was asked for, or the smallest tensor group that fits, replicated
 *
 * For work that is scored offline replicas that do not wait for each other win wherever the model fits one of them. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "engine/agree.h"
#include "engine/seat.h"

static int sharers(const struct mu_comm *world)
{
    int n = 0;
    for (int r = 0; r < mu_comm_size(world); r++)
        n += mu_comm_node(world, r) == mu_comm_node(world, mu_comm_rank(world));
    return n;
}

/* Whether one rank's part fits the share of memory that rank 0 has. */
static int does_rank_fit(struct mu_seat *s, const struct mu_layout *l, int rank, bool *fits, struct mu_err *e)
{
    struct mu_light_parts parts = s->parts;
    struct mu_light_model model;
    struct mu_shard shard;
    struct mu_bill bill;
    mu_layout_shard(l, s->model.spec, rank, &shard);
    MU_TRY_RETURN(mu_light_parts_model(&parts, &model, &s->opts, &shard, e));
    int rc = mu_light_bill_make(&bill, &s->opts, &parts, sharers(s->world), rank > 0, e);
    parts.runner->ops->close(parts.runner);
    *fits = rc == MU_OK && bill.fits;
    return rc;
}

/* Tensor ranks alone, as few as fit; where none fits the largest legal group, whose bill says what is missing. */
static int choose(struct mu_seat *s, struct mu_layout *out, struct mu_err *e)
{
    int ranks = mu_comm_size(s->world);
    for (int tp = 1; tp <= ranks; tp++) {
        struct mu_layout l = {.dp = ranks / tp, .pp = 1, .tp = tp, .ep = 1};
        bool fits = true;
        if (ranks % tp != 0 || mu_layout_check(&l, s->model.spec, NULL) != MU_OK)
            continue;
        mu_layout_cut_stages(&l, s->model.spec);
        *out = l;
        for (int r = 0; r < tp && fits; r++)
            MU_TRY_RETURN(does_rank_fit(s, &l, r, &fits, e));
        if (fits)
            return MU_OK;
    }
    return MU_OK;
}

/* What cannot run is refused; what wastes ranks was asked for, and is said. */
static int check(const struct mu_layout *l, const struct mu_spec *spec, struct mu_err *e)
{
    struct mu_err waste = MU_ERR_INIT;
    MU_TRY_RETURN(mu_layout_check_shape(l, spec, e));
    if (mu_layout_check(l, spec, &waste) != MU_OK)
        mu_log(MU_LOG_WARN, "%s", waste.text);
    return MU_OK;
}

static int decide(struct mu_seat *s, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("the layout", MU_LAYOUT_TEXT_MAX - 1);
    struct mu_layout l;
    const char *asked = s->start.layout;
    bool is_auto = !asked[0] || strcmp(asked, "auto") == 0;
    int rc;
    MU_TRY(is_auto ? choose(s, &l, e) : mu_layout_parse(&l, asked, mu_comm_size(s->world), e));
    MU_TRY(check(&l, s->model.spec, e));
    if (mu_layout_ranks(&l) != mu_comm_size(s->world)) {
        rc = mu_fail(e, MU_EUSAGE, "layout %s is for %d ranks and there are %d", asked, mu_layout_ranks(&l),
                     mu_comm_size(s->world));
        goto out;
    }
    MU_TRY(mu_layout_print(&l, &text, e));
    snprintf(s->layout_text, sizeof s->layout_text, "%s", text.p);
out:
    mu_buf_fini(&text);
    return rc;
}

int mu_seat_settle_layout(struct mu_seat *s, struct mu_err *e)
{
    int rank = mu_comm_rank(s->world);
    s->model.spec = &s->parts.checkpoint->spec;
    int rc = rank == 0 ? decide(s, e) : MU_OK;
    MU_TRY_RETURN(mu_agree(s->world, rc, e));
    MU_TRY_RETURN(mu_comm_broadcast(s->world, s->layout_text, sizeof s->layout_text, 0, e));
    rc = mu_layout_parse(&s->layout, s->layout_text, mu_comm_size(s->world), e);
    MU_TRY_RETURN(mu_agree(s->world, rc, e));
    mu_layout_cut_stages(&s->layout, s->model.spec);
    s->place = mu_layout_place_of(&s->layout, rank);
    return MU_OK;
}
