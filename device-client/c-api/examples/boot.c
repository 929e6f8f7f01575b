/* A boot program: brings the image of the ticket in a flash file, over UDP.
 *
 *   boot FLASH RECORD-BYTES SLOT-BYTES
 *
 * Where the ticket has a group, it hears what the relay sends to all, and asks for the rest.
 *
 * On a board, flash_*() drive the flash controller, poll() and send() the radio, and the end is a jump to the image. */
#include "flash.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
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

/* Bound to the group's address, so that nothing else is heard. Where that is not possible: blocks can be asked for. */
static int socket_of(const sixfold_group *group) {
  struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(group->port)};
  struct ipv6_mreq membership = {.ipv6mr_interface = 0};
  int on = 1;
  memcpy(&address.sin6_addr, group->address, sizeof address.sin6_addr);
  memcpy(&membership.ipv6mr_multiaddr, group->address, sizeof membership.ipv6mr_multiaddr);
  int group_socket = socket(AF_INET6, SOCK_DGRAM, 0);
  if (group_socket < 0 || setsockopt(group_socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      bind(group_socket, (struct sockaddr *)&address, sizeof address) != 0 ||
      setsockopt(group_socket, IPPROTO_IPV6, IPV6_JOIN_GROUP, &membership, sizeof membership) != 0)
    perror("boot: no group"); /* as if nothing were sent there */
  return group_socket;
}

static bool is_from(const struct sockaddr_in6 *source, const sixfold_ticket *ticket) {
  return source->sin6_port == htons(ticket->relay_port) &&
         memcmp(&source->sin6_addr, ticket->relay_address, sizeof ticket->relay_address) == 0;
}

static void show(const sixfold_event *event) {
  if (event->kind == SIXFOLD_EVENT_KIND_CHUNKS)
    printf("%u of %u chunks\n", (unsigned)event->done, (unsigned)event->all);
  if (event->kind == SIXFOLD_EVENT_KIND_SLEEP)
    printf("sleeps: %s\n", sixfold_cause_text(event->cause));
  fflush(stdout);
}

/* Waits until something is due, or for a datagram, and says where it came to. */
static ssize_t receive(const int sockets[2], uint8_t *buffer, size_t size, uint64_t until, bool *is_for_group,
                       struct sockaddr_in6 *source) {
  uint64_t now = now_us();
  uint64_t wait = until > now ? (until - now) / 1000 + 1 : 0;
  struct pollfd ready[2] = {{.fd = sockets[0], .events = POLLIN}, {.fd = sockets[1], .events = POLLIN}};
  if (poll(ready, 2, wait < 60000 ? (int)wait : 60000) <= 0)
    return 0;
  socklen_t length = sizeof *source;
  *is_for_group = ready[0].revents == 0;
  return recvfrom(sockets[*is_for_group], buffer, size, 0, (struct sockaddr *)source, &length);
}

static void update(sixfold_boot *boot, const sixfold_ticket *ticket) {
  sixfold_group group;
  int sockets[2] = {socket_to(ticket), sixfold_boot_group(boot, &group) ? socket_of(&group) : -1};
  uint8_t datagram[1152];
  sixfold_event event;
  while (!sixfold_boot_is_bootable(boot)) {
    size_t length;
    for (;;) {
      check(sixfold_boot_transmit(boot, now_us(), datagram, sizeof datagram, &length));
      if (length == 0)
        break;
      if (send(sockets[0], datagram, length, 0) < 0 && errno != ECONNREFUSED)
        perror("boot: send"); /* as if it had been lost */
    }
    bool is_for_group;
    struct sockaddr_in6 source;
    ssize_t received =
        receive(sockets, datagram, sizeof datagram, sixfold_boot_deadline(boot), &is_for_group, &source);
    if (received > 0 && is_from(&source, ticket)) {
      if (is_for_group)
        check(sixfold_boot_group_datagram(boot, now_us(), datagram, (size_t)received, &event));
      else
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
  static uint8_t memory[8192];
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
  check(sixfold_boot_listen(&boot, memory, sizeof memory));
  update(&boot, &says);
  printf("runs the image of %u bytes at %u\n", (unsigned)(says.image.end - says.image.start),
         (unsigned)says.image.start);
  return 0;
}
