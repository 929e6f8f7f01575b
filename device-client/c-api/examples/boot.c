/* A boot program: brings the image of the ticket in a flash file, over UDP.
 *
 *   boot FLASH RECORD-BYTES SLOT-BYTES [INTERFACE]
 *
 * With an interface, it hears there what the relay says to many devices, if the ticket has a group.
 * On a board, flash_*() drive the flash controller, poll() and send() the radio, and the end is a jump to the image. */
#include "flash.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
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

/* Joins the ticket's group on an interface: a socket, or -1 when there is none. */
static int socket_of_group(sixfold_boot *boot, const char *interface) {
  static uint8_t memory[16 * 1024]; /* for the map of what is missing, and for parity symbols */
  sixfold_group group;
  check(sixfold_boot_listen(boot, memory, sizeof memory));
  if (!sixfold_boot_group(boot, &group))
    return -1;
  unsigned index = if_nametoindex(interface);
  struct sockaddr_in6 place = {
      .sin6_family = AF_INET6, .sin6_port = htons(group.port), .sin6_scope_id = index};
  struct ipv6_mreq join = {.ipv6mr_interface = index};
  memcpy(&place.sin6_addr, group.address, sizeof place.sin6_addr);
  memcpy(&join.ipv6mr_multiaddr, group.address, sizeof join.ipv6mr_multiaddr);
  int group_socket = socket(AF_INET6, SOCK_DGRAM, 0), yes = 1;
  if (group_socket < 0 || setsockopt(group_socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      bind(group_socket, (struct sockaddr *)&place, sizeof place) != 0 ||
      setsockopt(group_socket, IPPROTO_IPV6, IPV6_JOIN_GROUP, &join, sizeof join) != 0) {
    perror("boot: group");
    exit(1);
  }
  return group_socket;
}

static void show(const sixfold_event *event) {
  if (event->kind == SIXFOLD_EVENT_KIND_CHUNKS)
    printf("%u of %u chunks\n", (unsigned)event->done, (unsigned)event->all);
  if (event->kind == SIXFOLD_EVENT_KIND_SLEEP)
    printf("sleeps: %s\n", sixfold_cause_text(event->cause));
  fflush(stdout);
}

/* Waits for a datagram until something is due. A negative socket is none. */
static void wait_for(struct pollfd ready[2], uint64_t until) {
  uint64_t now = now_us();
  uint64_t wait = until > now ? (until - now) / 1000 + 1 : 0;
  if (poll(ready, 2, wait < 60000 ? (int)wait : 60000) <= 0)
    ready[0].revents = ready[1].revents = 0;
}

static bool is_from(const struct sockaddr_in6 *sender, const sixfold_ticket *says) {
  return ntohs(sender->sin6_port) == says->relay_port &&
         memcmp(&sender->sin6_addr, says->relay_address, sizeof says->relay_address) == 0;
}

static void update(sixfold_boot *boot, const sixfold_ticket *says, int relay, int group) {
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
    struct pollfd ready[2] = {{.fd = relay, .events = POLLIN}, {.fd = group, .events = POLLIN}};
    wait_for(ready, sixfold_boot_deadline(boot));
    ssize_t received = ready[0].revents ? recv(relay, datagram, sizeof datagram, 0) : 0;
    if (received > 0) {
      check(sixfold_boot_datagram(boot, now_us(), datagram, (size_t)received, &event));
      show(&event);
    }
    check(sixfold_boot_timeout(boot, now_us(), &event));
    show(&event);
    struct sockaddr_in6 sender = {0};
    socklen_t of_sender = sizeof sender;
    received = ready[1].revents
                   ? recvfrom(group, datagram, sizeof datagram, 0, (struct sockaddr *)&sender, &of_sender)
                   : 0;
    if (received > 0 && is_from(&sender, says)) {
      check(sixfold_boot_group_datagram(boot, now_us(), datagram, (size_t)received, &event));
      check(sixfold_boot_timeout(boot, now_us(), &event));
      show(&event);
    }
  }
}

int main(int argc, char **argv) {
  static uint8_t ticket[SIXFOLD_TICKET_SIZE];
  static sixfold_boot boot;
  if (argc != 4 && argc != 5) {
    fprintf(stderr, "usage: boot FLASH RECORD-BYTES SLOT-BYTES [INTERFACE]\n");
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
  int group = argc == 5 ? socket_of_group(&boot, argv[4]) : -1;
  update(&boot, &says, socket_to(&says), group);
  printf("runs the image of %u bytes at %u\n", (unsigned)(says.image.end - says.image.start),
         (unsigned)says.image.start);
  return 0;
}
