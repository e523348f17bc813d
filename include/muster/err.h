/* err.h - errors: a code for the program, a sentence for the person
 *
 * A function that can fail returns an enum mu_code (0 is success) and fills the caller's struct mu_err.
 * The lowest layer that knows writes the sentence: the thing, the value, the bound, the way out.
 * Layers above may add a "while ..." with mu_err_while(). The struct is plain data, owned by the caller;
 * a NULL struct mu_err * is always allowed and loses only the sentence. */
#ifndef MUSTER_ERR_H
#define MUSTER_ERR_H

/* X(name, exit status of the program, meaning) */
#define MU_CODE_MAP(X)                                                                                                 \
    X(OK, 0, "success")                                                                                                \
    X(EINTERNAL, 1, "a mistake in muster itself")                                                                      \
    X(EUSAGE, 2, "the command line or an option is wrong")                                                             \
    X(ENOENT, 3, "a file, tensor, token or preset that is needed does not exist")                                      \
    X(EIO, 4, "reading or writing failed")                                                                             \
    X(EFORMAT, 5, "a file or message breaks the rules of its format")                                                  \
    X(EUNSUPPORTED, 6, "valid, but something muster does not do")                                                      \
    X(ENOMEM, 7, "not enough memory, or a memory bill above the limit given")                                          \
    X(ELIMIT, 8, "a value above a stated maximum, such as a prompt longer than the context")                           \
    X(ENOSPC, 9, "no space left where output is written")                                                              \
    X(ECHANGED, 10, "a file changed while it was in use")                                                              \
    X(ENUMERIC, 11, "a NaN or infinity where a number is needed")                                                      \
    X(ETIMEDOUT, 12, "a deadline passed")                                                                              \
    X(ECANCELED, 13, "stopped on request")                                                                             \
    X(EPEER, 14, "another process or server failed")                                                                   \
    X(EINVAL, 15, "a request or argument with an impossible value")

enum mu_code {
#define MU_CODE_ENUM(name, status, text) MU_##name,
    MU_CODE_MAP(MU_CODE_ENUM)
#undef MU_CODE_ENUM
        MU_CODE_N
};

#define MU_ERR_TEXT_MAX 1024

struct mu_err {
    int code;                   /* enum mu_code */
    char text[MU_ERR_TEXT_MAX]; /* one sentence, UTF-8, no trailing newline */
};

#define MU_ERR_INIT                                                                                                    \
    {                                                                                                                  \
        0, ""                                                                                                          \
    }

/* Fill e and return code, so that a failure is one line. Longer texts are cut with "...". */
int mu_fail(struct mu_err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Append " (while ...)" to the sentence of a failure on its way up; returns rc unchanged. */
int mu_err_while(struct mu_err *e, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

const char *mu_code_name(int code);    /* "EFORMAT"; "?" for a number outside the list */
const char *mu_code_meaning(int code); /* the list's third column */
int mu_code_exit_status(int code);     /* what the muster program exits with */

#endif
