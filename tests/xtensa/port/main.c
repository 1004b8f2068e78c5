// Runs the script on standard input, and ends with 0, or with 1 after an exception that nothing caught.

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "py/builtin.h"
#include "py/compile.h"
#include "py/gc.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "py/stackctrl.h"

#include "linux.h"
#include "port.h"

enum { STDIN = 0, STDOUT = 1, STACK_LIMIT = 400 * 1024 };

static char heap[4 * 1024 * 1024] __attribute__((aligned(16)));
static char script[2 * 1024 * 1024];

mp_uint_t mp_hal_stdout_tx_strn(const char *text, size_t length) {
    linux_write(STDOUT, text, length);
    return length;
}

void mp_hal_stdout_tx_strn_cooked(const char *text, size_t length) {
    mp_hal_stdout_tx_strn(text, length);
}

void mp_hal_stdout_tx_str(const char *text) {
    mp_hal_stdout_tx_strn(text, strlen(text));
}

int mp_hal_stdin_rx_chr(void) {
    return -1;
}

void nlr_jump_fail(void *value) {
    (void)value;
    mp_hal_stdout_tx_str("an exception outside of everything\n");
    exit(1);
}

int (setjmp)(jmp_buf buffer) {
    (void)buffer;
    mp_hal_stdout_tx_str("setjmp was called as a function\n");
    exit(1);
}

static size_t read_script(void) {
    size_t size = 0;
    long count;
    while ((count = linux_read(STDIN, script + size, sizeof(script) - size)) > 0) {
        size += count;
    }
    return size;
}

static int run(size_t size) {
    nlr_buf_t nlr;
    if (nlr_push(&nlr) == 0) {
        mp_lexer_t *lexer = mp_lexer_new_from_str_len(MP_QSTR__lt_stdin_gt_, script, size, 0);
        qstr name = lexer->source_name;
        mp_parse_tree_t tree = mp_parse(lexer, MP_PARSE_FILE_INPUT);
        mp_call_function_0(mp_compile(&tree, name, false));
        nlr_pop();
        return 0;
    }
    mp_obj_t exception = MP_OBJ_FROM_PTR(nlr.ret_val);
    if (mp_obj_is_subclass_fast(MP_OBJ_FROM_PTR(mp_obj_get_type(exception)), MP_OBJ_FROM_PTR(&mp_type_SystemExit))) {
        return 0;
    }
    mp_obj_print_exception(&mp_plat_print, exception);
    return 1;
}

void port_main(void *stack) {
    port_stack_top = stack;
    mp_stack_set_top(stack);
    mp_stack_set_limit(STACK_LIMIT);
    gc_init(heap, heap + sizeof(heap));
    mp_init();
    exit(run(read_script()));
}
