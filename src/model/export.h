/* export.h - a GGUF checkpoint told in Hugging Face's terms: names and rows of its tensors, and a config.json
 *
 * fmt/convert.h writes the tensors, with the two hooks given here. Families whose GGUF differs from the published files
 * by names and the order of rows: llama (Llama, Code Llama, Mistral), qwen2, qwen3 and falcon. */
#ifndef MU_MODEL_EXPORT_H
#define MU_MODEL_EXPORT_H

#include "base/buf.h"
#include "base/dtype.h"
#include "fmt/weights.h"
#include <muster/err.h>

struct mu_export;

/* w: an open GGUF checkpoint, borrowed until close. where names it in sentences. MU_EUNSUPPORTED: another family, or a
 * tensor that the model's config does not call for (frequency factors of the rotation are: they go to the config). */
int mu_export_open(struct mu_export **out, struct mu_weights *w, const char *where, struct mu_err *e);
void mu_export_close(struct mu_export *x); /* NULL is fine */

/* Hooks of mu_convert(), x as their argument. Names live until close. One thread at a time. */
const char *mu_export_name(void *x, const char *gguf_name);
uint64_t mu_export_row(void *x, const struct mu_tensor_info *t, uint64_t row);

/* Appends the text of config.json: mu_spec_from_config() reads the network that mu_spec_from_gguf() saw. dtype: what
 * the weights are written in; MU_DTYPE_N: as stored. */
int mu_export_config(const struct mu_export *x, enum mu_dtype dtype, struct mu_buf *out, struct mu_err *e);

#endif
