/* harmless.c - see harmless.h */
#include "base/harmless.h"

#include <string.h>
#include <utf8proc.h>

#include "base/check.h"
#include "base/utf8.h"

bool mu_letter_is_trouble(uint32_t cp)
{
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return c == UTF8PROC_CATEGORY_CC || c == UTF8PROC_CATEGORY_CF || c == UTF8PROC_CATEGORY_CO ||
           c == UTF8PROC_CATEGORY_CN || c == UTF8PROC_CATEGORY_ZL || c == UTF8PROC_CATEGORY_ZP;
}

char *mu_harmless(char *out, size_t bytes, const char *text)
{
    size_t left = strlen(text), n = 0;
    while (left > 0 && n + 1 < bytes) {
        uint32_t cp = 0;
        int len = mu_utf8_decode(text, MU_MIN(left, 4), &cp);
        bool is_kept = len > 0 && (cp == '\n' || cp == '\t' || !mu_letter_is_trouble(cp));
        size_t taken = (size_t)MU_MAX(len, 1), put = is_kept ? taken : 1;
        if (n + put >= bytes || (len == 0 && left < 4 && mu_utf8_is_incomplete(text, left)))
            break;
        if (is_kept)
            memmove(out + n, text, put);
        else
            out[n] = '?';
        n += put;
        text += taken;
        left -= taken;
    }
    out[n] = 0;
    return out;
}
