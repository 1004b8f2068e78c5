// The few services of Linux that the port uses: arch/xtensa/kernel/syscalls/syscall.tbl has the numbers, and
// Documentation/xtensa says which registers carry what.

#include <stdint.h>
#include <stdlib.h>

#include "linux.h"

enum { NR_READ = 12, NR_WRITE = 13, NR_EXIT = 118 };

static long call(long number, long a, long b, long c) {
    register long a2 __asm__("a2") = number;
    register long a6 __asm__("a6") = a;
    register long a3 __asm__("a3") = b;
    register long a4 __asm__("a4") = c;
    __asm__ volatile ("syscall" : "+r" (a2) : "r" (a6), "r" (a3), "r" (a4) : "memory");
    return a2;
}

long linux_read(int file, void *bytes, size_t size) {
    return call(NR_READ, file, (long)bytes, size);
}

long linux_write(int file, const void *bytes, size_t size) {
    return call(NR_WRITE, file, (long)bytes, size);
}

void exit(int status) {
    for (;;) {
        call(NR_EXIT, status, 0, 0);
    }
}

void abort(void) {
    exit(134);
}
