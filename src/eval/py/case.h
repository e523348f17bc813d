/* case.h - str.lower() and str.upper(), as Python does them: with the letters that grow and the final sigma */
#ifndef MU_EVAL_PY_CASE_H
#define MU_EVAL_PY_CASE_H

#include "base/buf.h"
#include <muster/err.h>

/* Appended to out. */
int mu_py_lower(struct mu_buf *out, struct mu_str s, struct mu_err *e);
int mu_py_upper(struct mu_buf *out, struct mu_str s, struct mu_err *e);

#endif
