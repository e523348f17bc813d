/* yaml.c - fuzz target: any text as YAML; lines and tags of the tree are asked for */
#include <stdint.h>

#include "base/yaml.h"

static void visit(const struct mu_yaml *y, json_t *node, int *left)
{
    const char *key;
    json_t *child;
    size_t i;
    if (--*left < 0)
        return;
    mu_yaml_line(y, node);
    mu_yaml_tag(y, node);
    json_object_foreach(node, key, child)
    {
        mu_yaml_key_line(y, node, key);
        visit(y, child, left);
    }
    json_array_foreach(node, i, child)
    {
        mu_yaml_item_line(y, node, i);
        visit(y, child, left);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_yaml *y = NULL;
    struct mu_err err;
    int left = 10000; /* aliases make one node many */
    if (mu_yaml_parse(&y, (struct mu_str){(const char *)data, n}, "fuzz", &err) == MU_OK)
        visit(y, mu_yaml_root(y), &left);
    mu_yaml_free(y);
    return 0;
}
