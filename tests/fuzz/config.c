/* config.c - any text as generation_config.json, as config.json, and as an index of shards */
#include <stddef.h>
#include <stdint.h>

#include "fmt/generation.h"
#include "fmt/shards.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_str text = {(const char *)data, n};
    struct mu_generation gen;
    struct mu_shards shards;
    struct mu_err err;
    json_t *tree;
    if (mu_json_parse(&tree, text, "input", &err) == MU_OK) {
        mu_generation_parse(&gen, tree, NULL, "generation_config.json", "config.json", &err);
        mu_generation_parse(&gen, NULL, tree, "generation_config.json", "config.json", &err);
        mu_generation_parse(&gen, tree, tree, "generation_config.json", "config.json", &err);
        json_decref(tree);
    }
    if (mu_shards_parse(&shards, text, "index", &err) == MU_OK)
        mu_shards_fini(&shards);
    return 0;
}
