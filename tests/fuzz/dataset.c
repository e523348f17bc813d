/* dataset.c - fuzz target: the first byte chooses JSON Lines, a field of JSON, or CSV; the rest are documents */
#include <stdint.h>

#include "base/json.h"
#include "eval/dataset_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_err err;
    if (n == 0)
        return 0;
    mu_json_init();
    struct mu_str text = {(const char *)data + 1, n - 1};
    json_t *rows = json_array();
    int rc = data[0] == 'c' ? mu_dataset_csv(text, "fuzz", ',', rows, &err)
                            : mu_dataset_json(text, "fuzz", data[0] == 'f' ? "data" : NULL, rows, &err);
    if (rc == MU_OK)
        mu_dataset_columns(rows, &err);
    json_decref(rows);
    return 0;
}
