"""embed.py LIBRARY OUT.c: the library's bytes as an array, for src/container/bind_guard.c."""

import sys

with open(sys.argv[1], "rb") as file:
    data = file.read()
lines = [",".join(map(str, data[at : at + 24])) for at in range(0, len(data), 24)]
with open(sys.argv[2], "w", encoding="ascii") as file:
    file.write('#include "container/bind_guard_image.h"\n\n')
    file.write("const unsigned char bind_guard_image[] = {\n" + ",\n".join(lines) + ",\n};\n")
    file.write("const size_t bind_guard_image_size = sizeof(bind_guard_image);\n")
