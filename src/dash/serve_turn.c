/* serve_turn.c - whose request is computed next: clients in turn, the requests of each in their order
 *
 * A client has a lane while it has calls in hand; more clients than lanes share some. What waits stands in its client's
 * lane, and the engine is given a request of each lane in turn, no more than it soon computes: so a client that comes
 * with one request waits behind one of each other client, whatever they have sent before. */
#include "base/check.h"
#include "dash/serve_int.h"

/* ---- lanes, under the server's lock ---- */

static int find_lane(const struct mu_serve *s, uint64_t client)
{
    int free = -1;
    for (int i = 0; i < MU_SERVE_LANES; i++) {
        if (s->lane[i].n_calls > 0 && s->lane[i].client == client)
            return i;
        if (s->lane[i].n_calls == 0 && free < 0)
            free = i;
    }
    return free >= 0 ? free : (int)(client % MU_SERVE_LANES);
}

/* Of the calls in hand a client that has few may have some above the bound, so that one that fills it keeps nobody
 * out. */
static bool has_room(const struct mu_serve *s, int lane)
{
    int spare = s->o.queue_max / 8;
    return s->n_calls < s->o.queue_max ||
           (s->n_calls < s->o.queue_max + spare && s->lane[lane].n_calls < MU_MIN(spare, MU_MAX(spare / 4, 1)));
}

bool mu_lane_take(struct mu_serve *s, struct mu_call *c, uint64_t client)
{
    int i = find_lane(s, client);
    if (!has_room(s, i))
        return false;
    s->lane[i].client = s->lane[i].n_calls == 0 ? client : s->lane[i].client;
    s->lane[i].n_calls++;
    s->n_calls++;
    c->lane = i;
    return true;
}

void mu_lane_leave(struct mu_serve *s, const struct mu_call *c)
{
    s->lane[c->lane].n_calls--;
    s->n_calls--;
}

/* ---- turns, on the engine's thread ---- */

struct mu_call *mu_turns_next(struct mu_turns *t)
{
    for (int i = 0; i < MU_SERVE_LANES; i++) {
        int lane = (t->at + i) % MU_SERVE_LANES;
        if (!t->lane[lane].head)
            continue;
        t->at = lane;
        return t->lane[lane].head;
    }
    return NULL;
}

void mu_turns_pass(struct mu_turns *t)
{
    t->at = (t->at + 1) % MU_SERVE_LANES;
}
