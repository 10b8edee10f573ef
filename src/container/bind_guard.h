/* Puts the bind guard (src/guard/bind.c) where MLNode can load it. The library travels inside the
 * binary, so that the two cannot differ and one file is enough to install; the dynamic loader needs
 * a file, so it is written out unless the right one is there already, as in the image. */
#ifndef CONTAINER_BIND_GUARD_H
#define CONTAINER_BIND_GUARD_H

#include <stddef.h>

#include "config/server_config.h"

enum { BIND_GUARD_PATH_MAX = 512 };

/* Where the image has the file (it may be read-only there), then places for what lives as long as
 * the container. All may be read by MLNode under whatever user it runs. */
extern const char *const bind_guard_dirs[];

/* Takes mlgate-bind.so from the first of `dirs` (ends with NULL) that has it with exactly our
 * bytes; where none has, writes it into the first that takes it, beginning with the second: the
 * first is the image's. A directory or file that others may write is passed over, and so is a
 * directory from which nothing can be executed (noexec). 0 with the path in `path`; otherwise
 * ERR_IO, with what the last directory answered in `why`. */
int bind_guard_place(const char *const *dirs, char path[BIND_GUARD_PATH_MAX], char *why,
                     size_t why_size);

/* What bind_guard_place would do, changing nothing: 0 when the file is at `path`, ERR_NOTFOUND when
 * it would be written to `path`, ERR_IO with the reason in `why` when neither is possible. */
int bind_guard_look(const char *const *dirs, char path[BIND_GUARD_PATH_MAX], char *why,
                    size_t why_size);

/* BIND_GUARD_PORTS as the guard reads it, "5000-5128,8080". The caller's, released by mem_free. */
char *bind_guard_ports(const struct port_range *ranges, size_t count);

#endif
