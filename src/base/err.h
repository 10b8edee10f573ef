/* The one error idiom: a function that can fail returns 0 or one of these negative codes. Text for
 * people is formed where the fact is known, never from the code alone. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum err {
    ERR_OK = 0,
    ERR_MORE = -1,   /* not an error: the input ends before the unit does; give more bytes */
    ERR_SYNTAX = -2, /* the bytes do not follow the grammar */
    ERR_LIMIT = -3,  /* a named limit would be exceeded */
    ERR_TYPE = -4,   /* a known grammar with an unknown or unexpected kind */
    ERR_NOTNOW = -5, /* not allowed now */
    ERR_AUTH = -6,   /* proof missing or wrong */
    ERR_CRYPTO = -7, /* the crypto library refused */
    ERR_IO = -8,     /* a file or socket call failed; errno or the log has more */
    ERR_EXISTS = -9, /* the name, port or id is taken */
    ERR_NOTFOUND = -10,
};

const char *err_name(int code);

#endif
