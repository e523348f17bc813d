/* bill.c - adding up, and choosing what was left open
 *
 * Choosing goes from the wanted limits downwards, one halving at a time in a fixed order, until the bill with the
 * smallest useful cache (one whole context) fits; what is left then goes to the cache. Numbers that were asked for are
 * never changed, nor is anything that would change a result (formats). */
#include "plan/bill.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/check.h"

#define KNOWN_MAX ((int64_t)1 << 31) /* requests or tokens: more fill any cache */

struct cost {
    struct mu_model_sizes model;
    size_t tables;
    size_t loading, running;
};

static int64_t pages_for(int64_t tokens)
{
    return (tokens + MU_KV_PAGE - 1) / MU_KV_PAGE;
}

static int owners_of(const struct mu_bill_ask *ask)
{
    return MU_MAX(ask->page_owners, 1);
}

/* Of one sequence. */
static int64_t pages_of(const struct mu_bill_ask *ask, int64_t tokens)
{
    return mu_shard_pages_for(owners_of(ask), pages_for(tokens));
}

static bool is_known(const struct mu_bill_work *w)
{
    return w->requests > 0 && w->longest > 0 && w->tokens >= w->longest;
}

int64_t mu_bill_pages_least(const struct mu_bill_ask *ask, int64_t context)
{
    return pages_of(ask, is_known(&ask->work) ? MU_MIN(context, ask->work.longest) : context);
}

/* A request's last page may hold one token. Where ranks share pages out, each request counts like the longest. */
int64_t mu_bill_pages_most(const struct mu_bill_ask *ask)
{
    const struct mu_bill_work *w = &ask->work;
    if (!is_known(w) || w->requests > KNOWN_MAX || w->tokens > KNOWN_MAX)
        return INT64_MAX;
    int64_t alike = w->requests * pages_of(ask, w->longest);
    int64_t added = (w->tokens + w->requests * (MU_KV_PAGE - 1)) / MU_KV_PAGE;
    return owners_of(ask) > 1 ? alike : MU_MIN(alike, added);
}

static int64_t pages_min(const struct mu_bill_ask *ask, const struct mu_bill_limits *l)
{
    return mu_bill_pages_least(ask, l->context);
}

/* Equally many on every rank that shares them out. */
static int64_t whole_shares(const struct mu_bill_ask *ask, int64_t pages)
{
    return (pages + owners_of(ask) - 1) / owners_of(ask) * owners_of(ask);
}

static size_t cache_bytes(const struct mu_bill_ask *ask, const struct mu_bill_limits *l, const struct cost *c)
{
    return c->model.kv_page * (size_t)(l->pages / owners_of(ask));
}

/* A block that several ranks hold is billed in equal parts. */
static size_t weights_bytes(const struct cost *c)
{
    size_t n = (size_t)MU_MAX(c->model.weights_holders, 1), held = c->model.weights - c->model.copied;
    return (held + n - 1) / n + c->model.copied;
}

static size_t peak(const struct cost *c)
{
    return MU_MAX(c->loading, c->running);
}

static int work_out(const struct mu_bill_ask *ask, const struct mu_bill_limits *l, struct cost *c, struct mu_err *e)
{
    MU_TRY_RETURN(ask->model_sizes(ask->arg, l, &c->model, e));
    c->tables = ask->table_bytes(ask->arg, l);
    size_t always = MU_BILL_RUNTIME_BYTES + ask->bytes_in_use + weights_bytes(c) + c->model.host +
                    c->model.activations + c->model.work + c->model.logits;
    c->loading = always + c->model.load_staging;
    c->running = always + c->tables + ask->bytes_requests + cache_bytes(ask, l, c);
    return MU_OK;
}

static bool is_within(const struct mu_bill_ask *ask, const struct cost *c)
{
    return ask->bytes_max == 0 || peak(c) <= ask->bytes_max;
}

static __attribute__((format(printf, 2, 3))) void say(struct mu_bill *b, const char *fmt, ...)
{
    va_list ap;
    if (b->n_choices == MU_BILL_CHOICES_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(b->choices[b->n_choices++], sizeof b->choices[0], fmt, ap);
    va_end(ap);
}

/* Where nothing was asked for, what is wanted. */
static void fill_wanted(struct mu_bill_limits *l, const struct mu_bill_ask *ask)
{
    if (!l->context)
        l->context = MU_MIN(ask->context_model, MU_BILL_CONTEXT_WANTED);
    if (!l->sequences)
        l->sequences = ask->limits.rows ? MU_MIN(ask->limits.rows, MU_BILL_SEQUENCES_WANTED) : MU_BILL_SEQUENCES_WANTED;
    if (!l->rows)
        l->rows = MU_MAX(MU_BILL_ROWS_WANTED, l->sequences);
    if (!l->logit_rows)
        l->logit_rows = MU_MIN(l->rows, MU_BILL_LOGIT_ROWS_WANTED);
    l->pages = l->pages ? whole_shares(ask, l->pages) : pages_min(ask, l);
}

/* One halving of the first limit that may still shrink. False: none is left. */
static bool shrink(struct mu_bill_limits *l, const struct mu_bill_ask *ask)
{
    const struct mu_bill_limits *given = &ask->limits;
    if (!given->rows && l->rows > MU_BILL_ROWS_MIN) {
        l->rows /= 2;
        if (!given->sequences)
            l->sequences = MU_MIN(l->sequences, l->rows);
    } else if (!given->logit_rows && l->logit_rows > MU_BILL_LOGIT_ROWS_MIN) {
        l->logit_rows /= 2;
    } else if (!given->context && l->context > MU_BILL_CONTEXT_MIN) {
        l->context = MU_MAX(l->context / 2, MU_BILL_CONTEXT_MIN);
        if (!given->pages)
            l->pages = pages_min(ask, l);
    } else {
        return false;
    }
    return true;
}

/* No more than all sequences can fill, nor than the work does. */
static int64_t pages_wanted(const struct mu_bill_ask *ask, const struct mu_bill_limits *l)
{
    int64_t fill = MU_MIN(pages_of(ask, l->context) * l->sequences, mu_bill_pages_most(ask));
    return MU_MIN(whole_shares(ask, pages_for(MU_BILL_KV_TOKENS_WANTED)), fill);
}

/* The largest cache that is wanted and fits; the smallest is known to. */
static int grow_cache(struct mu_bill_limits *l, const struct mu_bill_ask *ask, struct cost *c, struct mu_err *e)
{
    int64_t lo = l->pages, hi = MU_MAX(pages_wanted(ask, l), lo);
    int owners = owners_of(ask);
    l->pages = hi;
    MU_TRY_RETURN(work_out(ask, l, c, e));
    if (is_within(ask, c))
        return MU_OK;
    while (hi - lo > owners) {
        l->pages = lo + (hi - lo) / owners / 2 * owners;
        MU_TRY_RETURN(work_out(ask, l, c, e));
        *(is_within(ask, c) ? &lo : &hi) = l->pages;
    }
    l->pages = lo;
    return work_out(ask, l, c, e);
}

static int choose(struct mu_bill_limits *l, const struct mu_bill_ask *ask, struct cost *c, struct mu_err *e)
{
    *l = ask->limits;
    fill_wanted(l, ask);
    do
        MU_TRY_RETURN(work_out(ask, l, c, e));
    while (!is_within(ask, c) && shrink(l, ask));
    if (!ask->limits.pages && is_within(ask, c))
        return grow_cache(l, ask, c, e);
    return MU_OK;
}

static const char *why_pages(const struct mu_bill_limits *l, const struct mu_bill_ask *ask)
{
    if (l->pages == mu_bill_pages_most(ask))
        return "room for all requests at a time";
    if (l->pages == pages_min(ask, l))
        return l->pages == pages_of(ask, l->context) ? "one whole context" : "the longest request";
    return l->pages >= pages_wanted(ask, l) ? "the default" : "what the memory allowed leaves";
}

static void explain(struct mu_bill *b, const struct mu_bill_ask *ask)
{
    const struct mu_bill_limits *l = &b->limits, *given = &ask->limits;
    struct mu_bill_limits wanted = *given;
    fill_wanted(&wanted, ask);
    if (!given->context && l->context < wanted.context)
        say(b, "context %" PRId64 ": the memory allowed has no room for %" PRId64, l->context, wanted.context);
    else if (!given->context && l->context < ask->context_model)
        say(b, "context %" PRId64 ": the model allows %" PRId64 ", ask for more where it is needed", l->context,
            ask->context_model);
    else if (!given->context)
        say(b, "context %" PRId64 ": the model's own", l->context);
    if (!given->rows)
        say(b, "%d rows a step: %s", l->rows, l->rows < wanted.rows ? "more do not fit" : "the default");
    if (!given->sequences)
        say(b, "%d sequences at a time: %s", l->sequences,
            l->sequences < wanted.sequences ? "not more than rows" : "the default");
    if (!given->pages)
        say(b, "KV cache of %" PRId64 " tokens: %s", l->pages * MU_KV_PAGE, why_pages(l, ask));
}

static __attribute__((format(printf, 5, 6))) void add_line(struct mu_bill *b, const char *name,
                                                           enum mu_bill_phase phase, size_t bytes, const char *fmt, ...)
{
    struct mu_bill_line *line = &b->lines[b->n_lines++];
    va_list ap;
    *line = (struct mu_bill_line){.name = name, .phase = phase, .bytes = bytes};
    va_start(ap, fmt);
    vsnprintf(line->note, sizeof line->note, fmt, ap);
    va_end(ap);
}

static void add_weights(struct mu_bill *b, const struct cost *c)
{
    const char *format = mu_wformat_name(b->limits.weights);
    int n = c->model.weights_holders;
    if (c->model.is_mapped && n > 1)
        add_line(b, "weights", MU_BILL_ALWAYS, weights_bytes(c),
                 "%s, pages of their file; a share of them for %d ranks", format, n);
    else if (c->model.is_mapped)
        add_line(b, "weights", MU_BILL_ALWAYS, weights_bytes(c), "%s, pages of their file, which is mapped", format);
    else if (n > 1)
        add_line(b, "weights", MU_BILL_ALWAYS, weights_bytes(c), "%s, packed; a share of one copy for %d ranks", format,
                 n);
    else
        add_line(b, "weights", MU_BILL_ALWAYS, weights_bytes(c), "%s, packed", format);
}

static void write_lines(struct mu_bill *b, const struct mu_bill_ask *ask, const struct cost *c)
{
    const struct mu_bill_limits *l = &b->limits;
    const char *kv = mu_kv_type_name(l->kv_dtype);
    add_weights(b, c);
    add_line(b, "model", MU_BILL_ALWAYS, c->model.host, "its layers' bookkeeping");
    add_line(b, "staging", MU_BILL_LOADING, c->model.load_staging, "while loading");
    add_line(b, "KV cache", MU_BILL_RUNNING, cache_bytes(ask, l, c),
             "%" PRId64 " pages of %d tokens, %s, %zu B a token", l->pages / owners_of(ask), MU_KV_PAGE, kv,
             c->model.kv_page / MU_KV_PAGE);
    add_line(b, "activations", MU_BILL_ALWAYS, c->model.activations, "%d rows", l->rows);
    add_line(b, "work", MU_BILL_ALWAYS, c->model.work, "scratch of the largest operation");
    add_line(b, "logits", MU_BILL_ALWAYS, c->model.logits, "%d rows", l->logit_rows);
    add_line(b, "engine", MU_BILL_RUNNING, c->tables, "tables of %d sequences and of the pages", l->sequences);
    add_line(b, "requests", MU_BILL_RUNNING, ask->bytes_requests, "those in flight, at most");
    add_line(b, "in use", MU_BILL_ALWAYS, ask->bytes_in_use, "tokenizer, configuration");
    add_line(b, "runtime", MU_BILL_ALWAYS, MU_BILL_RUNTIME_BYTES, "program, libraries, stacks (constant)");
}

/* ---- ways out ---- */

struct ways {
    char text[480];
    int n;
};

static __attribute__((format(printf, 2, 3))) void add_way(struct ways *w, const char *fmt, ...)
{
    size_t n = strlen(w->text);
    va_list ap;
    n += (size_t)snprintf(w->text + n, sizeof w->text - n, "%s", w->n++ ? ", or " : "");
    va_start(ap, fmt);
    vsnprintf(w->text + n, sizeof w->text - n, fmt, ap);
    va_end(ap);
}

/* Whether the bill fits with one limit replaced by a smaller one, everything left open at its smallest. */
static bool would_fit(const struct mu_bill_ask *ask, const struct mu_bill_limits *try, size_t *need)
{
    struct mu_bill_ask other = *ask;
    struct mu_bill_limits l;
    struct cost c;
    other.limits = *try;
    if (choose(&l, &other, &c, NULL) != MU_OK)
        return false;
    *need = peak(&c);
    return is_within(ask, &c);
}

static void try_rows(struct ways *w, const struct mu_bill_ask *ask)
{
    struct mu_bill_limits try = ask->limits;
    size_t need;
    char text[24];
    try.rows = MU_BILL_ROWS_MIN;
    if (ask->limits.rows <= MU_BILL_ROWS_MIN)
        return;
    if (try.sequences > try.rows)
        try.sequences = try.rows;
    if (would_fit(ask, &try, &need))
        add_way(w, "a batch of %d rows (%s)", try.rows, mu_bytes_text(text, need));
}

static void try_context(struct ways *w, const struct mu_bill_ask *ask)
{
    struct mu_bill_limits try = ask->limits;
    size_t need;
    char text[24];
    try.pages = 0;
    for (try.context = ask->limits.context / 2; try.context >= MU_BILL_CONTEXT_MIN; try.context /= 2) {
        if (would_fit(ask, &try, &need)) {
            add_way(w, "a context of %" PRId64 " (%s)", try.context, mu_bytes_text(text, need));
            return;
        }
    }
}

static void try_cache(struct ways *w, const struct mu_bill_ask *ask)
{
    static const enum mu_dtype smaller[] = {MU_BF16, MU_I8};
    struct mu_bill_limits try = ask->limits;
    size_t need;
    char text[24];
    try.pages = 0;
    if (ask->limits.pages && would_fit(ask, &try, &need)) {
        add_way(w, "a KV cache of the size that fits (leave it open; %s)", mu_bytes_text(text, need));
        return;
    }
    try = ask->limits;
    for (size_t i = 0; i < MU_COUNT(smaller); i++) {
        try.kv_dtype = smaller[i];
        if (mu_kv_element_bytes(try.kv_dtype) < mu_kv_element_bytes(ask->limits.kv_dtype) &&
            would_fit(ask, &try, &need)) {
            add_way(w, "the KV cache in %s (%s)", mu_kv_type_name(try.kv_dtype), mu_bytes_text(text, need));
            return;
        }
    }
}

static void try_weights(struct ways *w, const struct mu_bill_ask *ask)
{
    static const enum mu_wformat smaller[] = {MU_WBF16, MU_WINT8, MU_WINT4};
    struct mu_bill_limits try = ask->limits;
    size_t need;
    char text[24];
    for (size_t i = 0; i < MU_COUNT(smaller); i++) {
        if (smaller[i] <= ask->limits.weights)
            continue; /* the list of formats falls in size; f16 and bf16 are equal */
        try.weights = smaller[i];
        if (would_fit(ask, &try, &need)) {
            add_way(w, "%s weights (%s)", mu_wformat_name(smaller[i]), mu_bytes_text(text, need));
            return;
        }
    }
}

static void judge(struct mu_bill *b, const struct mu_bill_ask *ask)
{
    char need[24], allowed[24], most[24];
    mu_bytes_text(need, b->bytes_peak);
    mu_bytes_text(allowed, b->bytes_max);
    if (b->bytes_max == 0) {
        snprintf(b->verdict, sizeof b->verdict, "%s are needed; no limit was given", need);
        return;
    }
    if (b->fits) {
        snprintf(b->verdict, sizeof b->verdict, "%s are needed, %s are allowed (%s)", need, allowed,
                 ask->bytes_max_from);
        return;
    }
    const struct mu_bill_line *largest = &b->lines[0];
    for (int i = 1; i < b->n_lines; i++)
        largest = b->lines[i].bytes > largest->bytes ? &b->lines[i] : largest;
    struct ways w = {"", 0};
    try_rows(&w, ask);
    try_context(&w, ask);
    try_cache(&w, ask);
    try_weights(&w, ask);
    snprintf(b->verdict, sizeof b->verdict,
             "%s of memory are needed and %s are allowed (%s); most goes to %s (%s). %s%s", need, allowed,
             ask->bytes_max_from, largest->name, mu_bytes_text(most, largest->bytes),
             w.n ? "It fits with " : "Not even int4 weights and the smallest context fit: allow more memory",
             w.n ? w.text : "");
}

int64_t mu_bill_sequence_max(const struct mu_bill_limits *l, int page_owners)
{
    int owners = MU_MAX(page_owners, 1);
    int64_t lo = 0, hi = l->pages; /* lo fits */
    while (lo < hi) {
        int64_t mid = hi - (hi - lo) / 2;
        if (mu_shard_pages_for(owners, mid) <= l->pages)
            lo = mid;
        else
            hi = mid - 1;
    }
    return lo * MU_KV_PAGE;
}

int mu_bill_make(struct mu_bill *out, const struct mu_bill_ask *ask, struct mu_err *e)
{
    struct cost c;
    memset(out, 0, sizeof *out);
    MU_TRY_RETURN(choose(&out->limits, ask, &c, e));
    out->bytes_loading = c.loading;
    out->bytes_running = c.running;
    out->bytes_peak = peak(&c);
    out->bytes_max = ask->bytes_max;
    out->fits = is_within(ask, &c);
    out->kv_page_bytes = c.model.kv_page;
    write_lines(out, ask, &c);
    explain(out, ask);
    judge(out, ask);
    return MU_OK;
}

int mu_bill_peak(const struct mu_bill_ask *ask, const struct mu_bill_limits *l, size_t *bytes, struct mu_err *e)
{
    struct cost c;
    MU_TRY_RETURN(work_out(ask, l, &c, e));
    *bytes = peak(&c);
    return MU_OK;
}

void mu_bill_say(struct mu_bill *b, const char *sentence)
{
    say(b, "%s", sentence);
}
