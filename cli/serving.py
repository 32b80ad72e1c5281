"""The options of `serve`."""

from __future__ import annotations

import argparse
from pathlib import Path

from batcher.breaker import BreakerLimits
from batcher.nonces import NONCE_LIMITS
from cli import values
from ws.rates.rates import DEFAULTS
from ws.settings import DEFAULT_HOST, DEFAULT_PORT, SOCKETS_PER_USER, variable


def serve_options(serve: argparse.ArgumentParser) -> None:
    """All of them, but for the key that signs blocks, which `seed` has as well."""
    serve.add_argument(
        "--host", default=variable("host", DEFAULT_HOST), help="address (default: %(default)s)"
    )
    serve.add_argument(
        "--port",
        type=values.port,
        default=variable("port", str(DEFAULT_PORT)),
        help="TCP port, 0 for any free one (default: %(default)s)",
    )
    serve.add_argument(
        "--redis-url", default=variable("redis_url"), help="keep nonces in this Redis, not in memory"
    )
    serve.add_argument(
        "--origins",
        type=values.origins,
        default=variable("origins", ""),
        help="origins of web pages that may connect, separated by commas, besides the server's own",
    )
    serve.add_argument(
        "--trusted-proxies",
        type=values.proxies,
        default=variable("trusted_proxies", ""),
        metavar="ADDRESSES",
        help="addresses and networks of proxies whose X-Forwarded-For is believed, separated by commas",
    )
    serve.add_argument(
        "--heads",
        default=variable("heads"),
        metavar="FILE|URL",
        help="append the newest block's head to this file, or POST it to this http(s) URL, when it changes",
    )
    serve.add_argument(
        "--breaker-commit-ms",
        type=values.breaker_ms,
        default=variable("breaker_commit_ms", str(BreakerLimits().commit_upper_us // 1000)),
        metavar="MS",
        help="a commit that takes longer opens the circuit (default: %(default)s)",
    )
    serve.add_argument(
        "--breaker-queue-ms",
        type=values.breaker_ms,
        default=variable("breaker_queue_ms", str(BreakerLimits().queue_upper_us // 1000)),
        metavar="MS",
        help="a bet that waits longer for its commit opens the circuit (default: %(default)s)",
    )
    serve.add_argument(
        "--breaker-stable-ms",
        type=values.stable_ms,
        default=variable("breaker_stable_ms", str(BreakerLimits().stable_us // 1000)),
        metavar="MS",
        help="unbroken health before an open circuit closes again (default: %(default)s)",
    )
    serve.add_argument(
        "--nonce-stable-ms",
        type=values.stable_ms,
        default=variable("nonce_stable_ms", str(NONCE_LIMITS.stable_us // 1000)),
        metavar="MS",
        help="unbroken health before a Redis that was away is asked again (default: %(default)s)",
    )
    serve.add_argument(
        "--sockets-per-user",
        type=values.sockets,
        default=variable("sockets_per_user", str(SOCKETS_PER_USER)),
        metavar="N",
        help="how many sockets one user may have at a time (default: %(default)s)",
    )
    serve.add_argument(
        "--registration",
        type=values.switch,
        default=variable("registration", "on"),
        metavar="on|off",
        help="whether strangers may register as players (default: %(default)s)",
    )
    serve.add_argument(
        "--self-check-s",
        type=values.seconds,
        default=variable("self_check_s", "86400"),
        metavar="SECONDS",
        help="verify the file beside the bets this often; 0: never (default: %(default)s)",
    )

    _rates(serve)
    tls_options(serve)
    serve.add_argument(
        "--log-format",
        type=values.log_format,
        default=variable("log_format", "auto"),
        metavar="FORMAT",
        help="text, json, or auto: text on a terminal, JSON elsewhere (default: %(default)s)",
    )
    serve.add_argument(
        "--access-log",
        type=values.switch,
        nargs="?",
        const="on",
        default=variable("access_log", "off"),
        metavar="on|off",
        help="log each HTTP request at level info (default: %(default)s)",
    )
    serve.add_argument(
        "--traces",
        default=variable("traces"),
        metavar="URL",
        help="send spans there, by OTLP over HTTP; needs pip install 'solidgreen[traces]'",
    )
    serve.add_argument(
        "--trace-ratio",
        type=values.ratio,
        default=variable("trace_ratio", "0.01"),
        metavar="SHARE",
        help="of the commands, how many are traced, 0 to 1 (default: %(default)s)",
    )


def tls_options(command: argparse.ArgumentParser) -> None:
    """What TLS is served with."""
    certificate, key = variable("tls_certificate"), variable("tls_key")
    command.add_argument(
        "--tls-certificate",
        type=Path,
        metavar="FILE",
        default=certificate and Path(certificate),
        help="serve TLS: the certificate and those that it hangs on, PEM",
    )
    command.add_argument(
        "--tls-key", type=Path, metavar="FILE", default=key and Path(key), help="its private key, PEM"
    )


def _rates(serve: argparse.ArgumentParser) -> None:
    """How often one may ask over HTTP."""
    for option, default, what in (
        (
            "address",
            variable("rate_address", DEFAULTS.ADDRESS),
            "requests of one address, and as many handshakes",
        ),
        ("user", variable("rate_user", DEFAULTS.USER), "requests of one user"),
        ("money", variable("rate_money", DEFAULTS.MONEY), "requests of one user that may change something"),
        ("login", variable("rate_login", DEFAULTS.LOGIN), "log-ins and registrations of one address"),
        ("refresh", variable("rate_refresh", DEFAULTS.REFRESH), "refreshes and log-outs of one address"),
    ):
        serve.add_argument(
            f"--rate-{option}",
            type=values.rate,
            default=default,
            metavar="N/PERIOD",
            help=f"how many {what}, such as 10/second or 600/minute; off: any (default: %(default)s)",
        )
    serve.add_argument(
        "--rate-limits-in",
        type=values.rates_in,
        default=variable("rate_limits_in", "memory"),
        metavar="memory|redis",
        help="where they are counted; redis: in that of --redis-url (default: %(default)s)",
    )
