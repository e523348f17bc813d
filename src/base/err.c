/* err.c - the one list of errors and the two helpers that write sentences */
#include <muster/err.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *meaning;
    int status;
} codes[MU_CODE_N] = {
#define MU_CODE_ROW(name, status, text) [MU_##name] = {#name, text, status},
    MU_CODE_MAP(MU_CODE_ROW)
#undef MU_CODE_ROW
};

static void mark_cut(char *text, int n)
{
    if (n >= MU_ERR_TEXT_MAX)
        memcpy(text + MU_ERR_TEXT_MAX - 4, "...", 4);
}

int mu_fail(struct mu_err *e, int code, const char *fmt, ...)
{
    if (e) {
        /* The arguments may point into e->text itself. */
        char text[MU_ERR_TEXT_MAX];
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        mark_cut(text, n);
        e->code = code;
        memcpy(e->text, text, sizeof text);
    }
    return code;
}

int mu_err_while(struct mu_err *e, int rc, const char *fmt, ...)
{
    if (!e || rc == MU_OK)
        return rc;
    char text[MU_ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    mark_cut(text, n);
    size_t used = strlen(e->text);
    n = snprintf(e->text + used, sizeof e->text - used, " (while %s)", text);
    mark_cut(e->text, (int)used + n);
    return rc;
}

const char *mu_code_name(int code)
{
    return code >= 0 && code < MU_CODE_N ? codes[code].name : "?";
}

const char *mu_code_meaning(int code)
{
    return code >= 0 && code < MU_CODE_N ? codes[code].meaning : "unknown error";
}

int mu_code_exit_status(int code)
{
    return code >= 0 && code < MU_CODE_N ? codes[code].status : codes[MU_EINTERNAL].status;
}
