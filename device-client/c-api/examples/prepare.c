/* A main program: takes a signed manifest from a relay, and leaves a ticket for the boot program in a flash file.
 *
 *   prepare FLASH RECORD-BYTES SLOT-BYTES ADDRESS PORT MANIFEST KEY.pem VENDOR CLASS SECRET
 *
 * It asks at ADDRESS for a relay: that may be the relay's own, or ff02::fd%INTERFACE for all CoAP nodes of a link. Vendor and
 * class are UUIDs in hexadecimal digits. SECRET is 16 bytes at least that make the device's addresses. The exit status is the
 * sixfold_prepared. */
#include "flash.h"
#include "sixfold_prepare.h"

#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

static uint64_t now_us(void *context) {
  (void)context;
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static void send_datagram(void *context, const uint8_t *datagram, size_t length) {
  if (send(*(int *)context, datagram, length, 0) < 0)
    perror("prepare: send"); /* as if it had been lost */
}

static size_t receive_datagram(void *context, uint8_t *buffer, size_t size, uint64_t until_us) {
  uint64_t now = now_us(context);
  struct pollfd ready = {.fd = *(int *)context, .events = POLLIN};
  if (poll(&ready, 1, until_us > now ? (int)((until_us - now) / 1000 + 1) : 0) <= 0)
    return 0;
  ssize_t length = recv(*(int *)context, buffer, size, 0);
  return length > 0 ? (size_t)length : 0;
}

/* The socket stays open to all until a relay has answered; then it hears that relay alone. */
static int find_relay(const char *host, const char *port, uint32_t seed, struct sockaddr_in6 *relay) {
  struct addrinfo hints = {.ai_family = AF_INET6, .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST};
  struct addrinfo *found;
  if (getaddrinfo(host, port, &hints, &found) != 0)
    return -1;
  int file = socket(AF_INET6, SOCK_DGRAM, 0);
  uint8_t datagram[1152];
  for (uint32_t round = 0; file >= 0 && round < SIXFOLD_DISCOVERY_ROUNDS; round++) {
    size_t length = sixfold_discovery_question(seed, round, datagram, sizeof datagram);
    if (sendto(file, datagram, length, 0, found->ai_addr, found->ai_addrlen) < 0)
      perror("prepare: ask for a relay"); /* as if it had been lost */
    uint64_t until = now_us(NULL) + SIXFOLD_DISCOVERY_ROUND_MS * 1000;
    for (uint64_t now = now_us(NULL); now < until; now = now_us(NULL)) {
      struct pollfd ready = {.fd = file, .events = POLLIN};
      if (poll(&ready, 1, (int)((until - now) / 1000 + 1)) <= 0)
        continue;
      socklen_t size = sizeof *relay;
      ssize_t heard = recvfrom(file, datagram, sizeof datagram, 0, (struct sockaddr *)relay, &size);
      if (heard > 0 && sixfold_discovery_answer(seed, datagram, (size_t)heard)) {
        freeaddrinfo(found);
        return connect(file, (struct sockaddr *)relay, size) == 0 ? file : -1;
      }
    }
  }
  freeaddrinfo(found);
  return -1;
}

/* For the network in which the relay is reached from here: the device will most likely wake up in the same one. */
static bool make_identifier(int relay, uint32_t scope, const char *secret, uint8_t identifier[8]) {
  struct sockaddr_in6 own;
  socklen_t size = sizeof own;
  char interface[IF_NAMESIZE] = "";
  uint8_t bytes[64];
  FILE *file = fopen(secret, "rb");
  if (file == NULL || getsockname(relay, (struct sockaddr *)&own, &size) != 0)
    return false;
  sixfold_origin origin = {.interface = interface, .secret = bytes};
  origin.secret_length = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  memcpy(origin.prefix, &own.sin6_addr, sizeof origin.prefix);
  if (scope != 0)
    if_indextoname(scope, interface);
  return sixfold_interface_identifier(&origin, identifier);
}

static void read_uuid(const char *text, uint8_t uuid[16]) {
  for (int i = 0; i < 16; i++) {
    unsigned byte = 0;
    if (sscanf(text + 2 * i, "%2x", &byte) != 1)
      exit(2);
    uuid[i] = (uint8_t)byte;
  }
}

static char *read_text(const char *path) {
  static char text[4096];
  FILE *file = fopen(path, "r");
  if (file == NULL) {
    perror(path);
    exit(2);
  }
  text[fread(text, 1, sizeof text - 1, file)] = 0;
  fclose(file);
  return text;
}

int main(int argc, char **argv) {
  if (argc != 11) {
    fprintf(stderr, "usage: prepare FLASH RECORD-BYTES SLOT-BYTES ADDRESS PORT MANIFEST KEY VENDOR CLASS SECRET\n");
    return 2;
  }
  uint32_t seed = (uint32_t)now_us(NULL);
  struct sockaddr_in6 address;
  int relay = find_relay(argv[4], argv[5], seed, &address);
  if (relay < 0) {
    fprintf(stderr, "prepare: no relay answers at %s\n", argv[4]);
    return SIXFOLD_PREPARED_SILENCE;
  }

  int file;
  sixfold_flash flash = flash_open(argv[1], &file);
  sixfold_layout layout = flash_layout((uint32_t)atol(argv[2]), (uint32_t)atol(argv[3]));
  sixfold_request request = {.relay_port = ntohs(address.sin6_port),
                             .manifest = argv[6],
                             .key = read_text(argv[7]),
                             .szx = 6,
                             .group = true,
                             .seed = seed};
  memcpy(request.relay_address, &address.sin6_addr, sizeof request.relay_address);
  read_uuid(argv[8], request.vendor);
  read_uuid(argv[9], request.class_);
  if (!make_identifier(relay, address.sin6_scope_id, argv[10], request.interface_identifier)) {
    fprintf(stderr, "prepare: %s: a secret has %d bytes at least\n", argv[10], SIXFOLD_SHORTEST_SECRET);
    return 2;
  }
  sixfold_link link = {&relay, send_datagram, receive_datagram, now_us};

  char message[256];
  sixfold_prepared prepared = sixfold_prepare(&flash, &layout, &link, &request, message, sizeof message);
  printf("%s: %s\n", sixfold_prepared_text(prepared), message);
  return (int)prepared;
}
