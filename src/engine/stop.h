/* stop.h - stop strings in a stream of text pieces
 *
 * Bytes that could begin a stop string are held back until it is clear whether they do; everything else goes out at
 * once. The first place where a stop string begins ends the text; at one place the first string of the list wins. */
#ifndef MU_ENGINE_STOP_H
#define MU_ENGINE_STOP_H

#include "base/buf.h"
#include <muster/engine.h>

struct mu_stop {
    const struct mu_str *strings; /* borrowed */
    int n;
    int n_held;
    char held[MU_STOP_BYTES_MAX]; /* a proper beginning of some stop string */
};

#define MU_STOP_NONE    (-1)
#define MU_STOP_NO_ROOM (-2) /* out's maximum is below piece and held bytes together */

/* Text piece in, bytes to show now in out (replaced). Returns the index of the stop string found, or one of the above.
 * Where the pieces are cut does not change where the text ends. */
int mu_stop_add(struct mu_stop *s, struct mu_str piece, struct mu_buf *out);

/* No more text comes: out becomes what was held back, cut before a stop string that was waiting behind a longer one. */
int mu_stop_end(struct mu_stop *s, struct mu_buf *out);

#endif
