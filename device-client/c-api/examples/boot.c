/* A boot program: brings the image of the ticket in a flash file, over UDP.
 *
 *   boot FLASH RECORD-BYTES SLOT-BYTES
 *
 * On a board, flash_*() drive the flash controller, poll() and send() the radio, and the end is a jump to the image. */
#include "flash.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

static uint64_t now_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static void check(sixfold_status status) {
  if (status != SIXFOLD_STATUS_OK) {
    fprintf(stderr, "boot: %s\n", sixfold_status_text(status));
    exit(1);
  }
}

static int socket_to(const sixfold_ticket *ticket) {
  struct sockaddr_in6 relay = {.sin6_family = AF_INET6, .sin6_port = htons(ticket->relay_port)};
  memcpy(&relay.sin6_addr, ticket->relay_address, sizeof relay.sin6_addr);
  int relay_socket = socket(AF_INET6, SOCK_DGRAM, 0);
  if (relay_socket < 0 || connect(relay_socket, (struct sockaddr *)&relay, sizeof relay) != 0) {
    perror("boot: socket");
    exit(1);
  }
  return relay_socket;
}

static void show(const sixfold_event *event) {
  if (event->kind == SIXFOLD_EVENT_KIND_CHUNKS)
    printf("%u of %u chunks\n", (unsigned)event->done, (unsigned)event->all);
  if (event->kind == SIXFOLD_EVENT_KIND_SLEEP)
    printf("sleeps: %s\n", sixfold_cause_text(event->cause));
  fflush(stdout);
}

/* Waits for a datagram until something is due. */
static ssize_t receive(int relay, uint8_t *buffer, size_t size, uint64_t until) {
  uint64_t now = now_us();
  uint64_t wait = until > now ? (until - now) / 1000 + 1 : 0;
  struct pollfd ready = {.fd = relay, .events = POLLIN};
  if (poll(&ready, 1, wait < 60000 ? (int)wait : 60000) <= 0)
    return 0;
  return recv(relay, buffer, size, 0);
}

static void update(sixfold_boot *boot, int relay) {
  uint8_t datagram[1152];
  sixfold_event event;
  while (!sixfold_boot_is_bootable(boot)) {
    size_t length;
    for (;;) {
      check(sixfold_boot_transmit(boot, now_us(), datagram, sizeof datagram, &length));
      if (length == 0)
        break;
      if (send(relay, datagram, length, 0) < 0 && errno != ECONNREFUSED)
        perror("boot: send"); /* as if it had been lost */
    }
    ssize_t received = receive(relay, datagram, sizeof datagram, sixfold_boot_deadline(boot));
    if (received > 0) {
      check(sixfold_boot_datagram(boot, now_us(), datagram, (size_t)received, &event));
      show(&event);
    }
    check(sixfold_boot_timeout(boot, now_us(), &event));
    show(&event);
  }
}

int main(int argc, char **argv) {
  static uint8_t ticket[SIXFOLD_TICKET_SIZE];
  static sixfold_boot boot;
  if (argc != 4) {
    fprintf(stderr, "usage: boot FLASH RECORD-BYTES SLOT-BYTES\n");
    return 2;
  }
  int file;
  sixfold_flash flash = flash_open(argv[1], &file);
  sixfold_layout layout = flash_layout((uint32_t)atol(argv[2]), (uint32_t)atol(argv[3]));
  sixfold_choice choice;
  sixfold_ticket says;
  check(sixfold_boot_choose(&flash, &layout, &ticket, &choice));
  switch (choice.action) {
  case SIXFOLD_ACTION_NOTHING:
    printf("runs what the factory left\n");
    return 0;
  case SIXFOLD_ACTION_LOST:
    fprintf(stderr, "boot: nothing may run\n");
    return 1;
  case SIXFOLD_ACTION_RUN:
  case SIXFOLD_ACTION_UPDATE:
    break;
  }
  check(sixfold_boot_begin(&boot, &flash, &layout, choice.record, &ticket, (uint32_t)now_us(), &says));
  update(&boot, socket_to(&says));
  printf("runs the image of %u bytes at %u\n", (unsigned)(says.image.end - says.image.start),
         (unsigned)says.image.start);
  return 0;
}
