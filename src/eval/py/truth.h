/* truth.h - bool(v) of a JSON value as Python value: zero, "", [], {}, None and False are false */
#ifndef MU_EVAL_PY_TRUTH_H
#define MU_EVAL_PY_TRUTH_H

#include <stdbool.h>

#include <jansson.h>

static inline bool mu_py_truth(const json_t *v)
{
    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_STRING:
        return json_string_length(v) > 0;
    case JSON_ARRAY:
        return json_array_size(v) > 0;
    case JSON_OBJECT:
        return json_object_size(v) > 0;
    case JSON_INTEGER:
    case JSON_REAL:
        return json_number_value(v) != 0;
    case JSON_TRUE:
        return true;
    default:
        return false;
    }
}

#endif
