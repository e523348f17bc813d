/* template.c - fuzz target: any text as a template, rendered with a small conversation. The first byte chooses between
 * chat and task templates. */
#include <stdint.h>

#include "base/json.h"
#include "tok/jinja/jinja.h"

static const char context[] =
    "{\"messages\": [{\"role\": \"user\", \"content\": \"hi \\u00fc\"}, {\"role\": \"assistant\","
    " \"content\": null, \"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\":"
    " {\"a\": [1, 2.5, true]}}}]}], \"bos_token\": \"<s>\", \"n\": 3, \"l\": [3, 1, 2]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static json_t *json;
    const struct mu_jinja_opts chat = MU_JINJA_CHAT("fuzz"), task = MU_JINJA_TASK("fuzz");
    const struct tm now = {.tm_year = 125, .tm_mday = 15};
    struct mu_buf out = MU_BUF_INIT("out", MU_JINJA_OUTPUT_MAX);
    struct mu_jinja *t = NULL;
    struct mu_err err;

    if (n == 0 || (!json && mu_json_parse(&json, MU_STR(context), "context", &err) != MU_OK))
        return 0;
    struct mu_str source = {(const char *)data + 1, n - 1};
    if (mu_jinja_compile(&t, source, data[0] & 1 ? &task : &chat, &err) == MU_OK)
        mu_jinja_render(t, json, &now, &out, &err);
    mu_jinja_free(t);
    mu_buf_fini(&out);
    return 0;
}
