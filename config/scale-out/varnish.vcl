vcl 4.1;

import std;

# One cache for many relays: Varnish between the border routers of a site and the origin (docs/scale-out.md). Varnish speaks
# no TLS: put something that does before it, towards the relays (hitch, or nginx with proxy_pass), and behind it, towards the
# origin (a client-side stunnel that verifies: verifyChain = yes, checkHost = origin.test; and that starts without an uplink and follows
# an origin that moves: delay = yes). Both on this machine only.

backend origin {
    # Where stunnel takes plain HTTP for the origin.
    .host = "127.0.0.1";
    .port = "8443";
    .first_byte_timeout = 30s;
    .between_bytes_timeout = 30s;
    # Whether the origin is there. Name a small file that it always has: where the answer is not 200, it counts as away, and only
    # what is here already is served (`varnishadm backend.list` says so).
    .probe = {
        .request = "GET /alive.txt HTTP/1.1" "Host: origin.test" "Connection: close";
        .interval = 10s;
        .timeout = 5s;
        .window = 3;
        .threshold = 2;
        .initial = 2;
    }
}

sub vcl_recv {
    if (req.method != "GET") {
        return (synth(405));
    }
    # A relay that goes on in the middle is served from the whole object: Varnish keeps no pieces.
    unset req.http.Cookie;
    set req.http.Host = "origin.test";
    # While the origin is there, it is asked about an image that is no longer fresh before that is served. An old one goes out where
    # the origin is away, or has just failed.
    if (std.healthy(req.backend_hint) && req.restarts == 0) {
        set req.grace = 0s;
    } else {
        set req.grace = 1d;
    }
    return (hash);
}

sub vcl_miss {
    if (req.restarts > 0) {
        # The origin has just failed, and there is no old image.
        return (synth(502));
    }
}

sub vcl_synth {
    if (resp.status == 503 && req.restarts == 0) {
        # The origin failed: once more, for what is here.
        return (restart);
    }
}

sub vcl_backend_fetch {
    # Varnish would take gzip from the origin, and the ETag of that is weak: relays could neither validate nor resume.
    unset bereq.http.Accept-Encoding;
    if (bereq.is_bgfetch) {
        # An old image is being served because the origin has failed already.
        return (abandon);
    }
}

sub vcl_backend_response {
    if (beresp.status >= 500) {
        # A failure takes no image's place, and is not remembered: the next relay asks again.
        return (abandon);
    }
    # Requests for the same object wait for one fetch, and get its bytes as they come.
    set beresp.do_stream = true;
    # An old image is served for a day while the origin is away, and kept a week for asking whether it is current.
    set beresp.grace = 1d;
    set beresp.keep = 7d;
    unset beresp.http.Set-Cookie;
    if (beresp.status != 200) {
        # What is not there may come.
        set beresp.ttl = 10s;
    } elsif (beresp.ttl < 1m) {
        # Relays wait for each other's fetch only as long as an image is fresh: with max-age=0, or no-cache, each would fetch it anew.
        # Give images a max-age that is longer than their way takes.
        set beresp.ttl = 1m;
    }
    # Not by the built-in rules, which keep nothing of these.
    return (deliver);
}

sub vcl_backend_error {
    return (abandon);
}
