/* Strings to pointers: a chained hash that doubles as it fills. Owns copies of the keys. Keys come
 * from peers, so the hash is seeded per map. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

struct map_entry;

struct map {
    struct map_entry **buckets;
    size_t n_buckets; /* 0 or a power of two */
    size_t count;
    uint64_t seed;
};

/* `seed` should be unpredictable to whoever chooses the keys. */
void map_init(struct map *m, uint64_t seed);
/* NULL when absent. */
void *map_get(const struct map *m, const char *key);
/* `value` is not NULL; replaces what was there. */
void map_put(struct map *m, const char *key, void *value);
/* Returns what was there, NULL when absent. */
void *map_remove(struct map *m, const char *key);
/* Forgets all entries; the values are their owners'. */
void map_clear(struct map *m);

#endif
