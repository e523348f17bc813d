/* utf8.c - decoding by the table of well-formed sequences (Unicode 15, table 3-7) */
#include "base/utf8.h"

/* For a lead byte: length of the sequence and the range of its second byte; length 0 is no lead byte. */
struct lead {
    int len;
    unsigned char lo, hi;
};

static struct lead lead_of(unsigned char c)
{
    if (c < 0x80)
        return (struct lead){1, 0, 0};
    if (c < 0xC2)
        return (struct lead){0, 0, 0};
    if (c < 0xE0)
        return (struct lead){2, 0x80, 0xBF};
    if (c < 0xF0)
        return (struct lead){3, c == 0xE0 ? 0xA0 : 0x80, c == 0xED ? 0x9F : 0xBF};
    if (c < 0xF5)
        return (struct lead){4, c == 0xF0 ? 0x90 : 0x80, c == 0xF4 ? 0x8F : 0xBF};
    return (struct lead){0, 0, 0};
}

/* How many of the first n bytes follow the table, and the length wanted. */
static int well_formed(const unsigned char *p, size_t n, int *want)
{
    struct lead l = lead_of(p[0]);
    *want = l.len;
    if (l.len <= 1)
        return l.len;
    int i = 1;
    while (i < l.len && (size_t)i < n) {
        unsigned char lo = i == 1 ? l.lo : 0x80, hi = i == 1 ? l.hi : 0xBF;
        if (p[i] < lo || p[i] > hi)
            break;
        i++;
    }
    return i;
}

int mu_utf8_decode(const char *s, size_t n, uint32_t *cp)
{
    const unsigned char *p = (const unsigned char *)s;
    int want;
    if (well_formed(p, n, &want) != want || want == 0)
        return 0;
    if (want == 1) {
        *cp = p[0];
        return 1;
    }
    uint32_t c = p[0] & (0xFFu >> (want + 1));
    for (int i = 1; i < want; i++)
        c = c << 6 | (p[i] & 0x3Fu);
    *cp = c;
    return want;
}

int mu_utf8_encode(uint32_t cp, char *p)
{
    if (cp < 0x80) {
        p[0] = (char)cp;
        return 1;
    }
    int len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (int i = len - 1; i > 0; i--, cp >>= 6)
        p[i] = (char)(0x80 | (cp & 0x3F));
    p[0] = (char)((0xF00u >> len & 0xFFu) | cp);
    return len;
}

size_t mu_utf8_valid_prefix(const char *p, size_t n)
{
    size_t i = 0;
    uint32_t cp;
    while (i < n) {
        int len = mu_utf8_decode(p + i, n - i, &cp);
        if (len == 0)
            break;
        i += (size_t)len;
    }
    return i;
}

size_t mu_utf8_invalid_run(const char *p, size_t n)
{
    int want;
    int got = well_formed((const unsigned char *)p, n, &want);
    return got > 1 ? (size_t)got : 1;
}

bool mu_utf8_is_incomplete(const char *p, size_t n)
{
    int want;
    int got = well_formed((const unsigned char *)p, n, &want);
    return want > 1 && (size_t)got == n && got < want;
}
