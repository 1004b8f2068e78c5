// A user C module: `triangle.number(n)` is 0 + 1 + … + n.

#include "py/runtime.h"

static mp_obj_t triangle_number(mp_obj_t n_in) {
    mp_int_t n = mp_obj_get_int(n_in);
    if (n < 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("n must not be negative"));
    }
    return mp_obj_new_int(n * (n + 1) / 2);
}
static MP_DEFINE_CONST_FUN_OBJ_1(triangle_number_obj, triangle_number);

static const mp_rom_map_elem_t triangle_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_triangle) },
    { MP_ROM_QSTR(MP_QSTR_number), MP_ROM_PTR(&triangle_number_obj) },
};
static MP_DEFINE_CONST_DICT(triangle_globals, triangle_globals_table);

const mp_obj_module_t triangle_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&triangle_globals,
};

MP_REGISTER_MODULE(MP_QSTR_triangle, triangle_module);
