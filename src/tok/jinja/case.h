/* case.h - upper and lower letters of whole strings, and pieces of text that methods and filters share */
#ifndef MU_TOK_JINJA_CASE_H
#define MU_TOK_JINJA_CASE_H

#include "tok/jinja/render.h"

enum mu_jcase { MU_J_UPPER, MU_J_LOWER, MU_J_TITLE, MU_J_CAPITALIZE, MU_J_SWAP };

int mu_j_recase(struct mu_jin *J, struct mu_str s, enum mu_jcase how, struct mu_jv *out);
bool mu_j_is_cased(struct mu_str s, bool (*want)(uint32_t), bool (*not )(uint32_t)); /* some want, none of not */

int mu_j_replace(struct mu_jin *J, struct mu_str s, struct mu_str old, struct mu_str with, int64_t count,
                 struct mu_jv *out); /* count -1: all */
int mu_j_pad(struct mu_jin *J, struct mu_str s, int64_t left, int64_t right, struct mu_str fill, struct mu_jv *out);

#endif
