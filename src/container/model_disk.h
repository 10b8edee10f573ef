/* What the disk has of a model, and what room there is. Changes nothing. */
#ifndef CONTAINER_MODEL_DISK_H
#define CONTAINER_MODEL_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "container/model.h"

/* Bytes of the model below the cache `dir`, whole files and those that are still coming. */
uint64_t model_bytes(const char *dir, const char *name);
/* Whether it was fetched whole once: there is a snapshot, and no file is still coming. */
bool model_cached(const char *dir, const char *name);
/* Of the file system that `path`, or the nearest directory above it that is there, is on. */
struct model_space model_space_at(const char *path);

#endif
