// The few services of Linux that the port uses.

#include <stddef.h>

long linux_read(int file, void *bytes, size_t size);
long linux_write(int file, const void *bytes, size_t size);
