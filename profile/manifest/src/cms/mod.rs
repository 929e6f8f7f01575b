//! Detached CMS SignedData (RFC 5652) over an image.
