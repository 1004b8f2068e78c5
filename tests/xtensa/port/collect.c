// The roots of the garbage collector: registers and stack.

#include <stdint.h>

#include "py/gc.h"
#include "py/mpstate.h"

#include "port.h"

void *port_stack_top;

static void collect_from(void *bottom) {
    void **from = (void **)((uintptr_t)bottom & ~(uintptr_t)(sizeof(void *) - 1));
    gc_collect_root(from, (void **)port_stack_top - from);
}

#if PORT_WINDOWED

void __xtensa_libgcc_window_spill(void);

// The registers of callers go to the stack, at most so far below their callee's frame.
enum { SAVE_AREA = 256 };

__attribute__((noinline)) void gc_collect(void) {
    gc_collect_start();
    __xtensa_libgcc_window_spill();
    collect_from((char *)__builtin_frame_address(0) - SAVE_AREA);
    gc_collect_end();
}

#else

__attribute__((noinline)) void gc_collect(void) {
    // What a callee must keep; all else is on the stack already.
    volatile uintptr_t registers[4];
    __asm__ volatile (
        "s32i a12, %0, 0\n"
        "s32i a13, %0, 4\n"
        "s32i a14, %0, 8\n"
        "s32i a15, %0, 12\n"
        : : "a" (registers) : "memory");
    gc_collect_start();
    collect_from((void *)registers);
    gc_collect_end();
}

#endif
