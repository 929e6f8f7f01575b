//! Objects whose signature is good, but which say something that this module does not accept.
