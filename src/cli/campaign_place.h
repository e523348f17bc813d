/* campaign_place.h - where and when the tasks of a plan would run: the scheduler's own code on predicted times */
#ifndef MU_CLI_CAMPAIGN_PLACE_H
#define MU_CLI_CAMPAIGN_PLACE_H

#include "cli/campaign_machine.h"

struct mu_campaign_seat {
    bool is_placed; /* false: it fits nowhere */
    double start_s; /* from the campaign's start */
    int n;
    int device[MU_TASK_DEVICES_MAX]; /* of the machine; rising */
};

struct mu_campaign_places {
    bool is_known;                 /* false: why not is in `why` */
    struct mu_campaign_seat *seat; /* [n] as the plan's rows */
    double makespan_s, utilisation;
    const char *strategy;
    char why[128];
};

/* Release it also after a failure. */
int mu_campaign_place(struct mu_campaign_places *out, const struct mu_campaign *c, const struct mu_campaign_plan *p,
                      const struct mu_campaign_machine *m, struct mu_err *e);
void mu_campaign_places_release(struct mu_campaign_places *p);

/* "0-3" or "n2:0,2": numbers of devices on their node, which is named where there are several. Returns buf. */
char *mu_campaign_seat_text(char buf[96], const struct mu_campaign_seat *s, const struct mu_campaign_machine *m);

#endif
