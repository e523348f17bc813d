/* cmd_top.c - `muster top`: a campaign as it goes, on the terminal or as JSON */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/campaign_json.h"
#include "cli/campaign_page.h"
#include "cli/cmd.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"

#define PIPE_COLS      120 /* where COLUMNS does not say */
#define JSON_BYTES_MAX ((size_t)64 << 20)
#define LOOK_NS        200000000ll /* between looks whether to stop, without a terminal */
#define BLINK_NS       50000000ll  /* the shortest wait for a key */

struct top_args {
    bool once, json;
    double interval;
};

static void top_defaults(void *args)
{
    ((struct top_args *)args)->interval = 1;
}

static int refresh(struct mu_view *v, struct mu_err *e)
{
    return mu_view_refresh(v, mu_wall_ns(), mu_now_ns(mu_clock_real()), e);
}

/* ---- without a terminal ---- */

static int write_out(const char *text, struct mu_err *e)
{
    return fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? MU_OK
                                                           : mu_fail(e, MU_EIO, "cannot write to standard output");
}

static int print_object(const struct mu_view *v, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("the view", JSON_BYTES_MAX);
    json_t *tree = mu_campaign_json(v, false);
    int rc = tree ? MU_OK : mu_fail(e, MU_ENOMEM, "out of memory: the view as JSON");
    if (rc == MU_OK)
        rc = mu_json_dump(&text, tree, false, e);
    if (rc == MU_OK)
        rc = mu_buf_putc(&text, '\n', e);
    if (rc == MU_OK)
        rc = write_out(text.p, e);
    json_decref(tree);
    mu_buf_fini(&text);
    return rc;
}

/* Until a signal comes, or the time is over. */
static void wait_for(int64_t ns)
{
    while (ns > 0 && !mu_interrupted()) {
        int64_t part = MU_MIN(ns, LOOK_NS);
        struct timespec t = {part / 1000000000, part % 1000000000};
        nanosleep(&t, NULL);
        ns -= part;
    }
}

static int print_objects(struct mu_view *v, const struct top_args *a, struct mu_err *e)
{
    for (;;) {
        MU_TRY_RETURN(print_object(v, e));
        if (a->once || mu_view_is_over(v))
            return MU_OK;
        wait_for((int64_t)(a->interval * 1e9));
        if (mu_interrupted())
            return MU_OK;
        MU_TRY_RETURN(refresh(v, e));
    }
}

static int print_page(struct mu_view *v, const char *folder, struct mu_err *e)
{
    struct mu_page p = {.is_utf8 = mu_page_wants_utf8()};
    struct mu_page_choice c = {.folder = folder};
    const char *width = getenv("COLUMNS");
    int cols = width ? atoi(width) : 0, rows;
    if (isatty(STDOUT_FILENO)) {
        mu_terminal_size(&cols, &rows);
        p.has_colour = mu_page_wants_colour();
    }
    mu_view_sort(v, c.order);
    mu_page_begin(&p, cols > 0 ? MU_MAX(cols, MU_TERMINAL_COLS_MIN) : PIPE_COLS);
    mu_campaign_page(&p, v, &c);
    int rc = p.rc == MU_OK ? write_out(p.text.p, e) : mu_fail(e, p.rc, "out of memory: the page");
    mu_page_fini(&p);
    return rc;
}

/* ---- on the terminal ---- */

struct watch {
    struct mu_view *v;
    struct mu_page page;
    struct mu_page_choice choice;
    struct mu_err failed; /* of the last refresh */
    bool is_over;         /* somebody wants to leave */
};

static int draw(struct watch *w, struct mu_err *e)
{
    int cols;
    mu_terminal_size(&cols, &w->choice.rows);
    w->choice.trouble = w->failed.text;
    mu_view_sort(w->v, w->choice.order);
    mu_page_begin(&w->page, cols);
    mu_campaign_page(&w->page, w->v, &w->choice);
    if (w->page.rc != MU_OK)
        return mu_fail(e, w->page.rc, "out of memory: the page");
    return mu_terminal_show(w->page.text.p, e);
}

static void scroll(struct mu_page_choice *c, int by)
{
    c->first = by < 0 ? MU_MAX(c->first + by, 0) : MU_MIN(c->first + by, MU_STATE_TASKS_MAX);
}

/* Keys that do the same, by the letter of one of them. */
static int letter_of(int key)
{
    static const struct {
        int key, letter;
    } same[] = {
        {MU_KEY_DOWN, 'j'}, {MU_KEY_UP, 'k'}, {MU_KEY_PAGE_DOWN, ' '}, {MU_KEY_PAGE_UP, 'b'}, {MU_KEY_HOME, 'g'},
        {MU_KEY_END, 'G'},  {'h', '?'}};
    for (size_t i = 0; i < MU_COUNT(same); i++)
        if (same[i].key == key)
            return same[i].letter;
    return key;
}

static void obey_scroll(struct mu_page_choice *c, int letter)
{
    if (letter == 'j' || letter == 'k')
        scroll(c, letter == 'j' ? 1 : -1);
    else if (letter == ' ' || letter == 'b')
        scroll(c, letter == ' ' ? c->page : -c->page);
    else if (letter == 'g' || letter == 'G')
        c->first = letter == 'G' ? MU_STATE_TASKS_MAX : 0;
}

static void obey(struct watch *w, int key)
{
    struct mu_page_choice *c = &w->choice;
    int letter = letter_of(key);
    obey_scroll(c, letter);
    if (letter == 'q') {
        w->is_over = true;
    } else if (letter == 'l') {
        c->list = (enum mu_page_list)((c->list + 1) % MU_LISTS);
        c->first = 0;
    } else if (letter == 's') {
        c->order = (enum mu_view_order)((c->order + 1) % MU_ORDERS);
    } else if (letter == '?' || letter == MU_KEY_ESCAPE) {
        c->has_help = letter == '?' && !c->has_help;
    }
}

/* Keys, each answered at once, until it is time to look again. */
static int listen(struct watch *w, int64_t until_ns, struct mu_err *e)
{
    while (!w->is_over && !mu_interrupted()) {
        int64_t left = until_ns - mu_now_ns(mu_clock_real());
        if (left <= 0)
            return MU_OK;
        int key = mu_terminal_key(MU_MAX(left, BLINK_NS));
        if (key == MU_KEY_NONE)
            continue;
        obey(w, key);
        MU_TRY_RETURN(draw(w, e));
    }
    return MU_OK;
}

static int watch(struct mu_view *v, const struct top_args *a, const char *folder, struct mu_err *e)
{
    struct watch w = {.v = v,
                      .page = {.is_utf8 = mu_page_wants_utf8(), .has_colour = mu_page_wants_colour()},
                      .choice = {.folder = folder},
                      .failed = MU_ERR_INIT};
    int rc = MU_OK;
    MU_TRY_RETURN(mu_terminal_open(e));
    while (!w.is_over && !mu_interrupted()) {
        MU_TRY(draw(&w, e));
        MU_TRY(listen(&w, mu_now_ns(mu_clock_real()) + (int64_t)(a->interval * 1e9), e));
        if (!w.is_over && refresh(v, &w.failed) == MU_OK)
            w.failed.text[0] = '\0';
    }
out:
    mu_terminal_close();
    mu_page_fini(&w.page);
    return rc;
}

static int top_run(void *args, int n_operands, char **operands, struct mu_err *e)
{
    const struct top_args *a = args;
    struct mu_view v;
    int rc;
    if (n_operands != 1)
        return mu_fail(e, MU_EUSAGE, "top takes the output folder of one campaign, %d were given", n_operands);
    MU_TRY_RETURN(mu_view_open(&v, operands[0], mu_wall_ns(), mu_now_ns(mu_clock_real()), e));
    if (a->json)
        rc = print_objects(&v, a, e);
    else if (a->once || !mu_terminal_is_there())
        rc = print_page(&v, operands[0], e);
    else
        rc = watch(&v, a, operands[0], e);
    mu_view_close(&v);
    return rc;
}

#define FIELD(name) offsetof(struct top_args, name)

static const struct mu_opt top_opts[] = {
    {MU_OPT_REAL, "interval", 'i', FIELD(interval), "SECONDS", .lo = 0.1, .hi = 3600,
     .help = "How long to wait between two looks.", .dflt = "1"},
    {MU_OPT_FLAG, "once", 0, FIELD(once), .help = "Print one page, or one object, and end."},
    {MU_OPT_FLAG, "json", 0, FIELD(json),
     .help = "Print one JSON object a line, one each interval, until the campaign has ended."},
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_top = {
    .name = "top",
    .summary = "watch a campaign as it goes",
    .operands = "OUTPUT",
    .story =
        "Shows the campaign in OUTPUT on the terminal, drawn anew each second: the queue by priority and state, "
        "running "
        "tasks with progress, rate and time left, workers, devices, GPU hours, failures, and what happened last. It "
        "only "
        "looks: any number may watch one campaign, on every machine that sees the folder, also when nobody runs it.\n\n"
        "Keys: q ends it; j, k, the arrows, page up and down scroll; l changes the list (running, failed, to come, "
        "all); "
        "s the order of running tasks; ? shows all keys. Pausing and cancelling are for `muster control`.\n\n"
        "Events are read from OUTPUT/campaign.sqlite, progress from OUTPUT/now.json, which who runs the campaign "
        "writes "
        "about once a second; while that is missing or old the page says so and shows what the events tell.\n\n"
        "Where output is no terminal, or TERM is \"dumb\", it prints one page and ends. NO_COLOR switches colours off; "
        "letters that are not ASCII are shown where the locale is UTF-8.",
    .examples = "  muster top build/campaign\n"
                "  muster top build/campaign --once\n"
                "  muster top build/campaign --json --interval 10 | jq .left_seconds\n",
    .opts = top_opts,
    .args_size = sizeof(struct top_args),
    .defaults = top_defaults,
    .run = top_run,
};
