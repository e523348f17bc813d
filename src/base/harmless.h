/* harmless.h - texts of others, such that a terminal may print them
 *
 * A model's config, a worker, a web page or a file's name may hold control sequences that move the cursor, clear the
 * screen or turn the direction of writing. Whoever prints such a text prints this copy of it. */
#ifndef MU_BASE_HARMLESS_H
#define MU_BASE_HARMLESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Controls, and marks that turn the direction of writing or are not seen at all. */
bool mu_letter_is_trouble(uint32_t cp);

/* The text with "?" for trouble and for bytes that are no UTF-8; tabs and line ends stay. What does not fit, or is cut
 * inside its last letter, is left out at the end of a letter. out may be text itself. Returns out. */
char *mu_harmless(char *out, size_t bytes, const char *text);

#endif
