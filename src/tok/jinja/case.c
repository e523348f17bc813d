/* case.c - upper and lower letters, one by one by Unicode's simple mappings; the sharp s becomes SS */
#include "tok/jinja/case.h"

#include <utf8proc.h>

#include "base/utf8.h"
#include "tok/jinja/text.h"

static int add_upper(struct mu_jin *J, uint32_t cp, bool is_title)
{
    char p[4];
    if (cp == 0xDF)
        return mu_j_add(J, is_title ? MU_STR("Ss") : MU_STR("SS"));
    uint32_t up =
        (uint32_t)(is_title ? utf8proc_totitle((utf8proc_int32_t)cp) : utf8proc_toupper((utf8proc_int32_t)cp));
    return mu_j_add(J, (struct mu_str){p, (size_t)mu_utf8_encode(up, p)});
}

static int add_lower(struct mu_jin *J, uint32_t cp)
{
    char p[4];
    uint32_t low = (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
    return mu_j_add(J, (struct mu_str){p, (size_t)mu_utf8_encode(low, p)});
}

static bool is_cased(uint32_t cp)
{
    return mu_t_is_lower(cp) || mu_t_is_upper(cp);
}

int mu_j_recase(struct mu_jin *J, struct mu_str s, enum mu_jcase how, struct mu_jv *out)
{
    size_t mark = mu_j_mark(J), len;
    bool after_cased = false;

    MU_TRY_RETURN(mu_j_work(J, s.n / 8));
    for (size_t i = 0; i < s.n; i += len) {
        uint32_t cp = mu_t_at(s, i, &len);
        bool is_first = how == MU_J_TITLE ? !after_cased : i == 0;
        bool to_upper = how == MU_J_UPPER || (how == MU_J_SWAP && mu_t_is_lower(cp)) ||
                        ((how == MU_J_TITLE || how == MU_J_CAPITALIZE) && is_first);
        MU_TRY_RETURN(to_upper ? add_upper(J, cp, how == MU_J_TITLE || how == MU_J_CAPITALIZE)
                      : how == MU_J_SWAP && !mu_t_is_upper(cp) ? mu_j_add(J, mu_t_sub(s, i, i + len))
                                                               : add_lower(J, cp));
        after_cased = is_cased(cp);
    }
    return mu_j_take(J, mark, out);
}

bool mu_j_is_cased(struct mu_str s, bool (*want)(uint32_t), bool (*not )(uint32_t))
{
    bool has = false;
    size_t len;
    for (size_t i = 0; i < s.n; i += len) {
        uint32_t cp = mu_t_at(s, i, &len);
        if (not(cp))
            return false;
        has |= want(cp);
    }
    return has;
}
