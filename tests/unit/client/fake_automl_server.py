"""What `embedded` needs of a server: it listens on a socket, writes its ready file and stays until SIGTERM.

`python fake_automl_server.py SOCKET READY MODE STARTS`; MODE is "good", "dies", "in-use" or "silent"; each start adds a line
to STARTS.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

address, ready, mode, starts = sys.argv[1:]
with open(starts, "a") as file:
    file.write(f"{os.getpid()}\n")
if mode == "dies":
    print("the store is from a newer version", file=sys.stderr)
    sys.exit(2)
if mode == "in-use":
    sys.exit(3)
listener = socket.socket(socket.AF_UNIX)
if mode == "good":
    listener.bind(address)
    listener.listen()
    with open(ready + ".part", "w") as file:
        json.dump({"pid": os.getpid(), "environment": sorted(os.environ), "session": os.getsid(0)}, file)
    os.replace(ready + ".part", ready)
signal.sigwait([signal.SIGTERM])
