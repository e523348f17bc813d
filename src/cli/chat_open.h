/* chat_open.h - the chat template for a command: a file given by hand, else the model's own */
#ifndef MU_CLI_CHAT_OPEN_H
#define MU_CLI_CHAT_OPEN_H

#include <muster/tokenizer.h>

#include "tok/chat.h"

/* model: folder or file; template_path: NULL for the model's own. The tokenizer names the special tokens where the
 * template comes without its folder. MU_ENOENT when there is none. */
int mu_chat_open(struct mu_chat **out, const char *model, const char *template_path, const mu_tokenizer *tok,
                 struct mu_err *e);

#endif
