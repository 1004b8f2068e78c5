// A user C module: `answer.get()` is 42.

#include "py/runtime.h"

static mp_obj_t answer_get(void) {
    return MP_OBJ_NEW_SMALL_INT(42);
}
static MP_DEFINE_CONST_FUN_OBJ_0(answer_get_obj, answer_get);

static const mp_rom_map_elem_t answer_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_answer) },
    { MP_ROM_QSTR(MP_QSTR_get), MP_ROM_PTR(&answer_get_obj) },
};
static MP_DEFINE_CONST_DICT(answer_globals, answer_globals_table);

const mp_obj_module_t answer_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&answer_globals,
};

MP_REGISTER_MODULE(MP_QSTR_answer, answer_module);
