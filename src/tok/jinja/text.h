/* text.h - characters as Python's str sees them
 *
 * Texts are valid UTF-8. Positions handed in and out are bytes unless named chars. */
#ifndef MU_TOK_JINJA_TEXT_H
#define MU_TOK_JINJA_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

bool mu_t_is_space(uint32_t cp); /* str.isspace() */
bool mu_t_is_printable(uint32_t cp);
bool mu_t_is_word(uint32_t cp); /* \w: letters, digits, underscore */
bool mu_t_is_alpha(uint32_t cp);
bool mu_t_is_decimal(uint32_t cp);
bool mu_t_is_digit(uint32_t cp);
bool mu_t_is_numeric(uint32_t cp);
bool mu_t_is_lower(uint32_t cp);
bool mu_t_is_upper(uint32_t cp);

/* The character at p[at], and its length in bytes. */
uint32_t mu_t_at(struct mu_str s, size_t at, size_t *len);
size_t mu_t_before(struct mu_str s, size_t at); /* where the character before at begins; at > 0 */

size_t mu_t_chars(struct mu_str s);
size_t mu_t_byte_of(struct mu_str s, size_t chars); /* offset of that character; s.n past the end */

struct mu_str mu_t_sub(struct mu_str s, size_t from, size_t to);
size_t mu_t_find(struct mu_str s, struct mu_str part, size_t from);   /* SIZE_MAX when absent */
size_t mu_t_rfind(struct mu_str s, struct mu_str part, size_t below); /* last one that ends at or before below */
bool mu_t_starts(struct mu_str s, struct mu_str part);
bool mu_t_ends(struct mu_str s, struct mu_str part);

/* chars.p NULL: white space */
struct mu_str mu_t_lstrip(struct mu_str s, struct mu_str chars);
struct mu_str mu_t_rstrip(struct mu_str s, struct mu_str chars);

/* One line of str.splitlines(): its length without the break; *next is where the following line begins. */
size_t mu_t_line(struct mu_str s, size_t from, size_t *next);

#endif
