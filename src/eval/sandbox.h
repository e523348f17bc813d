/* sandbox.h - running what a model wrote: bubblewrap with limits
 *
 * No network, no writes outside a private temporary folder that is dropped, no view of home folders, limits on time,
 * memory, processes, files and output. Opened only when the user asks by name (--confirm-run-unsafe-code); when the
 * sandbox cannot be made the sentence says why and what to install. */
#ifndef MU_EVAL_SANDBOX_H
#define MU_EVAL_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include <muster/err.h>

struct mu_sandbox;

struct mu_sandbox_opts {
    int64_t timeout_ns;  /* of one program, by the clock; 0: 10 s */
    size_t memory_bytes; /* address space of it; 0: 1 GiB */
    int processes;       /* 0: 32 */
    size_t output_bytes; /* kept of it, more ends it; 0: 1 MiB */
    size_t file_bytes;   /* of all it writes to its temporary folder; 0: 16 MiB */
    const char *python;  /* interpreter; NULL: python3 of the machine */
    int parallel;        /* programs at a time; 0: cores allowed */
};

enum mu_sandbox_end {
    MU_SANDBOX_PASSED,
    MU_SANDBOX_FAILED,
    MU_SANDBOX_TIMED_OUT,
    MU_SANDBOX_OUTPUT,
    MU_SANDBOX_KILLED
};

struct mu_sandbox_outcome {
    enum mu_sandbox_end end; /* PASSED: exit status 0 */
    int status;              /* exit status or signal */
    char last_line[256];     /* of what it said, for reports */
};

/* Tries a program that must pass and one that must not reach out; fails with the reason. */
int mu_sandbox_open(struct mu_sandbox **out, const struct mu_sandbox_opts *o, struct mu_err *e);
void mu_sandbox_close(struct mu_sandbox *s); /* NULL is fine */

/* One Python program. output may be NULL. */
int mu_sandbox_run(struct mu_sandbox *s, struct mu_str program, struct mu_sandbox_outcome *outcome,
                   struct mu_buf *output, struct mu_err *e);

/* n of them, `parallel` at a time. */
int mu_sandbox_run_all(struct mu_sandbox *s, const struct mu_str *programs, int n, struct mu_sandbox_outcome *outcomes,
                       struct mu_err *e);

#endif
