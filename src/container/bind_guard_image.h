/* mlgate-bind.so as a part of the binary; the build makes the file that defines it. */
#ifndef CONTAINER_BIND_GUARD_IMAGE_H
#define CONTAINER_BIND_GUARD_IMAGE_H

#include <stddef.h>

extern const unsigned char bind_guard_image[];
extern const size_t bind_guard_image_size;

#endif
