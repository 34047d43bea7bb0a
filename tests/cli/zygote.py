"""Runs ``pot`` in forks of one process that has loaded everything.

Loading web3 and torch takes two to five seconds a command, and the tests type a hundred. Each command still is a
process of its own, with its own streams, environment, folder and exit code, and enters where the console script does.

Protocol, on the Unix socket whose descriptor is the argument: a request is JSON (``arguments``, ``env``, ``folder``)
with the three standard streams attached; the answer is the exit code.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
import traceback
from typing import Any

import sklearn.datasets  # noqa: F401 - loaded here so that no command has to
import torch  # noqa: F401

import pot_chain.cli.app
import pot_chain.cli.watch
import pot_chain.localnet.launch
import pot_chain.owner.create
import pot_chain.owner.download
import pot_chain.owner.rewards
import pot_chain.owner.settle  # noqa: F401
from pot_chain.cli import main

REQUEST_BYTES = 1 << 17


def serve(connection: socket.socket) -> None:
    """Fork for each request until there are no more."""
    gc.collect()
    gc.freeze()  # the forks share what is loaded, and a collection in one would copy all of it
    connection.sendall(b"ready\n")
    while True:
        data, streams, _, _ = socket.recv_fds(connection, REQUEST_BYTES, 3)
        if not data:
            return
        child = os.fork()
        if child == 0:
            connection.close()
            # without the interpreter's own end, which takes a second to clear what it shares with its parent
            os._exit(run(json.loads(data), streams))
        for stream in streams:
            os.close(stream)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        connection.sendall(f"{code}\n".encode())


def run(request: dict[str, Any], streams: list[int]) -> int:
    """Run the command as a process of its own would; returns its exit code."""
    become(request, streams)
    sys.argv = ["pot", *request["arguments"]]
    try:
        main()
        code: object = 0
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - as the interpreter does where nobody else has
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


def become(request: dict[str, Any], streams: list[int]) -> None:
    """Take over the streams, the environment and the folder that the request asks for."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["folder"])


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
