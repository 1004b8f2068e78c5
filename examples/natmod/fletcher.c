// Fletcher's checksum of bytes: sum(data) gives the 16-bit one.

#include "py/dynruntime.h"

static mp_obj_t sum(mp_obj_t data) {
    mp_buffer_info_t bytes;
    mp_get_buffer_raise(data, &bytes, MP_BUFFER_READ);
    uint32_t low = 0, high = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        // Both stay below 255, without a division.
        low += ((const uint8_t *)bytes.buf)[i];
        low = (low & 0xff) + (low >> 8);
        high += low;
        high = (high & 0xff) + (high >> 8);
    }
    low = low == 255 ? 0 : low;
    high = high == 255 ? 0 : high;
    return mp_obj_new_int(high << 8 | low);
}
static MP_DEFINE_CONST_FUN_OBJ_1(sum_obj, sum);

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    MP_DYNRUNTIME_INIT_ENTRY
    mp_store_global(MP_QSTR_sum, MP_OBJ_FROM_PTR(&sum_obj));
    MP_DYNRUNTIME_INIT_EXIT
}
