/* safetensors.c - any bytes as a .safetensors file: refused with a sentence, or readable to the last tensor */
#include "fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *path = fuzz_file(data, n);
    fuzz_read_all(path, MU_READ_DIRECT);
    fuzz_read_all(path, MU_READ_MMAP);
    return 0;
}
