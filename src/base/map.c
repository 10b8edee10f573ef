#include "base/map.h"

#include <string.h>

#include "base/mem.h"

enum { FIRST_BUCKETS = 16 };

struct map_entry {
    struct map_entry *next;
    uint64_t hash;
    void *value;
    char key[];
};

/* FNV-1a from a secret start, finished so that the low bits depend on all of it. */
static uint64_t hash_of(const struct map *m, const char *key)
{
    uint64_t h = m->seed ^ 0xcbf29ce484222325ULL;

    for (; *key != '\0'; key++)
        h = (h ^ (uint8_t)*key) * 0x100000001b3ULL;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93ULL;
    return h ^ h >> 32;
}

void map_init(struct map *m, uint64_t seed)
{
    *m = (struct map){.seed = seed};
}

static struct map_entry **find(const struct map *m, const char *key, uint64_t hash)
{
    struct map_entry **at = &m->buckets[hash & (m->n_buckets - 1)];

    while (*at != NULL && ((*at)->hash != hash || strcmp((*at)->key, key) != 0))
        at = &(*at)->next;
    return at;
}

void *map_get(const struct map *m, const char *key)
{
    struct map_entry *e;

    if (m->n_buckets == 0)
        return NULL;
    e = *find(m, key, hash_of(m, key));
    return e ? e->value : NULL;
}

static void grow(struct map *m)
{
    struct map_entry **old = m->buckets;
    size_t n_old = m->n_buckets;

    m->n_buckets = n_old ? n_old * 2 : FIRST_BUCKETS;
    m->buckets = mem_zalloc(m->n_buckets * sizeof(struct map_entry *));
    for (size_t i = 0; i < n_old; i++) {
        struct map_entry *e = old[i];

        while (e != NULL) {
            struct map_entry *next = e->next;
            struct map_entry **at = &m->buckets[e->hash & (m->n_buckets - 1)];

            e->next = *at;
            *at = e;
            e = next;
        }
    }
    mem_free(old);
}

void map_put(struct map *m, const char *key, void *value)
{
    uint64_t hash = hash_of(m, key);
    size_t len = strlen(key) + 1;
    struct map_entry **at;
    struct map_entry *e;

    if (m->count >= m->n_buckets)
        grow(m);
    at = find(m, key, hash);
    if (*at != NULL) {
        (*at)->value = value;
        return;
    }
    e = mem_alloc(sizeof(*e) + len);
    e->next = NULL;
    e->hash = hash;
    e->value = value;
    memcpy(e->key, key, len);
    *at = e;
    m->count++;
}

void *map_remove(struct map *m, const char *key)
{
    struct map_entry **at;
    struct map_entry *e;
    void *value;

    if (m->n_buckets == 0)
        return NULL;
    at = find(m, key, hash_of(m, key));
    e = *at;
    if (e == NULL)
        return NULL;
    *at = e->next;
    value = e->value;
    mem_free(e);
    m->count--;
    return value;
}

void map_clear(struct map *m)
{
    for (size_t i = 0; i < m->n_buckets; i++) {
        struct map_entry *e = m->buckets[i];

        while (e != NULL) {
            struct map_entry *next = e->next;

            mem_free(e);
            e = next;
        }
    }
    mem_free(m->buckets);
    map_init(m, m->seed);
}
