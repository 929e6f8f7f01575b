vcl 4.1;

# One cache for many relays: Varnish between the border routers of a site and the origin (docs/scale-out.md). Varnish speaks
# no TLS: put something that does before it, towards the relays (hitch, or nginx with proxy_pass), and behind it, towards the
# origin (a client-side stunnel that verifies: verifyChain = yes, checkHost = origin.test). Both on this machine only.

backend origin {
    # Where stunnel takes plain HTTP for the origin.
    .host = "127.0.0.1";
    .port = "8443";
    .first_byte_timeout = 30s;
    .between_bytes_timeout = 30s;
}

sub vcl_recv {
    if (req.method != "GET") {
        return (synth(405));
    }
    # A relay that goes on in the middle is served from the whole object: Varnish keeps no pieces.
    unset req.http.Cookie;
    set req.http.Host = "origin.test";
    return (hash);
}

sub vcl_backend_response {
    # Requests for the same object wait for one fetch, and get its bytes as they come.
    set beresp.do_stream = true;
    # An old image is served while the origin is away, and kept a week for asking whether it is current.
    set beresp.grace = 1d;
    set beresp.keep = 7d;
    if (beresp.status >= 500) {
        # A failure is not remembered: the next relay asks again.
        set beresp.ttl = 0s;
        set beresp.grace = 0s;
    }
    unset beresp.http.Set-Cookie;
}
