"""The ceiling: a bare Starlette WebSocket route on the wallet's server stack that answers without reading.

Each text frame in (the text of one bet) is answered by one text frame out (the text of one confirmation):
no JSON, no wallet, no disk. What the wallet loses against this is the wallet's own cost.
"""

from __future__ import annotations

import argparse

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

CONFIRMATION = (
    '{"type":"bet.confirmed","id":"0199d0a4c2f1","bet_id":"0199d0a4-c2f1-7c3e-9a55-0199d0a4c2f1","stake":250,'
    '"transaction_id":88123,"block":412,"seq":918,"balance":99750,"held":0,"available":99750,"replayed":false}'
)


async def echo(socket: WebSocket) -> None:
    """Answer every text frame with `CONFIRMATION` until the client leaves."""
    await socket.accept()
    try:
        while True:
            await socket.receive_text()
            await socket.send_text(CONFIRMATION)
    except WebSocketDisconnect:
        return


def serve(port: int) -> None:
    """Serve on 127.0.0.1:`port` until SIGTERM, with the flags of `solidgreen serve`."""
    uvicorn.run(
        Starlette(routes=[WebSocketRoute("/ws", echo)]),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_max_size=262_144,
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.echo", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    serve(parser.parse_args().port)
