// Where Linux starts the program: the stack pointer is set, and points to the arguments.

    .text
    .align 4
    .global _start
    .type _start, @function
_start:
    movi a0, 0              // Nobody called.
#if PORT_WINDOWED
    mov a6, a1
    call4 port_main
#else
    mov a2, a1
    addi a1, a1, -32
    call0 port_main
#endif
1:
    j 1b
