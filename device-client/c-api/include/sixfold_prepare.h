#ifndef SIXFOLD_PREPARE_H
#define SIXFOLD_PREPARE_H

/* Written by SIXFOLD_BLESS=1 cargo test -p sixfold-c --test header */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "sixfold_boot.h"


/**
 * How often a relay is asked for before the search is given up.
 */
#define SIXFOLD_DISCOVERY_ROUNDS 3

/**
 * How long an answer may take, in milliseconds (DEFAULT_LEISURE, RFC 7252 §8.2).
 */
#define SIXFOLD_DISCOVERY_ROUND_MS 6000

/**
 * Room for a question, in bytes.
 */
#define SIXFOLD_DISCOVERY_QUESTION 43

/**
 * RFC 7217 §5: the shortest secret, in bytes.
 */
#define SIXFOLD_SHORTEST_SECRET 16

/**
 * What came of a preparation. What is not in flash yet was refused before anything was written.
 */
typedef enum sixfold_prepared {
  /**
   * A ticket is in flash.
   */
  SIXFOLD_PREPARED_TICKET = 0,
  /**
   * The device runs this image already.
   */
  SIXFOLD_PREPARED_RUNS,
  /**
   * A null pointer, or an argument out of range: the calling program is to blame.
   */
  SIXFOLD_PREPARED_ARGUMENT,
  /**
   * The relay has no such manifest, index or image.
   */
  SIXFOLD_PREPARED_NOT_FOUND,
  /**
   * No answer in time: relay or link.
   */
  SIXFOLD_PREPARED_SILENCE,
  /**
   * Manifest, index or image changed more than three times while they were fetched.
   */
  SIXFOLD_PREPARED_UNSTABLE,
  /**
   * The relay refuses, or its answers make no sense.
   */
  SIXFOLD_PREPARED_REFUSED,
  /**
   * The manifest is none, or says what is not understood.
   */
  SIXFOLD_PREPARED_MALFORMED,
  /**
   * The manifest is not signed by anybody whom this device trusts.
   */
  SIXFOLD_PREPARED_UNTRUSTED,
  /**
   * A signature is wrong: of the manifest, or in the chain of certificates.
   */
  SIXFOLD_PREPARED_BAD_SIGNATURE,
  /**
   * A certificate is expired, or not valid yet.
   */
  SIXFOLD_PREPARED_OUT_OF_TIME,
  /**
   * A certificate is revoked.
   */
  SIXFOLD_PREPARED_REVOKED,
  /**
   * There are revocation lists, but none that tells whether a certificate is revoked.
   */
  SIXFOLD_PREPARED_UNKNOWN_REVOCATION,
  /**
   * The manifest is for devices of another vendor.
   */
  SIXFOLD_PREPARED_VENDOR,
  /**
   * The manifest is for devices of another class.
   */
  SIXFOLD_PREPARED_CLASS,
  /**
   * The manifest was superseded.
   */
  SIXFOLD_PREPARED_SEQUENCE,
  /**
   * The image that runs has the manifest's sequence number, and is another one.
   */
  SIXFOLD_PREPARED_REUSED,
  /**
   * The image is too large for the slot.
   */
  SIXFOLD_PREPARED_TOO_LARGE,
  /**
   * Chunks are not made of whole erase pages.
   */
  SIXFOLD_PREPARED_CHUNK_SIZE,
  /**
   * The chunk index is not the one that was signed.
   */
  SIXFOLD_PREPARED_INDEX,
  /**
   * The manifest names no resource that can be fetched.
   */
  SIXFOLD_PREPARED_TARGET,
  /**
   * The relay's image has another size than the signed one.
   */
  SIXFOLD_PREPARED_OTHER_SIZE,
  /**
   * Record or image do not fit their places in flash, or the library was built for other flash.
   */
  SIXFOLD_PREPARED_LAYOUT,
  /**
   * The flash failed.
   */
  SIXFOLD_PREPARED_FLASH,
  /**
   * Manifest or index are longer than they may be.
   */
  SIXFOLD_PREPARED_TOO_LONG,
  /**
   * The image is encrypted, and not for the key of this device.
   */
  SIXFOLD_PREPARED_NO_CONTENT_KEY,
} sixfold_prepared;

/**
 * What an interface identifier is made of (RFC 7217 §5).
 */
typedef struct sixfold_origin {
  /**
   * An address in the network that the device is in, of which the first 8 bytes count. For link-local addresses, `fe80::`.
   */
  uint8_t prefix[16];
  /**
   * The name of the interface; ends with a zero byte.
   */
  const char *interface;
  /**
   * What else tells this network from others, such as a PAN ID; may be null.
   */
  const uint8_t *network;
  /**
   * So many bytes.
   */
  size_t network_length;
  /**
   * How often duplicate address detection found the address taken.
   */
  uint8_t dad_counter;
  /**
   * A secret that this device never gives away and keeps for ever.
   */
  const uint8_t *secret;
  /**
   * So many bytes: `SIXFOLD_SHORTEST_SECRET` at least.
   */
  size_t secret_length;
} sixfold_origin;

/**
 * The way to the relay. Each callback gets `context`.
 */
typedef struct sixfold_link {
  /**
   * Handed to each callback.
   */
  void *context;
  /**
   * Sends a datagram to the relay. It may get lost.
   */
  void (*send)(void *context, const uint8_t *datagram, size_t length);
  /**
   * Waits for a datagram from the relay until a time, in microseconds of `now`'s clock. Gives its length, which is `size`
   * at most, or 0 when none came.
   */
  size_t (*receive)(void *context, uint8_t *buffer, size_t size, uint64_t until_us);
  /**
   * A monotonic clock, in microseconds.
   */
  uint64_t (*now)(void *context);
} sixfold_link;

/**
 * What is to be prepared. Texts end with a zero byte.
 */
typedef struct sixfold_request {
  /**
   * The relay's IPv6 address, from which the boot program will fetch.
   */
  uint8_t relay_address[16];
  /**
   * Its UDP port.
   */
  uint16_t relay_port;
  /**
   * The manifest: a path at the relay, such as `/fw/lamp.bin.suit`.
   */
  const char *manifest;
  /**
   * The publisher's public key in PEM, for SUIT; null to trust none.
   */
  const char *key;
  /**
   * A certification authority's certificates in PEM, for CMS; null to trust none.
   */
  const char *anchor;
  /**
   * Revocation lists in PEM; may be null.
   */
  const char *crl;
  /**
   * The device's key for encrypted images: 32 hexadecimal digits of a key that its publisher has too, or its private key on P-256 in
   * PEM (PKCS #8); null when it has none.
   */
  const char *key_encryption_key;
  /**
   * The time, in seconds since 1970, for the validity of certificates.
   */
  uint64_t unix_time;
  /**
   * The vendor identifier: a UUID (RFC 9124 §3.3).
   */
  uint8_t vendor[16];
  /**
   * The class identifier: a UUID (RFC 9124 §3.4).
   */
  uint8_t class_[16];
  /**
   * The lower half of the boot program's addresses (RFC 7217).
   */
  uint8_t interface_identifier[8];
  /**
   * The largest block that the boot program has room for: an exponent 0 to 6 for 16 to 1024 bytes.
   */
  uint8_t szx;
  /**
   * Whether to ask the relay for a group, in which the boot program can hear what is sent to many devices.
   */
  bool group;
  /**
   * No manifest with a lower sequence number is accepted, whatever the flash says; 0 when nothing is known.
   */
  uint64_t last_sequence_number;
  /**
   * Random bits, hard to guess.
   */
  uint32_t seed;
} sixfold_request;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Writes the question for a relay: to be sent to `ff02::fd`, port 5683, on the interface of one link, for each `round` from 0 to
 * `SIXFOLD_DISCOVERY_ROUNDS - 1`, as long as nobody answers. `seed` is the same in all rounds of a search, differs from search
 * to search, and is hard to guess. Gives the length; 0 when `buffer` is null or has less room than
 * `SIXFOLD_DISCOVERY_QUESTION`.
 *
 * # Safety
 * `buffer` is null or has room for `size` bytes.
 */
size_t sixfold_discovery_question(uint32_t seed,
                                  uint32_t round,
                                  uint8_t *buffer,
                                  size_t size);

/**
 * Whether a datagram is a relay's answer to a question with this `seed`: then whoever sent it is the relay.
 *
 * # Safety
 * `datagram` is null or points to `length` bytes.
 */
bool sixfold_discovery_answer(uint32_t seed,
                              const uint8_t *datagram,
                              size_t length);

/**
 * The interface identifier of `origin` (RFC 7217): 8 bytes, for `sixfold_request`. False, and nothing is written, when a pointer
 * is null that must not be, or the secret is too short.
 *
 * # Safety
 * Pointers are null or point to what they say; `identifier` has room for 8 bytes.
 */
bool sixfold_interface_identifier(const struct sixfold_origin *origin,
                                  uint8_t *identifier);

/**
 * A `sixfold_prepared` in words: English, without a full stop, for ever valid.
 */
const char *sixfold_prepared_text(int prepared);

/**
 * Fetches and judges a manifest, and leaves a ticket for the boot program. Blocks until that is done or refused. What went
 * wrong in detail is written to `message`, which has room for `size` bytes with the zero byte at the end; null to leave it out.
 *
 * # Safety
 * Pointers are null or point to what they say, and callbacks do what they say.
 */
enum sixfold_prepared sixfold_prepare(const sixfold_flash *flash,
                                      const sixfold_layout *layout,
                                      const struct sixfold_link *link,
                                      const struct sixfold_request *request,
                                      char *message,
                                      size_t size);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SIXFOLD_PREPARE_H */
