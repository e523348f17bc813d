/* state_model.h - a campaign's state once more, plain and slow, and random events for it
 *
 * Every question is answered by looking at all there is. One model at a time. */
#ifndef STATE_MODEL_H
#define STATE_MODEL_H

#include "sched/state.h"

#define MODEL_MAX 4000 /* tasks, attempts, ... */

struct model {
    int campaign, n_tasks, n_attempts, n_groups, n_nodes, n_devices, n_jobs;
    struct {
        char state[12];
        int priority, attempts, group, failure, ranks, batch, is_int8, skipped;
        bool is_searched, is_vain;
        int64_t last_skip;
    } task[MODEL_MAX];
    struct {
        int task, number, group, failure;
        char state[12];
        int64_t start, end;
    } attempt[MODEL_MAX];
    struct {
        char state[12];
        int device[8], n_devices;
        int64_t pid;
        bool is_placed;
    } group[MODEL_MAX];
    struct {
        int is_out, n_devices;
    } node[MODEL_MAX];
    struct {
        int is_out, node;
    } device[8 * MODEL_MAX];
    struct {
        char word[16];
        int requeues, is_warned;
    } job[MODEL_MAX];
    struct {
        int replicas, changes;
    } model[8]; /* by the last letter of its name */
    int64_t spent[2], alerts, degraded, active, finishes;
};
extern struct model m;

bool model_is_legal(const struct mu_event *ev);
void model_do(const struct mu_event *ev); /* a legal one; active time is the caller's to add */
void model_compare(const struct mu_state *s);

int model_below(uint64_t *r, int n); /* [0, n) */
/* Mostly what may well be legal; text is its text. */
struct mu_event model_random(uint64_t *r, char text[48]);

#endif
