/* service_record.c - fuzz target: any bytes as the record of a service; what is read is written, and read the same */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/service/record.h"

/* Nothing that is read may lead a URL, a header or a terminal elsewhere. */
static void check(const struct mu_service_record *r)
{
    if (!mu_service_name_is_good(r->name) || strpbrk(r->address, "/@?#\\ \r\n") || !r->address[0])
        abort();
    if (strpbrk(r->token, "\r\n ") || strlen(r->token) % 32 != 0 || r->port < 1 || r->port > 65535)
        abort();
    for (const char *p = r->model; *p; p++) {
        if ((unsigned char)*p < ' ')
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_buf text = MU_BUF_INIT("a record", 2 * MU_SERVICE_RECORD_BYTES_MAX);
    struct mu_service_record r, again;
    struct mu_err e;
    json_t *o;
    mu_json_init();
    if (mu_service_record_parse(&r, (struct mu_str){(const char *)data, n}, &e) != MU_OK)
        return 0;
    check(&r);
    if (mu_service_record_json(&r, true, &o, &e) != MU_OK || mu_json_dump(&text, o, true, &e) != MU_OK)
        abort();
    json_decref(o);
    if (mu_service_record_parse(&again, mu_buf_str(&text), &e) != MU_OK || memcmp(&r, &again, sizeof r) != 0)
        abort();
    mu_buf_fini(&text);
    return 0;
}
