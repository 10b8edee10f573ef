/* The little file access that loading and keeping a configuration needs. */
#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

#include <stddef.h>
#include <sys/types.h>

/* Reads a whole file of at most `max` bytes into *data (the caller's, terminated by an extra NUL
 * that *len does not count). Otherwise a negative code, with the text for people in `why`. Regular
 * files, pipes and devices are all read to their end or to the limit; one that gives nothing does
 * not keep the caller for ever: a pipe may be without a writer for FILE_NO_WRITER_MS, and one with
 * a writer, or a terminal, silent for FILE_SILENT_MS. */
enum { FILE_NO_WRITER_MS = 2000, FILE_SILENT_MS = 30000 };
int file_read(const char *path, size_t max, char **data, size_t *len, char *why, size_t why_size);

/* Makes `dir` and what is missing above it, each with `mode`. 0 when it exists already. */
int file_make_dir(const char *dir, mode_t mode, char *why, size_t why_size);

/* Puts dir/name in place atomically: a reader sees the old content or all of the new one. The file
 * has mode 0600 from its first moment. `dir` is made with mode 0700 when it is missing. */
int file_store(const char *dir, const char *name, const char *data, size_t len, char *why,
               size_t why_size);

#endif
