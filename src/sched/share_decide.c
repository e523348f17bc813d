/* share_decide.c - what is due to each of several campaigns (share.h) */
#include <math.h>

#include "base/check.h"
#include "sched/share.h"

#define HALF_WAY 1e-9 /* of a device: shares are sums of quotients */

struct books {
    const struct mu_share_member *member;
    int n, n_devices;
    double lag; /* in device-seconds over weight */
    int cap[MU_SHARE_MEMBERS_MAX], due[MU_SHARE_MEMBERS_MAX];
};

static bool is_active(const struct mu_share_member *m)
{
    return m->want > 0;
}

static double weight_of(const struct mu_share_member *m)
{
    return m->owes ? m->weight / 2 : m->weight;
}

/* The lowest pass of the others that want devices; INFINITY: there are none. */
static double lowest_pass(const struct books *b, int self, bool with_devices)
{
    double least = INFINITY;
    for (int i = 0; i < b->n; i++)
        if (i != self && is_active(&b->member[i]) && (!with_devices || b->member[i].held > 0))
            least = fmin(least, b->member[i].pass_s);
    return least;
}

static void set_lag(struct books *b)
{
    double weights = 0;
    for (int i = 0; i < b->n; i++)
        weights += is_active(&b->member[i]) ? b->member[i].weight : 0;
    b->lag = weights > 0 ? MU_SHARE_LAG_S * b->n_devices / weights : 0;
}

/* ---- shares ---- */

/* Water-filling: whoever wants less than its share of what is left has what it wants, and the rest is shared anew. */
static void fill_shares(const struct books *b, double left, double share[MU_SHARE_MEMBERS_MAX])
{
    bool is_full[MU_SHARE_MEMBERS_MAX] = {false};
    for (bool goes_on = true; goes_on;) {
        double weights = 0;
        goes_on = false;
        for (int i = 0; i < b->n; i++)
            weights += is_full[i] ? 0 : weight_of(&b->member[i]);
        for (int i = 0; i < b->n && !goes_on; i++) {
            if (is_full[i])
                continue;
            share[i] = left * weight_of(&b->member[i]) / weights;
            if (share[i] < b->cap[i])
                continue;
            share[i] = b->cap[i];
            left -= b->cap[i];
            is_full[i] = goes_on = true;
        }
    }
}

/* Who gets the next odd device; -1: nobody wants it. */
static int next_odd(const struct books *b, const bool has_odd[MU_SHARE_MEMBERS_MAX])
{
    int best = -1;
    double best_pass = INFINITY;
    for (int i = 0; i < b->n; i++) {
        const struct mu_share_member *m = &b->member[i];
        double pass = m->pass_s - (m->held > b->due[i] ? b->lag : 0);
        if (has_odd[i] || b->due[i] >= b->cap[i] || pass >= best_pass)
            continue;
        best = i;
        best_pass = pass;
    }
    return best;
}

static void share_out(struct books *b, int devices)
{
    double share[MU_SHARE_MEMBERS_MAX] = {0};
    bool has_odd[MU_SHARE_MEMBERS_MAX] = {false};
    int wanted = 0, given = 0, next;
    fill_shares(b, devices, share);
    for (int i = 0; i < b->n; i++) {
        b->due[i] = MU_MIN((int)floor(share[i] + HALF_WAY), b->cap[i]);
        wanted += b->cap[i];
        given += b->due[i];
    }
    for (; given < MU_MIN(wanted, devices) && (next = next_odd(b, has_odd)) >= 0; given++) {
        b->due[next]++;
        has_odd[next] = true;
    }
}

/* Shares out, and again where one could do nothing with what it would get beyond what is at work already. `without`
 * (-1: none) has its devices apart. */
static void share_out_usable(struct books *b, int devices, int without)
{
    bool goes_on = true;
    for (int i = 0; i < b->n; i++)
        b->cap[i] = i == without ? 0 : MU_MIN(MU_MAX(b->member[i].want, 0), b->n_devices);
    while (goes_on) {
        goes_on = false;
        share_out(b, devices);
        for (int i = 0; i < b->n && !goes_on; i++) {
            const struct mu_share_member *m = &b->member[i];
            if (b->due[i] <= m->busy || b->due[i] >= m->busy + m->narrow)
                continue;
            b->cap[i] = m->busy;
            goes_on = true;
        }
    }
}

/* ---- turns ---- */

static int find_turn(const struct books *b)
{
    for (int i = 0; i < b->n; i++)
        if (b->member[i].has_turn && b->member[i].wide > 0)
            return i;
    return -1;
}

/* Whether this one may claim the turn: it waits for a wide task, owes nothing, and nobody who waits so had less. */
static bool may_claim(const struct books *b, int self, bool owes)
{
    const struct mu_share_member *m = &b->member[self];
    if (owes || m->wide <= b->due[self] || m->wide > b->n_devices)
        return false;
    for (int i = 0; i < b->n; i++) {
        const struct mu_share_member *o = &b->member[i];
        if (i != self && o->wide > b->due[i] && !o->owes && o->pass_s < m->pass_s)
            return false;
    }
    return true;
}

static void give_turn(struct books *b, int turn)
{
    int wide = MU_MIN(b->member[turn].wide, b->n_devices);
    if (wide <= b->due[turn])
        return;
    share_out_usable(b, b->n_devices - wide, turn);
    b->due[turn] = wide;
}

/* ---- acting ---- */

static bool new_debt(const struct books *b, int self, double pass_s)
{
    const struct mu_share_member *m = &b->member[self];
    double least = lowest_pass(b, self, false);
    return is_active(m) && pass_s > least + (m->owes ? 0 : b->lag);
}

static void act(struct mu_share_due *out, const struct books *b, int self)
{
    int free = b->n_devices, lacking = 0;
    bool is_poor = false;
    for (int i = 0; i < b->n; i++) {
        const struct mu_share_member *m = &b->member[i];
        free -= m->held;
        lacking += MU_MAX(b->due[i] - m->held, 0);
        is_poor |= i != self && 2 * m->held < b->due[i];
    }
    int over = b->member[self].held - b->due[self];
    out->due = b->due[self];
    out->take = MU_MAX(MU_MIN(-over, free), 0);
    out->give = MU_MAX(MU_MIN(over, lacking - MU_MAX(free, 0)), 0);
    out->is_pressed = out->give > 0 && is_poor;
}

void mu_share_decide(struct mu_share_due *out, const struct mu_share_member *member, int n, int self, int n_devices)
{
    struct books b = {.member = member, .n = n, .n_devices = n_devices};
    const struct mu_share_member *m = &member[self];
    double floor_s = lowest_pass(&b, self, true);
    *out = (struct mu_share_due){.pass_s = m->pass_s};
    set_lag(&b);
    if (!m->has_waited && floor_s < INFINITY)
        out->pass_s = fmax(m->pass_s, floor_s);
    out->owes = new_debt(&b, self, out->pass_s);
    share_out_usable(&b, n_devices, -1);
    int turn = find_turn(&b);
    if (turn < 0 && may_claim(&b, self, out->owes))
        turn = self;
    out->has_turn = turn == self;
    if (turn >= 0)
        give_turn(&b, turn);
    act(out, &b, self);
}
