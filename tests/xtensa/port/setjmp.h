// GCC's own, which need no library. `__builtin_longjmp` can only return 1, and MicroPython asks for nothing else.

typedef void *jmp_buf[16];

// The table that native code calls MicroPython through has it as a function, for Python that is compiled to
// native code. Modules in C don't call it.
int (setjmp)(jmp_buf buffer);

#define setjmp(buffer) __builtin_setjmp(buffer)
#define longjmp(buffer, value) __builtin_longjmp(buffer, 1)
