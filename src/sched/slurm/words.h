/* words.h - lines, words and numbers of what Slurm's commands print. Pure. */
#ifndef MU_SCHED_SLURM_WORDS_H
#define MU_SCHED_SLURM_WORDS_H

#include <stdint.h>

#include "base/buf.h"

/* The next line of *rest, without its end; false: there is none. */
bool mu_slurm_next_line(struct mu_str *rest, struct mu_str *line);

/* The next run of bytes that are not among `ends`, nor NUL; empty: there is none. */
struct mu_str mu_slurm_next_word(struct mu_str *line, const char *ends);

/* Without blanks and line ends behind it. */
struct mu_str mu_slurm_trim(struct mu_str s);

/* A whole number from 0 to hi, and nothing else. hi: below INT64_MAX / 10. */
bool mu_slurm_whole(struct mu_str s, int64_t hi, int64_t *out);

/* As a text, cut to the room there is. */
void mu_slurm_keep(char *out, size_t size, struct mu_str s);

#endif
