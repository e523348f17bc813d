/* batcher.c - admission, composition and running of steps */
#include "engine/batcher.h"

#include <inttypes.h>

#include "base/check.h"

void mu_batcher_carve(struct mu_batcher *b, struct mu_carve *c, const struct mu_batcher_limits *l)
{
    int64_t rows = (int64_t)l->rows_max * l->n_lanes;
    b->limits = *l;
    b->table = mu_carve(c, l->sequences_max * mu_kv_pages_for(l->context_max), sizeof *b->table);
    b->kv = mu_carve(c, l->n_lanes, sizeof *b->kv);
    for (int lane = 0; lane < l->n_lanes; lane++) {
        struct mu_kv_cache count;
        mu_kv_cache_carve(c->base ? &b->kv[lane] : &count, c, l->sequences_max / l->n_lanes, l->context_max,
                          l->pages_n);
    }
    mu_sampler_carve(&b->sampler, c, l->vocab);
    b->slots = mu_carve(c, l->sequences_max, sizeof *b->slots);
    b->lengths = mu_carve(c, l->sequences_max, sizeof *b->lengths);
    b->running = mu_carve(c, l->sequences_max, sizeof *b->running);
    b->parts = mu_carve(c, l->sequences_max, sizeof *b->parts);
    b->ids = mu_carve(c, rows, sizeof *b->ids);
    b->pos = mu_carve(c, rows, sizeof *b->pos);
    b->seq = mu_carve(c, rows, sizeof *b->seq);
    b->reads = mu_carve(c, rows, sizeof *b->reads);
    b->read_rows = mu_carve(c, l->logit_rows_max, sizeof *b->read_rows);
    b->argmax = mu_carve(c, l->logit_rows_max, sizeof *b->argmax);
    b->lse = mu_carve(c, l->logit_rows_max, sizeof *b->lse);
}

void mu_batcher_reset(struct mu_batcher *b, struct mu_runner *runner, bool is_sharing)
{
    b->runner = runner;
    runner->ops->set_lengths(runner, b->lengths);
    for (int lane = 0; lane < b->limits.n_lanes; lane++) {
        int64_t rows = (int64_t)b->kv[lane].n_seqs * b->kv[lane].pages_max;
        mu_kv_cache_reset(&b->kv[lane], runner, lane, b->table + lane * rows, is_sharing);
    }
}

static int seqs_of_lane(const struct mu_batcher *b)
{
    return b->limits.sequences_max / b->limits.n_lanes;
}

static struct mu_kv_cache *kv_of(struct mu_batcher *b, int slot)
{
    return &b->kv[mu_batcher_lane(b, slot)];
}

/* The sequence's number in its lane's cache. */
static int seq_of(const struct mu_batcher *b, int slot)
{
    return slot % seqs_of_lane(b);
}

/* ---- admission ---- */

/* Tokens of a running job that will be in the cache when all it knows now is computed. */
static int target(const struct mu_job *j)
{
    return j->req.kind == MU_REQUEST_GENERATE ? j->n_ids : j->n_given - 1;
}

static int common(const int32_t *a, const int32_t *b, int n)
{
    int i = 0;
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

/* A running job's page may begin with more of our next page than any in the lane's tree. */
static void match_running(const struct mu_batcher *b, int lane, const struct mu_job *j, struct mu_kv_match *m)
{
    int at = m->n_pages * MU_KV_PAGE;
    for (int i = 0; i < b->n_running; i++) {
        int slot = b->running[i];
        const struct mu_slot *s = &b->slots[slot];
        if (s->job->root != j->root || mu_batcher_lane(b, slot) != lane)
            continue;
        int better = at + MU_MAX(m->n_copy + 1, MU_SHARE_TOKENS_MIN);
        int n = MU_MIN(MU_MIN(s->n_done, j->next_row), at + MU_KV_PAGE);
        if (n < better || (n = common(s->job->ids, j->ids, n)) < better)
            continue;
        m->n_copy = n - at;
        m->copy_from = b->table[(int64_t)slot * b->kv[lane].pages_max + m->n_pages];
    }
}

static int free_slot(const struct mu_batcher *b, int lane)
{
    int n = seqs_of_lane(b);
    for (int i = lane * n; i < (lane + 1) * n; i++) {
        if (!b->slots[i].job)
            return i;
    }
    return -1;
}

/* Whether a running prompt of a lane with a free slot will soon hold clearly more of our beginning than any cache. */
static bool is_worth_waiting(const struct mu_batcher *b, const struct mu_job *j, int n_known)
{
    int enough = n_known + MU_SHARE_TOKENS_MIN;
    for (int i = 0; i < b->n_running; i++) {
        const struct mu_slot *s = &b->slots[b->running[i]];
        int n = MU_MIN(target(s->job), j->next_row);
        if (s->job->root != j->root || s->n_done >= n || n < enough)
            continue;
        n = common(s->job->ids, j->ids, n);
        if (s->n_done < n && n >= enough && free_slot(b, mu_batcher_lane(b, b->running[i])) >= 0)
            return true;
    }
    return false;
}

/* Tokens that running jobs of the lane have still to compute. */
static int64_t backlog(const struct mu_batcher *b, int lane)
{
    int64_t n = 0;
    for (int i = 0; i < b->n_running; i++) {
        const struct mu_slot *s = &b->slots[b->running[i]];
        if (mu_batcher_lane(b, b->running[i]) == lane)
            n += target(s->job) - s->n_done;
    }
    return n;
}

/* Where a job would go. */
struct spot {
    int slot;    /* -1: nowhere */
    int n_known; /* the most that any lane with a free slot knows of its beginning */
    int64_t cost, room;
    struct mu_kv_match match;
};

static void try_lane(struct mu_batcher *b, int lane, const struct mu_job *j, struct spot *best)
{
    struct mu_kv_match m;
    int slot = free_slot(b, lane);
    if (slot < 0)
        return;
    mu_kv_match(&b->kv[lane], j->root, j->ids, j->next_row, &m);
    if (b->kv[lane].is_sharing)
        match_running(b, lane, j, &m);
    best->n_known = MU_MAX(best->n_known, mu_kv_match_tokens(&m));
    if (!mu_kv_fits(&b->kv[lane], &m, mu_job_kv_tokens(j)))
        return;
    int64_t cost = b->limits.n_lanes > 1 ? j->n_given - mu_kv_match_tokens(&m) + backlog(b, lane) : 0;
    int64_t room = mu_kv_unpromised(&b->kv[lane]);
    if (best->slot < 0 || cost < best->cost || (cost == best->cost && room > best->room))
        *best = (struct spot){slot, best->n_known, cost, room, m};
}

static int32_t root_of(const struct mu_batcher *b, const struct mu_job *j)
{
    return mu_tree_root((int32_t)b->runner->ops->prefix_class(b->runner, mu_job_kv_tokens(j)));
}

void mu_batcher_watch(struct mu_batcher *b, struct mu_job *waiting)
{
    b->n_watched = 0;
    for (struct mu_job *j = waiting; b->kv->is_sharing && j && b->n_watched < MU_WATCHED_MAX; j = j->next) {
        j->root = root_of(b, j);
        b->watched[b->n_watched++] = j;
    }
}

enum mu_admit mu_batcher_admit(struct mu_batcher *b, struct mu_job *j)
{
    struct spot spot = {.slot = -1};
    int n_attached = 0;

    j->root = root_of(b, j);
    for (int lane = 0; lane < b->limits.n_lanes; lane++)
        try_lane(b, lane, j, &spot);
    if (b->n_running < b->limits.sequences_max && b->kv->is_sharing && is_worth_waiting(b, j, spot.n_known))
        return MU_ADMIT_LATER;
    if (spot.slot < 0)
        return MU_ADMIT_FULL;
    int slot = spot.slot;
    j->start_ns = mu_now_ns(b->clock);
    int rc = mu_text_begin(&j->text, b->text, j->ids, j->n_given, j->stops, j->req.n_stop, &j->result.err);
    if (rc == MU_OK)
        rc =
            mu_kv_begin(kv_of(b, slot), seq_of(b, slot), &spot.match, mu_job_kv_tokens(j), &n_attached, &j->result.err);
    if (rc != MU_OK) {
        j->result.code = rc;
        mu_batcher_finish_queued(b, j, MU_FINISH_ERROR);
        return MU_ADMIT_FAILED;
    }
    b->slots[slot] = (struct mu_slot){j, n_attached};
    b->lengths[slot] = (int32_t)mu_job_kv_tokens(j);
    b->running[b->n_running++] = slot;
    b->counts.tokens_cached += (uint64_t)n_attached;
    j->result.n_prompt_cached = n_attached;
    j->state = MU_JOB_RUNNING;
    return MU_ADMIT_STARTED;
}

/* ---- ending ---- */

static void close_job(struct mu_batcher *b, struct mu_job *j, enum mu_finish finish)
{
    int64_t now = mu_now_ns(b->clock);
    mu_deliver_end(b, j, &finish);
    j->result.finish = finish;
    j->result.wait_ns = (j->start_ns ? j->start_ns : now) - j->submit_ns;
    j->result.run_ns = j->start_ns ? now - j->start_ns : 0;
    j->state = MU_JOB_DONE;
    b->counts.jobs_done += j->result.code == MU_OK;
    b->counts.jobs_failed += j->result.code != MU_OK;
    mu_job_list_append(&b->finished, j);
}

void mu_batcher_finish_queued(struct mu_batcher *b, struct mu_job *j, enum mu_finish finish)
{
    close_job(b, j, finish);
}

void mu_batcher_finish(struct mu_batcher *b, int slot, enum mu_finish finish, int code)
{
    struct mu_slot *s = &b->slots[slot];
    struct mu_job *j = s->job;
    int at = 0;

    j->result.code = code;
    mu_kv_end(kv_of(b, slot), seq_of(b, slot), j->ids, s->n_done, code == MU_OK || code == MU_ECANCELED);
    *s = (struct mu_slot){NULL, 0};
    while (b->running[at] != slot)
        at++;
    b->n_running--;
    for (; at < b->n_running; at++)
        b->running[at] = b->running[at + 1];
    close_job(b, j, finish);
}

static void drop_cancelled(struct mu_batcher *b)
{
    for (int i = b->n_running - 1; i >= 0; i--) {
        struct mu_job *j = b->slots[b->running[i]].job;
        if (!atomic_load(&j->is_cancelled))
            continue;
        int code = mu_fail(&j->result.err, MU_ECANCELED, "request %" PRIu64 " was cancelled", j->result.id);
        mu_batcher_finish(b, b->running[i], MU_FINISH_CANCELLED, code);
    }
}

/* ---- a step ---- */

static void add_part(struct mu_batcher *b, int slot, int n)
{
    const struct mu_slot *s = &b->slots[slot];
    b->parts[b->n_parts++] = (struct mu_part){slot, b->n_rows, n};
    mu_kv_make_room(kv_of(b, slot), seq_of(b, slot), s->n_done + n);
    for (int i = 0; i < n; i++, b->n_rows++) {
        b->ids[b->n_rows] = s->job->ids[s->n_done + i];
        b->pos[b->n_rows] = s->n_done + i;
        b->seq[b->n_rows] = slot;
    }
}

/* Generating requests first, one row each; then prompts. */
static void compose_lane(struct mu_batcher *b, int lane)
{
    int end = b->n_rows + b->limits.rows_max;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < b->n_running && b->n_rows < end; i++) {
            const struct mu_slot *s = &b->slots[b->running[i]];
            bool is_prompt = s->job->n_output == 0;
            if (is_prompt != (pass == 1) || mu_batcher_lane(b, b->running[i]) != lane)
                continue;
            int n = MU_MIN(target(s->job) - s->n_done, b->limits.prefill_chunk);
            add_part(b, b->running[i], MU_MIN(n, end - b->n_rows));
        }
    }
}

static void compose(struct mu_batcher *b)
{
    b->n_parts = b->n_rows = 0;
    for (int lane = 0; lane < b->limits.n_lanes; lane++)
        compose_lane(b, lane);
}

/* The parts' rows are in the cache: count them, remember full pages, list the rows to read. Returns how many. */
static int note_done(struct mu_batcher *b, const struct mu_part *parts, int n_parts)
{
    int n_reads = 0;
    for (int i = 0; i < n_parts; i++) {
        struct mu_slot *s = &b->slots[parts[i].slot];
        for (int r = MU_MAX(0, s->job->next_row - s->n_done); r < parts[i].n; r++)
            b->reads[n_reads++] =
                (struct mu_read){s->job, parts[i].slot, parts[i].begin - parts[0].begin + r, s->n_done + r};
        if (s->job->n_output == 0)
            b->counts.tokens_prompt += (uint64_t)parts[i].n;
        s->n_done += parts[i].n;
        mu_kv_publish(kv_of(b, parts[i].slot), seq_of(b, parts[i].slot), s->job->ids, s->n_done);
    }
    return n_reads;
}

static int read_out(struct mu_batcher *b, int n_reads, struct mu_err *e)
{
    for (int at = 0; at < n_reads;) {
        const float *logits;
        int n = MU_MIN(n_reads - at, b->limits.logit_rows_max);
        for (int i = 0; i < n; i++)
            b->read_rows[i] = b->reads[at + i].row;
        MU_TRY_RETURN(b->runner->ops->logits(b->runner, b->read_rows, n, &logits, b->argmax, b->lse, e));
        b->counts.logit_rows += (uint64_t)n;
        for (int i = 0; i < n; i++) {
            const struct mu_read *read = &b->reads[at + i];
            if (b->slots[read->slot].job == read->job) /* else it ended at an earlier row */
                mu_deliver(b, read, logits + (int64_t)i * b->limits.vocab, b->argmax[i], b->lse[i]);
        }
        at += n;
    }
    return MU_OK;
}

static void fail_parts(struct mu_batcher *b, const struct mu_part *parts, int n_parts, const struct mu_err *err)
{
    for (int i = 0; i < n_parts; i++) {
        struct mu_job *j = b->slots[parts[i].slot].job;
        if (!j)
            continue;
        j->result.err = *err;
        mu_batcher_finish(b, parts[i].slot, MU_FINISH_ERROR, err->code);
    }
}

void mu_batcher_fail_all(struct mu_batcher *b, const struct mu_err *why)
{
    while (b->n_running > 0) {
        int slot = b->running[b->n_running - 1];
        b->slots[slot].job->result.err = *why;
        mu_batcher_finish(b, slot, MU_FINISH_ERROR, why->code);
    }
}

static int run_parts(struct mu_batcher *b, const struct mu_part *parts, int n_parts, struct mu_err *e)
{
    int begin = parts[0].begin;
    int end = parts[n_parts - 1].begin + parts[n_parts - 1].n;
    struct mu_rows rows = {end - begin, b->pos + begin, b->seq + begin, b->table, b->kv->pages_max};
    MU_TRY_RETURN(b->runner->ops->step(b->runner, b->ids + begin, &rows, 0, e));
    b->counts.rows += (uint64_t)rows.n;
    return read_out(b, note_done(b, parts, n_parts), e);
}

/* The step as it was composed. */
static void note_step(struct mu_batcher *b, uint64_t logit_rows, int64_t ns)
{
    struct mu_step_made made = {
        .steps = 1, .rows = b->n_rows, .sequences = b->n_parts, .logit_rows = (int64_t)logit_rows, .ns = ns};
    for (int i = 0; i < b->n_rows; i++)
        made.keys += b->pos[i] + 1;
    mu_step_mix_add(&b->mix, &made);
}

void mu_batcher_step(struct mu_batcher *b)
{
    struct mu_err err = MU_ERR_INIT;
    drop_cancelled(b);
    if (b->n_running == 0)
        return;
    int64_t begin_ns = mu_now_ns(b->clock);
    uint64_t logit_rows = b->counts.logit_rows;
    compose(b);
    int rc = run_parts(b, b->parts, b->n_parts, &err);
    if (rc == MU_ENUMERIC && b->n_parts > 1) {
        /* A NaN somewhere: each alone, so that only the one that has it fails. */
        for (int i = 0; i < b->n_parts; i++) {
            if (run_parts(b, &b->parts[i], 1, &err) != MU_OK)
                fail_parts(b, &b->parts[i], 1, &err);
        }
    } else if (rc != MU_OK) {
        fail_parts(b, b->parts, b->n_parts, &err);
    }
    int64_t ns = mu_now_ns(b->clock) - begin_ns;
    note_step(b, b->counts.logit_rows - logit_rows, ns);
    b->counts.steps++;
    b->counts.step_ns += ns;
}

/* ---- the pool ---- */

void mu_batcher_kv_stats(const struct mu_batcher *b, struct mu_kv_stats *out)
{
    *out = (struct mu_kv_stats){.pages = 0};
    for (int lane = 0; lane < b->limits.n_lanes; lane++) {
        struct mu_kv_stats own;
        int64_t n_tokens = 0;
        for (int i = 0; i < b->n_running; i++) {
            if (mu_batcher_lane(b, b->running[i]) == lane)
                n_tokens += b->slots[b->running[i]].n_done;
        }
        mu_kv_stats_take(&own, &b->kv[lane], n_tokens);
        mu_kv_stats_add(out, &own);
    }
}

int mu_batcher_compact(struct mu_batcher *b, int pages_max, int *n_moved, struct mu_err *e)
{
    *n_moved = 0;
    for (int lane = 0; lane < b->limits.n_lanes; lane++) {
        int n = 0, rc = mu_kv_compact(&b->kv[lane], pages_max, &n, e);
        *n_moved += n;
        MU_TRY_RETURN(rc);
    }
    return MU_OK;
}

int mu_batcher_give_back(struct mu_batcher *b, int64_t *n_pages, struct mu_err *e)
{
    *n_pages = 0;
    for (int lane = 0; lane < b->limits.n_lanes; lane++) {
        int32_t n = 0;
        MU_TRY_RETURN(mu_kv_give_back(&b->kv[lane], &n, e));
        *n_pages += n;
    }
    return MU_OK;
}
