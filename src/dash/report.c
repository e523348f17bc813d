/* report.c - the page: head, what the runs were, the sections, foot */
#include <stdio.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "dash/report_int.h"

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em;color:#222;background:#fff}"
    "h1{font-size:1.6em}h2{margin-top:2em;border-bottom:1px solid #ccc}nav a{margin-right:1em}"
    "table{border-collapse:collapse;margin:.5em 0}td,th{padding:.2em .7em;text-align:left;vertical-align:top;"
    "border-bottom:1px solid #e4e4e4}.num{text-align:right;font-variant-numeric:tabular-nums}.dim{color:#767676}"
    ".small td,.small th{font-size:.9em}.bar{fill:#4a7fb5}.err{stroke:#222;fill:none}.diag{stroke:#bbb;fill:none}"
    ".diagram{border:1px solid #ccc}.row{display:flex;flex-wrap:wrap;gap:1.5em}figure{margin:0;font-size:.85em}"
    ".side{flex:1 1 20em;min-width:15em;border-left:3px solid #ccc;padding-left:.8em;white-space:pre-wrap;"
    "overflow-wrap:anywhere}pre{white-space:pre-wrap;background:#f5f5f5;padding:.6em;overflow-wrap:anywhere}"
    ".sig{font-weight:bold}.good{color:#18794e}.poor{color:#b42318}summary{cursor:pointer}"
    "@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}pre{background:#262626}td,th{border-color:"
    "#333}.err{stroke:#eee}}";

static const char script[] =
    "const f=document.getElementById('find');if(f)f.addEventListener('input',()=>{const q=f.value.toLowerCase();"
    "document.querySelectorAll('.doc').forEach(d=>{d.hidden=q&&!d.textContent.toLowerCase().includes(q)})})";

static int page_head(struct mu_report *r, const char *title, struct mu_err *e)
{
    struct mu_buf *h = &r->html;
    MU_TRY_RETURN(mu_buf_puts(h,
                              "<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport "
                              "content='width=device-width'><title>",
                              e));
    MU_TRY_RETURN(mu_html_str(h, title, e));
    MU_TRY_RETURN(mu_buf_printf(h, e, "</title><style>%s</style>\n<h1>", style));
    MU_TRY_RETURN(mu_html_str(h, title, e));
    return mu_buf_puts(h, "</h1>", e);
}

static int fact(struct mu_buf *h, const json_t *v, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(h, json_is_number(v) ? "<td class=num>" : "<td>", e));
    if (json_is_string(v))
        return mu_html_str(h, json_string_value(v), e);
    if (json_is_integer(v))
        return mu_buf_printf(h, e, "%lld", (long long)json_integer_value(v));
    if (json_is_real(v))
        return mu_buf_printf(h, e, "%g", json_real_value(v));
    return MU_OK;
}

static int runs_table(const struct mu_report *r, struct mu_buf *h, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(
        h,
        "<table><tr><th>run<th>model<th>dtype<th class=num>parameters<th class=num>limit<th class=num>seconds<th>file",
        e));
    for (int i = 0; i < r->n_runs; i++) {
        const json_t *v = r->run[i].results, *config = json_object_get(v, "config");
        MU_TRY_RETURN(mu_buf_puts(h, "<tr><td>", e));
        MU_TRY_RETURN(mu_html_str(h, r->run[i].label, e));
        MU_TRY_RETURN(fact(h, json_object_get(v, "model_name"), e));
        MU_TRY_RETURN(fact(h, json_object_get(config, "model_dtype"), e));
        MU_TRY_RETURN(fact(h, json_object_get(config, "model_num_parameters"), e));
        MU_TRY_RETURN(fact(h, json_object_get(config, "limit"), e));
        MU_TRY_RETURN(fact(h, json_object_get(v, "total_evaluation_time_seconds"), e));
        MU_TRY_RETURN(mu_buf_puts(h, "<td class=dim>", e));
        MU_TRY_RETURN(mu_html_str(h, r->run[i].path, e));
    }
    return mu_buf_puts(h, "</table>\n", e);
}

/* Sections that have nothing to say write nothing; the links above them name those that are there. */
static int sections(struct mu_report *r, struct mu_err *e)
{
    static const struct {
        const char *id, *name;
        int (*write)(struct mu_report *r, struct mu_err *e);
    } all[] = {{"scores", "scores", mu_report_scores},
               {"compare", "comparison", mu_report_compare},
               {"calibration", "calibration", mu_report_calibration},
               {"breakdown", "length and category", mu_report_breakdown},
               {"slowest", "slowest", mu_report_slowest},
               {"disagreements", "disagreements", mu_report_disagreements}};
    struct mu_buf *h = &r->html, head = *h, nav = MU_BUF_INIT("the report", 1 << 16);
    int rc = MU_OK;

    r->html = (struct mu_buf)MU_BUF_INIT("the report", MU_REPORT_BYTES_MAX);
    for (size_t i = 0; i < MU_COUNT(all); i++) {
        size_t before = h->n;
        MU_TRY(all[i].write(r, e));
        if (h->n > before)
            MU_TRY(mu_buf_printf(&nav, e, "<a href=#%s>%s</a>", all[i].id, all[i].name));
    }
    MU_TRY(mu_buf_printf(&head, e, "<nav>%s</nav>\n", nav.p ? nav.p : ""));
    MU_TRY(runs_table(r, &head, e));
    MU_TRY(mu_buf_add(&head, h->p ? h->p : "", h->n, e));
out:
    mu_buf_fini(&nav);
    mu_buf_fini(h);
    *h = head;
    return rc;
}

static int page(struct mu_report *r, const char *title, struct mu_err *e)
{
    MU_TRY_RETURN(page_head(r, title, e));
    MU_TRY_RETURN(sections(r, e));
    return mu_buf_printf(&r->html, e, "<p class=dim>muster %s</p><script>%s</script></html>\n", MU_VERSION, script);
}

static int check_out(const char *path, struct mu_err *e)
{
    struct stat st;
    if (!path[0])
        return mu_fail(e, MU_EUSAGE, "the page needs a file's name, such as --output report.html");
    if (stat(path, &st) != 0 || S_ISREG(st.st_mode))
        return MU_OK;
    if (S_ISDIR(st.st_mode))
        return mu_fail(e, MU_EUSAGE, "%s is a folder: name the page itself, such as --output %s/report.html", path,
                       path);
    return mu_fail(e, MU_EUSAGE, "%s is no ordinary file, which the page would replace: name another", path);
}

static int write_page(const struct mu_buf *html, const char *path, struct mu_err *e)
{
    int rc = MU_OK;
    MU_TRY(mu_file_write_all(path, html->p, html->n, e));
out:
    return rc;
}

int mu_report_write(const struct mu_report_opts *o, struct mu_err *e)
{
    struct mu_report *r = NULL;
    int rc = MU_OK;

    if (o->n_paths < 1 || o->n_paths > MU_REPORT_RUNS_MAX)
        return mu_fail(e, MU_EUSAGE, "a report is about 1 to %d runs, not %d", MU_REPORT_RUNS_MAX, o->n_paths);
    MU_TRY_RETURN(check_out(o->out, e));
    MU_TRY(MU_NEW(&r, "the report", e));
    r->html = (struct mu_buf)MU_BUF_INIT("the report", MU_REPORT_BYTES_MAX);
    for (int i = 0; i < o->n_paths; i++) {
        r->n_runs++;
        MU_TRY(mu_report_load(&r->run[i], o->paths[i], i, e));
    }
    MU_TRY(page(r, o->title ? o->title : "muster report", e));
    MU_TRY(write_page(&r->html, o->out, e));
out:
    if (r) {
        for (int i = 0; i < r->n_runs; i++)
            mu_report_run_fini(&r->run[i]);
        mu_buf_fini(&r->html);
        mu_free(r);
    }
    return rc;
}
