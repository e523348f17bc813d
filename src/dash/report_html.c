/* report_html.c - small pieces of HTML */
#include <math.h>

#include "base/check.h"
#include "base/utf8.h"
#include "dash/report_int.h"

static const char *escape(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

int mu_html_text(struct mu_buf *out, const char *text, size_t n, struct mu_err *e)
{
    for (size_t i = 0; i < n; i++) {
        const char *entity = escape(text[i]);
        if (entity)
            MU_TRY_RETURN(mu_buf_puts(out, entity, e));
        else if ((unsigned char)text[i] >= 0x20 || text[i] == '\n' || text[i] == '\t')
            MU_TRY_RETURN(mu_buf_putc(out, text[i], e));
        else
            MU_TRY_RETURN(mu_buf_puts(out, "&#xFFFD;", e)); /* HTML has no control characters */
    }
    return MU_OK;
}

int mu_html_str(struct mu_buf *out, const char *text, struct mu_err *e)
{
    return mu_html_text(out, text, strlen(text), e);
}

#define BAR_WIDTH 160

static double clamp(double x)
{
    return fmin(fmax(x, 0), 1);
}

int mu_html_bar(struct mu_buf *out, double value, double stderr_, struct mu_err *e)
{
    if (!(value >= 0 && value <= 1))
        return MU_OK; /* perplexities and the like have no scale of their own */
    MU_TRY_RETURN(mu_buf_printf(out, e, "<svg width=%d height=12><rect class=bar width=%.1f height=12 />", BAR_WIDTH,
                                value * BAR_WIDTH));
    if (stderr_ >= 0) {
        double lo = clamp(value - 1.96 * stderr_) * BAR_WIDTH, hi = clamp(value + 1.96 * stderr_) * BAR_WIDTH;
        MU_TRY_RETURN(mu_buf_printf(out, e, "<path class=err d='M%.1f 6H%.1fM%.1f 2V10M%.1f 2V10' />", lo, hi, lo, hi));
    }
    return mu_buf_puts(out, "</svg>", e);
}
