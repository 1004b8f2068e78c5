"""Links object files with the mpy_ld.py of a MicroPython tree, and says which literals it got wrong.

    mpy_ld.py TOOLS ARCH FILE.o...

One line for each literal that points elsewhere than the object file says, and "literals RIGHT WRONG".
"""

import inspect
import struct
import sys

tools, arch, *files = sys.argv[1:]
sys.path.insert(0, tools)
import mpy_ld

env = mpy_ld.LinkEnv(arch)
takes_file = len(inspect.signature(mpy_ld.load_object_file).parameters) == 3
for name in files:
    if takes_file:
        with open(name, "rb") as file:
            mpy_ld.load_object_file(env, file, name)
    else:
        mpy_ld.load_object_file(env, name)
counts = len(inspect.signature(mpy_ld.link_objects).parameters) - 1
mpy_ld.link_objects(env, *[0] * counts)

right = wrong = 0
for section in env.literal_sections:
    for relocation in section.reloc:
        symbol = getattr(relocation.sym, "resolved", relocation.sym)
        offset = relocation["r_offset"]
        in_place = struct.unpack_from("<I", section.data, offset)[0]
        expected = symbol.section.addr + symbol["st_value"] + in_place + relocation["r_addend"]
        key = env.xt_literals["{}+0x{:x}".format(section.filename, offset)]
        if env.got_entries[key].link_addr == expected:
            right += 1
        else:
            wrong += 1
            print("wrong", key)
print("literals", right, wrong)
