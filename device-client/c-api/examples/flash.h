/* Flash in a file, with the rules of NOR flash: writing only clears bits, erasing sets whole pages. */
#ifndef EXAMPLE_FLASH_H
#define EXAMPLE_FLASH_H

#include "sixfold_boot.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int flash_read(void *context, uint32_t offset, uint8_t *to, size_t length) {
  return pread(*(int *)context, to, length, offset) == (ssize_t)length ? 0 : -1;
}

static int flash_write(void *context, uint32_t offset, const uint8_t *from, size_t length) {
  for (size_t i = 0; i < length; i++) {
    uint8_t old;
    if (flash_read(context, offset + (uint32_t)i, &old, 1) != 0 || (old & from[i]) != from[i])
      return -1; /* a bit that is 0 becomes 1 only by erasing */
  }
  return pwrite(*(int *)context, from, length, offset) == (ssize_t)length ? 0 : -1;
}

static int flash_erase(void *context, uint32_t from, uint32_t to) {
  uint8_t ones[256];
  memset(ones, 0xff, sizeof ones);
  for (uint32_t offset = from; offset < to; offset += sizeof ones)
    if (pwrite(*(int *)context, ones, sizeof ones, offset) != sizeof ones)
      return -1;
  return 0;
}

/* Two records of so many bytes, and one slot of so many behind them. */
static sixfold_layout flash_layout(uint32_t record, uint32_t slot) {
  sixfold_range whole = {2 * record, 2 * record + slot};
  sixfold_layout layout = {{{0, record}, {record, 2 * record}}, {whole, whole}};
  return layout;
}

static sixfold_flash flash_open(const char *path, int *file) {
  *file = open(path, O_RDWR);
  if (*file < 0) {
    perror(path);
    exit(1);
  }
  sixfold_flash flash = {file, flash_read, flash_write, flash_erase, sixfold_page_size(), sixfold_write_size()};
  return flash;
}

#endif
