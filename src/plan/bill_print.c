/* bill_print.c - the bill for people and as JSON */
#include "plan/bill.h"

static const char *phase_name(enum mu_bill_phase p)
{
    return p == MU_BILL_LOADING ? "loading" : p == MU_BILL_RUNNING ? "running" : "always";
}

char *mu_bytes_text(char buf[24], size_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double v = (double)bytes;
    int u = 0;
    while (v >= 1024 && u < 5) {
        v /= 1024;
        u++;
    }
    snprintf(buf, 24, u == 0 ? "%.0f %s" : v < 10 ? "%.2f %s" : v < 100 ? "%.1f %s" : "%.0f %s", v, units[u]);
    return buf;
}

void mu_bill_print(const struct mu_bill *b, FILE *f)
{
    char text[24];
    fprintf(f, "memory\n");
    for (int i = 0; i < b->n_lines; i++) {
        const struct mu_bill_line *l = &b->lines[i];
        fprintf(f, "  %-12s %10s  %s%s\n", l->name, mu_bytes_text(text, l->bytes), l->note,
                l->phase == MU_BILL_LOADING ? ", then freed" : "");
    }
    fprintf(f, "  %-12s %10s\n", "at most", mu_bytes_text(text, b->bytes_peak));
    for (int i = 0; i < b->n_choices; i++)
        fprintf(f, "  chosen: %s\n", b->choices[i]);
    fprintf(f, "  %s\n", b->verdict);
}

static json_t *line_json(const struct mu_bill_line *l)
{
    return json_pack("{s:s, s:I, s:s, s:s}", "name", l->name, "bytes", (json_int_t)l->bytes, "phase",
                     phase_name(l->phase), "note", l->note);
}

json_t *mu_bill_json(const struct mu_bill *b)
{
    const struct mu_bill_limits *l = &b->limits;
    json_t *lines = json_array(), *choices = json_array();
    for (int i = 0; i < b->n_lines; i++)
        json_array_append_new(lines, line_json(&b->lines[i]));
    for (int i = 0; i < b->n_choices; i++)
        json_array_append_new(choices, json_string(b->choices[i]));
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:b, s:{s:s, s:s, s:I, s:i, s:i, s:i, s:I}, s:o, s:s}", "lines", lines,
                     "bytes_loading", (json_int_t)b->bytes_loading, "bytes_running", (json_int_t)b->bytes_running,
                     "bytes_peak", (json_int_t)b->bytes_peak, "bytes_max", (json_int_t)b->bytes_max, "fits",
                     (int)b->fits, "limits", "weights", mu_wformat_name(l->weights), "kv_dtype",
                     mu_kv_type_name(l->kv_dtype), "context", (json_int_t)l->context, "rows", l->rows, "logit_rows",
                     l->logit_rows, "sequences", l->sequences, "kv_tokens", (json_int_t)(l->pages * MU_KV_PAGE),
                     "choices", choices, "verdict", b->verdict);
}
