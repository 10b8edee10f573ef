/* A peer of the real frp, played by hand: yamux frames, messages and the control cipher written
 * down from the protocol text (doc/PROTOCOL.md), with nothing of ours in between, so that no
 * mistake of our encoder can hide the same one in our decoder. What it hears becomes lines of the
 * script's text; it checks that the other end keeps to the windows that it grants. */
#ifndef SCRIPT_RAW_PEER_H
#define SCRIPT_RAW_PEER_H

#include <openssl/evp.h>

#include "conversation.h"

enum {
    RAW_GRANT = 0x5c0000, /* what frp adds to the first window of a stream */
    RAW_KEY_SIZE = 33,
};

/* Vectors of the protocol text. */
#define V10_LOGIN                                                                                  \
    "6f00000000000000a97b2276657273696f6e223a22302e37302e31222c22686f73746e616d65223a2268222c226f" \
    "73223a226c696e7578222c2261726368223a22616d643634222c2270726976696c6567655f6b6579223a22323262" \
    "6436333333663834306565656565303361643134663735666439366163222c2274696d657374616d70223a313730" \
    "303030303030302c22636c69656e745f73706563223a7b7d2c22706f6f6c5f636f756e74223a317d"
#define V11_LOGIN_RESP                                                                             \
    "3100000000000000307b2276657273696f6e223a22302e37302e31222c2272756e5f6964223a2230313233343536" \
    "373839616263646566227d"
#define V13_NEW_WORK_CONN                                                                          \
    "77000000000000001d7b2272756e5f6964223a2230313233343536373839616263646566227d"
#define V13_START_WORK_CONN                                                                        \
    "7300000000000000657b2270726f78795f6e616d65223a227431222c227372635f61646472223a223139322e302e" \
    "322e37222c226473745f61646472223a223139382e35312e3130302e31222c227372635f706f7274223a34303030" \
    "302c226473745f706f7274223a363030307d"
/* A Ping, then NewProxy of t1 on 6000, enciphered with the token "abc" and the IV 00 ... 0f. */
#define V16_PING "000102030405060708090a0b0c0d0e0fc6740161fd1427c7cbb905"
#define V16_NEW_PROXY                                                                              \
    "f297902f91335bf08edff86e6d3341d213078f539471c3b1579891e8f250ad838ab84dce1d1635538992546746e9" \
    "44f6b34d36321f977681cb101a4b626ee5399dbd"

struct raw_stream {
    uint32_t id;
    bool relay;         /* messages are over, bytes of users follow */
    EVP_CIPHER_CTX *in; /* NULL: clear */
    EVP_CIPHER_CTX *out;
    uint8_t iv[16];
    unsigned iv_got;
    bool iv_sent;
    uint8_t *data; /* of an incomplete message */
    size_t len;
    int64_t window; /* what the other end may still send */
    bool failed;
};

struct raw {
    struct script *t;
    enum script_side plays;
    bool no_ack;   /* leaves opened streams unacknowledged */
    bool blind;    /* windows are not checked */
    bool no_grant; /* opens and acknowledges with the first window only */
    char counted;  /* messages of this type are counted and not written down; 0: none */
    unsigned count;
    uint8_t *data; /* of an incomplete frame */
    size_t len;
    struct raw_stream **streams;
    size_t n_streams;
};

/* Takes the place of one end of `t`. */
void raw_init(struct raw *r, struct script *t, enum script_side plays);
void raw_free(struct raw *r);

/* All of these only put bytes on their way; script_run or script_deliver delivers them. */
void raw_open(struct raw *r, uint32_t id);
void raw_grant(struct raw *r, uint32_t id, uint32_t delta);
void raw_ack(struct raw *r, uint32_t id);
void raw_fin(struct raw *r, uint32_t id);
void raw_rst(struct raw *r, uint32_t id);
void raw_ping(struct raw *r, uint32_t id);
void raw_go_away(struct raw *r, uint32_t code);
/* A message in a data frame of its own. The control stream's cipher is switched on as frp does:
 * behind a Login and behind a LoginResp without error. */
void raw_say(struct raw *r, uint32_t id, char type, const char *json);
/* Bytes in a data frame, through the cipher when it is on. */
void raw_bytes(struct raw *r, uint32_t id, const void *data, size_t len);
/* The same from hexadecimal digits, past the cipher. */
void raw_hex(struct raw *r, uint32_t id, const char *hex);
/* Bytes of no frame of ours; they may grant or end anything, so windows are checked no longer. */
void raw_wire(struct raw *r, const void *data, size_t len);
/* Both directions of the stream are enciphered from here on. */
void raw_encipher(struct raw *r, uint32_t id);

/* Writes type, length and JSON to `out`; the length of it all. */
size_t raw_message(uint8_t *out, char type, const char *json);
/* frp's privilege key of the token "abc". */
const char *raw_privilege_key(char out[RAW_KEY_SIZE], int64_t timestamp);
/* How many bytes `hex` stands for, written to `out`. */
size_t raw_from_hex(uint8_t *out, const char *hex);

#endif
