/* campaign_value.c - sizes and dates of a campaign file, and how lengths of time read in sentences */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "sched/campaign_int.h"

#define DAY 86400

bool mu_campaign_size_parse(const char *text, uint64_t *bytes)
{
    static const struct {
        const char *unit;
        double bytes;
    } units[] = {{"", 1},      {"B", 1},        {"kB", 1e3},     {"KB", 1e3},     {"MB", 1e6},    {"GB", 1e9},
                 {"TB", 1e12}, {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
    char *end;
    if (*text < '0' || *text > '9' || text[1] == 'x' || text[1] == 'X')
        return false;
    double v = strtod(text, &end);
    end += *end == ' ';
    for (size_t i = 0; i < MU_COUNT(units); i++) {
        if (strcmp(end, units[i].unit) == 0 && v * units[i].bytes < 0x1p63) {
            *bytes = (uint64_t)(v * units[i].bytes);
            return true;
        }
    }
    return false;
}

/* ---- dates ---- */

/* Exactly n digits at *p, then the letter `end` (0: anything). */
static bool digits(const char **p, int n, char end, int *out)
{
    *out = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return false;
        *out = *out * 10 + (**p - '0');
    }
    if (!end)
        return true;
    return *(*p)++ == end;
}

/* Days from 1970-01-01 in the Gregorian calendar; years of 400 begin in March, so that the leap day is the last. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year, era = y / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && is_leap);
}

/* "Z" or "+01:00", in seconds. */
static bool zone(const char *p, int64_t *out)
{
    int hours, minutes, sign = *p == '-' ? -1 : 1;
    *out = 0;
    if (strcmp(p, "Z") == 0)
        return true;
    if (*p != '+' && *p != '-')
        return false;
    p++;
    if (!digits(&p, 2, ':', &hours) || !digits(&p, 2, 0, &minutes) || *p || hours > 14 || minutes > 59)
        return false;
    *out = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool mu_campaign_date_parse(const char *text, int64_t *unix_s)
{
    int year, month, day, hour, minute, second = 0;
    int64_t offset;
    const char *p = text;
    if (!digits(&p, 4, '-', &year) || !digits(&p, 2, '-', &month) || !digits(&p, 2, 0, &day))
        return false;
    if ((*p != 'T' && *p != ' ') || year < 1970 || month < 1 || month > 12 || day < 1 ||
        day > days_of_month(year, month))
        return false;
    p++;
    if (!digits(&p, 2, ':', &hour) || !digits(&p, 2, 0, &minute) || hour > 23 || minute > 59)
        return false;
    if (*p == ':' && (p++, !digits(&p, 2, 0, &second) || second > 59))
        return false;
    p += *p == ' ';
    if (!zone(p, &offset))
        return false;
    *unix_s = days_of(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
    return true;
}

/* ---- in sentences ---- */

struct mu_campaign_words mu_campaign_seconds_text(double s)
{
    static const struct {
        double s;
        const char *name, *less;
    } units[] = {{DAY, "d", "h"}, {3600, "h", "min"}, {60, "min", "s"}};
    static const double less[] = {3600, 60, 1};
    struct mu_campaign_words w;
    for (size_t i = 0; i < MU_COUNT(units); i++) {
        if (s < units[i].s)
            continue;
        double rest = floor(fmod(s, units[i].s) / less[i]);
        int n = snprintf(w.text, sizeof w.text, "%.0f %s", floor(s / units[i].s), units[i].name);
        if (rest >= 1)
            snprintf(w.text + n, sizeof w.text - (size_t)n, " %.0f %s", rest, units[i].less);
        return w;
    }
    snprintf(w.text, sizeof w.text, "%.3g s", s);
    return w;
}

struct mu_campaign_words mu_campaign_date_text(int64_t unix_s)
{
    struct mu_campaign_words w;
    int64_t days = unix_s / DAY - (unix_s % DAY < 0), of_day = unix_s - days * DAY;
    int64_t z = days + 719468, era = z / 146097, of_era = z - era * 146097;
    int64_t of = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * of + of / 4 - of / 100), mp = (5 * of_year + 2) / 153;
    int64_t day = of_year - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;
    int64_t year = of + era * 400 + (month <= 2);
    snprintf(w.text, sizeof w.text, "%04" PRId64 "-%02d-%02d %02d:%02d:%02d UTC", year, (int)month, (int)day,
             (int)(of_day / 3600), (int)(of_day / 60 % 60), (int)(of_day % 60));
    return w;
}

struct mu_campaign_words mu_campaign_bytes_text(double bytes)
{
    static const char *const names[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    struct mu_campaign_words w;
    size_t i = 0;
    for (; i + 1 < MU_COUNT(names) && bytes >= 1024; i++)
        bytes /= 1024;
    snprintf(w.text, sizeof w.text, bytes >= 100 || i == 0 ? "%.0f %s" : "%.1f %s", bytes, names[i]);
    return w;
}
