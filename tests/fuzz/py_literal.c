/* py_literal.c - ast.literal_eval() of any bytes; what is read is printed, and repr() of it reads back */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "eval/py/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_err e = MU_ERR_INIT;
    struct mu_buf text = MU_BUF_INIT("text", (size_t)1 << 24), again = MU_BUF_INIT("text", (size_t)1 << 24);
    json_t *v = NULL, *back = NULL;
    if (mu_py_literal((struct mu_str){(const char *)data, n}, &v, &e) == MU_OK) {
        if (mu_py_repr(&text, v, &e) != MU_OK || mu_py_literal(mu_buf_str(&text), &back, &e) != MU_OK ||
            mu_py_repr(&again, back, &e) != MU_OK || !mu_str_eq(mu_buf_str(&text), mu_buf_str(&again)))
            abort();
        mu_buf_clear(&again);
        if (mu_py_dumps(&again, v, 2, &e) != MU_OK)
            abort();
    }
    mu_buf_fini(&text);
    mu_buf_fini(&again);
    json_decref(v);
    json_decref(back);
    return 0;
}
