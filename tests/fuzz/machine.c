/* machine.c - fuzz target: any text as a cluster file; a machine that is read is written and read again */
#include <stdint.h>
#include <stdlib.h>

#include "base/yaml.h"
#include "plan/machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_machine m, again;
    struct mu_yaml *y = NULL;
    struct mu_err e;
    if (mu_yaml_parse(&y, (struct mu_str){(const char *)data, n}, "fuzz", &e) == MU_OK &&
        mu_machine_from_yaml(&m, y, "fuzz", &e) == MU_OK) {
        json_t *tree = mu_machine_json(&m);
        if (!tree || mu_machine_from_tree(&again, tree, "again", &e) != MU_OK || again.nodes != m.nodes ||
            again.devices != m.devices)
            abort();
        json_decref(tree);
    }
    mu_yaml_free(y);
    return 0;
}
