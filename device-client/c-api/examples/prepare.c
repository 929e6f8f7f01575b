/* A main program: takes a signed manifest from a relay, and leaves a ticket for the boot program in a flash file.
 *
 *   prepare FLASH RECORD-BYTES SLOT-BYTES RELAY-ADDRESS RELAY-PORT MANIFEST KEY.pem VENDOR CLASS
 *
 * Vendor and class are UUIDs in hexadecimal digits. The exit status is the sixfold_prepared. */
#include "flash.h"
#include "sixfold_prepare.h"

#include <arpa/inet.h>
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
  if (argc != 10) {
    fprintf(stderr, "usage: prepare FLASH RECORD-BYTES SLOT-BYTES ADDRESS PORT MANIFEST KEY VENDOR CLASS\n");
    return 2;
  }
  int file;
  sixfold_flash flash = flash_open(argv[1], &file);
  sixfold_layout layout = flash_layout((uint32_t)atol(argv[2]), (uint32_t)atol(argv[3]));
  sixfold_request request = {.relay_port = (uint16_t)atoi(argv[5]),
                             .manifest = argv[6],
                             .key = read_text(argv[7]),
                             .interface_identifier = {2, 0, 0, 0, 0, 0, 0, 1},
                             .szx = 6,
                             .seed = (uint32_t)now_us(NULL)};
  if (inet_pton(AF_INET6, argv[4], request.relay_address) != 1)
    return 2;
  read_uuid(argv[8], request.vendor);
  read_uuid(argv[9], request.class_);

  struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(request.relay_port)};
  memcpy(&address.sin6_addr, request.relay_address, sizeof address.sin6_addr);
  int relay = socket(AF_INET6, SOCK_DGRAM, 0);
  if (relay < 0 || connect(relay, (struct sockaddr *)&address, sizeof address) != 0) {
    perror("prepare: socket");
    return 2;
  }
  sixfold_link link = {&relay, send_datagram, receive_datagram, now_us};

  char message[256];
  sixfold_prepared prepared = sixfold_prepare(&flash, &layout, &link, &request, message, sizeof message);
  printf("%s: %s\n", sixfold_prepared_text(prepared), message);
  return (int)prepared;
}
