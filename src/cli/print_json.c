/* print_json.c - see print_json.h */
#include "cli/print_json.h"

#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"

#define BYTES_MAX ((size_t)1 << 30)

int mu_print_json(json_t *v, const char *what, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT(what, BYTES_MAX);
    int rc = v ? mu_json_dump(&text, v, true, e) : mu_fail_nomem(e, 0, what);
    if (rc == MU_OK)
        printf("%s\n", text.p);
    mu_buf_fini(&text);
    json_decref(v);
    return rc;
}
