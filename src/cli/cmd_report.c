/* cmd_report.c - `muster report`: one HTML page about evaluations */
#include <stdio.h>

#include "cli/cmd.h"
#include "dash/report.h"

struct report_args {
    const char *output, *title;
};

static int report_run(void *p, int n_operands, char **operands, struct mu_err *e)
{
    const struct report_args *args = p;
    if (n_operands == 0)
        return mu_fail(e, MU_EUSAGE, "name the runs: folders that `muster eval --output` wrote, or results files");
    struct mu_report_opts o = {
        .paths = (const char *const *)operands, .n_paths = n_operands, .out = args->output, .title = args->title};
    int rc = mu_report_write(&o, e);
    if (rc == MU_OK)
        printf("%s\n", args->output);
    return rc;
}

static void report_defaults(void *p)
{
    *(struct report_args *)p = (struct report_args){.output = "report.html"};
}

#define FIELD(name) offsetof(struct report_args, name)

static const struct mu_opt report_opts[] = {
    {MU_OPT_TEXT, "output", 'o', FIELD(output), "FILE", .help = "The page to write.", .dflt = "report.html"},
    {MU_OPT_TEXT, "title", 0, FIELD(title), "TEXT", .help = "Its heading.", .dflt = "muster report"},
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_report = {
    .name = "report",
    .summary = "one HTML page about evaluations: scores, comparisons, calibration, disagreements",
    .operands = "RUN...",
    .story =
        "Reads runs (the folders `muster eval --output DIR --log-samples` wrote, the newest results file in each; or "
        "results files by name, of lm-evaluation-harness too) and writes one HTML page that needs nothing else: "
        "scores with error bars; each run against the first, document by document, with McNemar's exact test or a "
        "paired bootstrap; calibration; scores by length and category; the slowest documents; and, side by side, "
        "the documents on which two runs disagree.",
    .examples = "  muster report out/llama out/dsv3 --output compare.html\n",
    .opts = report_opts,
    .args_size = sizeof(struct report_args),
    .defaults = report_defaults,
    .run = report_run,
};
