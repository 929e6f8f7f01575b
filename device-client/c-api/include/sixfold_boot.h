#ifndef SIXFOLD_BOOT_H
#define SIXFOLD_BOOT_H

/* Written by SIXFOLD_BLESS=1 cargo test -p sixfold-c --test header */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if UINTPTR_MAX > 0xffffffffu
#define SIXFOLD_BOOT_SIZE 592
#else
#define SIXFOLD_BOOT_SIZE 456
#endif

/**
 * One update. It is the calling program's memory, and says nothing before `sixfold_boot_begin`.
 */
typedef struct sixfold_boot {
  uint64_t opaque[SIXFOLD_BOOT_SIZE / 8];
} sixfold_boot;


/**
 * How many bytes a ticket needs in memory.
 */
#define SIXFOLD_TICKET_SIZE 512

/**
 * What came of a call.
 */
typedef enum sixfold_status {
  /**
   * Done.
   */
  SIXFOLD_STATUS_OK = 0,
  /**
   * A null pointer, or an argument out of range: the calling program is to blame.
   */
  SIXFOLD_STATUS_ARGUMENT,
  /**
   * A flash callback said that it failed.
   */
  SIXFOLD_STATUS_FLASH,
  /**
   * There is no ticket, or it is torn or out of range: prepare again.
   */
  SIXFOLD_STATUS_TICKET,
  /**
   * The chunk index is not the one that the ticket names: prepare again.
   */
  SIXFOLD_STATUS_INDEX,
  /**
   * Image or record do not fit their place, or the library was built for flash with other pages.
   */
  SIXFOLD_STATUS_LAYOUT,
  /**
   * The ticket's options do not fit a request, or the buffer is too small for it.
   */
  SIXFOLD_STATUS_REQUEST,
  /**
   * The ticket has a session that this library cannot use, and must not go on without: prepare again.
   */
  SIXFOLD_STATUS_SESSION,
} sixfold_status;

/**
 * What is to be done after a reset.
 */
typedef enum sixfold_action {
  /**
   * Run the image of `record`.
   */
  SIXFOLD_ACTION_RUN = 0,
  /**
   * Fetch the image of `record`. That of `fallback`, unless it is negative, can run instead: with two slots for as long as
   * this one does not arrive, with one slot only until `sixfold_boot_begin` succeeded.
   */
  SIXFOLD_ACTION_UPDATE,
  /**
   * No record is valid: what is in slot 0 came from the factory.
   */
  SIXFOLD_ACTION_NOTHING,
  /**
   * The only image was being replaced, and its record cannot be read any more: nothing may run.
   */
  SIXFOLD_ACTION_LOST,
} sixfold_action;

/**
 * What happened.
 */
typedef enum sixfold_event_kind {
  /**
   * Nothing worth telling.
   */
  SIXFOLD_EVENT_KIND_NONE = 0,
  /**
   * `done` of `all` chunks are whole.
   */
  SIXFOLD_EVENT_KIND_CHUNKS,
  /**
   * Something went wrong, `cause`: the device tries again at `until_us`.
   */
  SIXFOLD_EVENT_KIND_SLEEP,
  /**
   * The relay asked the device to come back at `until_us`.
   */
  SIXFOLD_EVENT_KIND_WAIT,
  /**
   * The image is whole and marked: it may run.
   */
  SIXFOLD_EVENT_KIND_BOOTABLE,
} sixfold_event_kind;

/**
 * Why a boot program sleeps.
 */
typedef enum sixfold_cause {
  /**
   * The relay does not answer.
   */
  SIXFOLD_CAUSE_SILENCE = 0,
  /**
   * The relay refuses, or its answers make no sense.
   */
  SIXFOLD_CAUSE_REFUSED,
  /**
   * The relay's image has another size than the signed one.
   */
  SIXFOLD_CAUSE_OTHER_SIZE,
  /**
   * A chunk is not what the publisher signed.
   */
  SIXFOLD_CAUSE_WRONG_CHUNK,
  /**
   * The image in flash is not what the publisher signed.
   */
  SIXFOLD_CAUSE_WRONG_IMAGE,
  /**
   * The relay, or somebody on the link, says that it does not know the session.
   */
  SIXFOLD_CAUSE_UNKNOWN_SESSION,
  /**
   * The session has no numbers left: prepare again.
   */
  SIXFOLD_CAUSE_NUMBERS_USED_UP,
} sixfold_cause;

/**
 * What became of the session of a ticket.
 */
typedef enum sixfold_session {
  /**
   * The ticket has none.
   */
  SIXFOLD_SESSION_NONE = 0,
  /**
   * Numbers are left.
   */
  SIXFOLD_SESSION_USABLE,
  /**
   * The relay did not know it, or had other keys.
   */
  SIXFOLD_SESSION_REFUSED,
  /**
   * There are no numbers left.
   */
  SIXFOLD_SESSION_USED_UP,
} sixfold_session;

/**
 * Flash with the rules of NOR flash: what is erased reads 0xff, and is written once before it is erased again. Offsets are in
 * bytes. Each callback gets `context`, and returns 0, or anything else when it failed.
 */
typedef struct sixfold_flash {
  /**
   * Handed to each callback.
   */
  void *context;
  /**
   * Reads `length` bytes, from any offset.
   */
  int (*read)(void *context, uint32_t offset, uint8_t *to, size_t length);
  /**
   * Writes `length` bytes; offset and length are multiples of `write_size`.
   */
  int (*write)(void *context, uint32_t offset, const uint8_t *from, size_t length);
  /**
   * Erases from one offset up to, not including, another; both are multiples of `page_size`.
   */
  int (*erase)(void *context, uint32_t from, uint32_t to);
  /**
   * The size of an erase page. It must be what the library was built for: `sixfold_page_size()`.
   */
  uint32_t page_size;
  /**
   * The smallest piece that is written. It must be what the library was built for: `sixfold_write_size()`.
   */
  uint32_t write_size;
} sixfold_flash;

/**
 * A place in flash: from one offset up to, not including, another.
 */
typedef struct sixfold_range {
  /**
   * Its first byte.
   */
  uint32_t start;
  /**
   * Behind its last byte.
   */
  uint32_t end;
} sixfold_range;

/**
 * The places of a device; all begin and end with an erase page. The image of each record goes to the slot of the same
 * number. A device with one slot names it twice.
 */
typedef struct sixfold_layout {
  /**
   * Where tickets, journals and chunk indexes are.
   */
  struct sixfold_range records[2];
  /**
   * Where images are.
   */
  struct sixfold_range slots[2];
} sixfold_layout;

/**
 * What is to be done after a reset, with what.
 */
typedef struct sixfold_choice {
  /**
   * What.
   */
  enum sixfold_action action;
  /**
   * With which record, 0 or 1; negative when with none.
   */
  int8_t record;
  /**
   * Whose image can run instead; negative when none can.
   */
  int8_t fallback;
} sixfold_choice;

/**
 * What the boot program's surroundings have to know of a ticket.
 */
typedef struct sixfold_ticket {
  /**
   * The relay's IPv6 address.
   */
  uint8_t relay_address[16];
  /**
   * The relay's UDP port.
   */
  uint16_t relay_port;
  /**
   * The lower half of the device's addresses (RFC 7217).
   */
  uint8_t interface_identifier[8];
  /**
   * Where the image goes; `end` is behind its last byte.
   */
  struct sixfold_range image;
  /**
   * Its SHA-256.
   */
  uint8_t image_digest[32];
} sixfold_ticket;

/**
 * What happened, for whoever shows progress. Only what the kind names is meant.
 */
typedef struct sixfold_event {
  /**
   * What.
   */
  enum sixfold_event_kind kind;
  /**
   * Why the device sleeps.
   */
  enum sixfold_cause cause;
  /**
   * Chunks that are whole.
   */
  uint32_t done;
  /**
   * All chunks.
   */
  uint32_t all;
  /**
   * A time, in microseconds.
   */
  uint64_t until_us;
} sixfold_event;

/**
 * A group that the relay sends blocks to.
 */
typedef struct sixfold_group {
  /**
   * Its IPv6 multicast address: to be joined on the interface towards the relay.
   */
  uint8_t address[16];
  /**
   * The UDP port that is sent to.
   */
  uint16_t port;
} sixfold_group;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * A `sixfold_status` in words: English, without a full stop, for ever valid.
 */
const char *sixfold_status_text(int status);

/**
 * A `sixfold_cause` in words: English, without a full stop, for ever valid.
 */
const char *sixfold_cause_text(int cause);

/**
 * The size of an erase page that the library was built for, in bytes.
 */
uint32_t sixfold_page_size(void);

/**
 * The smallest piece of flash to be written that the library was built for, in bytes.
 */
uint32_t sixfold_write_size(void);

/**
 * Decides after a reset. `ticket` is only used meanwhile.
 *
 * # Safety
 * Pointers are null or point to what they say.
 */
enum sixfold_status sixfold_boot_choose(const struct sixfold_flash *flash,
                                        const struct sixfold_layout *layout,
                                        uint8_t (*ticket)[SIXFOLD_TICKET_SIZE],
                                        struct sixfold_choice *choice);

/**
 * Goes on with the update of a record, 0 or 1. `boot` and `ticket` are used until the update is over, and `flash`'s callbacks
 * are called until then. `seed` should differ from device to device and be hard to guess. `says` tells what the ticket
 * says.
 *
 * # Safety
 * Pointers are null or point to what they say; `boot` and `ticket` stay where they are.
 */
enum sixfold_status sixfold_boot_begin(sixfold_boot *boot,
                                       const struct sixfold_flash *flash,
                                       const struct sixfold_layout *layout,
                                       int8_t record,
                                       uint8_t (*ticket)[SIXFOLD_TICKET_SIZE],
                                       uint32_t seed,
                                       struct sixfold_ticket *says);

/**
 * Takes a datagram from the relay's address, and may change it. `event` may be null.
 *
 * # Safety
 * `boot` is one that was begun, `datagram` points to `length` bytes, and nobody else uses them meanwhile.
 */
enum sixfold_status sixfold_boot_datagram(sixfold_boot *boot,
                                          uint64_t now_us,
                                          uint8_t *datagram,
                                          size_t length,
                                          struct sixfold_event *event);

/**
 * To be called when `sixfold_boot_deadline` is due; too early or too often does no harm. `event` may be null.
 *
 * # Safety
 * `boot` is one that was begun, and nobody else uses it meanwhile.
 */
enum sixfold_status sixfold_boot_timeout(sixfold_boot *boot,
                                         uint64_t now_us,
                                         struct sixfold_event *event);

/**
 * Writes the next datagram to be sent to the relay now, and its length: 0 when there is none. Call it at the start and after
 * each `sixfold_boot_datagram` and `sixfold_boot_timeout` until there is none. 384 bytes are always enough, and 320 for a boot program that does not listen; in a library that knows sessions
 * (feature `oscore`), 832, and for it flash may be written here.
 *
 * # Safety
 * `boot` is one that was begun, `buffer` points to `size` bytes, and nobody else uses them meanwhile.
 */
enum sixfold_status sixfold_boot_transmit(sixfold_boot *boot,
                                          uint64_t now_us,
                                          uint8_t *buffer,
                                          size_t size,
                                          size_t *length);

/**
 * When `sixfold_boot_timeout` is due, in microseconds: ask after there is nothing more to send. UINT64_MAX when the image
 * may run, and for null.
 *
 * # Safety
 * `boot` is null or one that was begun.
 */
uint64_t sixfold_boot_deadline(sixfold_boot *boot);

/**
 * Whether the image may run.
 *
 * # Safety
 * `boot` is null or one that was begun.
 */
bool sixfold_boot_is_bootable(sixfold_boot *boot);

/**
 * The memory, in bytes, with which up to `missing` blocks of an image are found from parity symbols; with `missing` 0 these are
 * not used. `szx` is the exponent of the block size, 2 to 6 for 64 to 1024 bytes. 0 when it is another.
 */
size_t sixfold_listening_memory(uint32_t image_size,
                                uint32_t missing,
                                uint8_t szx);

/**
 * Takes part in the ticket's group, in `size` bytes of memory (`sixfold_listening_memory`), which are used until the update is
 * over. To be called after `sixfold_boot_begin`, before anything else. Without a group in the ticket, or with too little memory, it
 * does nothing; `sixfold_boot_group` tells.
 *
 * # Safety
 * `boot` is one that was begun, `memory` points to `size` bytes that nobody else uses and that stay where they are.
 */
enum sixfold_status sixfold_boot_listen(sixfold_boot *boot,
                                        uint8_t *memory,
                                        size_t size);

/**
 * The group to be heard, in `group`. False when there is none, or none any more.
 *
 * # Safety
 * `boot` is null or one that was begun, `group` is null or points to a group.
 */
bool sixfold_boot_group(sixfold_boot *boot, struct sixfold_group *group);

/**
 * Takes a datagram that came from the relay's address and port to the group's. `event` may be null. As after
 * `sixfold_boot_datagram`, `sixfold_boot_timeout` is to be called then.
 *
 * # Safety
 * `boot` is one that was begun, `datagram` points to `length` bytes, and nobody else uses them meanwhile.
 */
enum sixfold_status sixfold_boot_group_datagram(sixfold_boot *boot,
                                                uint64_t now_us,
                                                const uint8_t *datagram,
                                                size_t length,
                                                struct sixfold_event *event);

/**
 * What became of the session of a record, 0 or 1, for the main program: it agrees on another one when it is lost. `ticket` is only
 * used meanwhile.
 *
 * # Safety
 * Pointers are null or point to what they say.
 */
enum sixfold_status sixfold_boot_session(const struct sixfold_flash *flash,
                                         const struct sixfold_layout *layout,
                                         int8_t record,
                                         uint8_t (*ticket)[SIXFOLD_TICKET_SIZE],
                                         enum sixfold_session *session);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SIXFOLD_BOOT_H */
