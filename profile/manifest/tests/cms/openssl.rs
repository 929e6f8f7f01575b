//! What the `openssl` command line makes verifies here, and what is made here verifies there.
